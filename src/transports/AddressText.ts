/** Addresses as a person reads them. */
import { isIPv6, Socket } from "node:net"
import type { Duplex } from "node:stream"

/** `127.0.0.1:1`, `[::1]:1`. */
export const addressText = (host: string, port: number): string =>
  `${isIPv6(host) ? `[${host}]` : host}:${port}`

/** Who is at the other end of a stream, if it is a socket, for logs: `127.0.0.1:50312`. */
export const peerOf = (stream: Duplex): string => {
  const { remoteAddress = "?", remotePort = 0 } = stream instanceof Socket ? stream : {}
  return `${remoteAddress}:${remotePort}`
}
