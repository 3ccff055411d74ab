/** An address as a person reads it: `127.0.0.1:1`, `[::1]:1`. */
import { isIPv6 } from "node:net"

export const addressText = (host: string, port: number): string =>
  `${isIPv6(host) ? `[${host}]` : host}:${port}`
