/** Addresses as a person reads them. */
import { isIPv6 } from "node:net"

/** `127.0.0.1:1`, `[::1]:1`. */
export const addressText = (host: string, port: number): string =>
  `${isIPv6(host) ? `[${host}]` : host}:${port}`
