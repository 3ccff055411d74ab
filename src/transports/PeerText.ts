/** Peers as logs name them. Apart from `AddressText.ts`, since programs see the types of that, and have none of Node's. */
import { Socket } from "node:net"
import type { Duplex } from "node:stream"

/** Who is at the other end of a stream, if it is a socket: `127.0.0.1:50312`. */
export const peerOf = (stream: Duplex): string => {
  const { remoteAddress = "?", remotePort = 0 } = stream instanceof Socket ? stream : {}
  return `${remoteAddress}:${remotePort}`
}
