/** Addresses as a person reads them. */
import { isIPv6 } from "node:net"

/** `127.0.0.1:1`, `[::1]:1`. */
export const addressText = (host: string, port: number): string =>
  `${isIPv6(host) ? `[${host}]` : host}:${port}`

/** Who is at the other end of a socket, for logs: `127.0.0.1:50312`. */
export const peerOf = (socket: {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}): string => `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`
