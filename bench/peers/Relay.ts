/** The bare Node TCP relay. Its frames (u32 length, little endian | u8 topic length | topic | payload) are read by nobody but us. */
import { fileURLToPath } from "node:url"
import { type Counter, repeated, type System } from "./System.ts"

/** Counts frames by their length. */
const makeCounter = (): Counter => {
  let size = 0 // the length, as far as it was read
  let digits = 0 // how many of its four bytes were read
  let skip = 0 // what is left of a frame
  return (bytes, length) => {
    let at = 0
    let count = 0
    if (skip > 0) {
      if (skip > length) {
        skip -= length
        return 0
      }
      at = skip
      skip = 0
      count = 1
    }
    while (at < length) {
      size |= bytes[at++]! << (digits * 8)
      if (++digits === 4) {
        at += size
        if (at <= length) count++
        else skip = at - length
        size = 0
        digits = 0
      }
    }
    return count
  }
}

const accepted = (received: Buffer): boolean => received.length > 0

export const relay: System = {
  name: "relay",
  missing: () => undefined,
  version: () => `node ${process.version}`,
  settings: "bare net sockets, nothing parsed; every subscriber gets everything; TCP_NODELAY",
  launch: (port) => ({
    command: process.execPath,
    args: [fileURLToPath(new URL("./RelayServer.ts", import.meta.url)), String(port)]
  }),
  encodeConnect: (role) => Buffer.from(role === "subscriber" ? "S" : "P"),
  connected: accepted,
  // A relay has no subscriptions: there is nothing to send, and nothing to wait for.
  encodeSubscribe: () => Buffer.alloc(0),
  subscribed: () => true,
  encodePublish: (topic, payload, count) => {
    const name = Buffer.from(topic)
    const header = Buffer.alloc(5)
    header.writeUInt32LE(1 + name.length + payload.length)
    header[4] = name.length
    return repeated(Buffer.concat([header, name, payload]), count)
  },
  makeCounter,
  launchQueueing: undefined
}
