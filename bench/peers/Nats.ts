/** nats-server with its defaults: core, and JetStream as its durable side. */
import { findProgram, versionOf } from "../Processes.ts"
import { jetStream } from "./JetStream.ts"
import { type Counter, repeated, type System } from "./System.ts"

const CR = 13
const LF = 10
const SPACE = 32
const MINUS = 45
const M = 77

/** Counts `MSG <subject> <sid> <bytes>␍␊<payload>␍␊`; other lines (`PING`, `INFO`, `+OK`) pass, `-ERR` throws. */
const makeCounter = (): Counter => {
  let kind = 0 // the first byte of the line that we are in, 0 before it
  let size = 0 // the number after the line's last space
  let skip = 0 // what is left of a payload and its line end
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
      const byte = bytes[at++]!
      if (kind === 0) {
        kind = byte
        size = 0
      } else if (byte === SPACE) {
        size = 0
      } else if (byte === LF) {
        if (kind === M) {
          at += size + 2
          if (at <= length) count++
          else skip = at - length
        } else if (kind === MINUS) {
          throw new Error("nats-server answered -ERR")
        }
        kind = 0
      } else if (byte !== CR) {
        size = (size * 10 + byte - 48) | 0
      }
    }
    return count
  }
}

const ponged = (received: Buffer): boolean => received.includes("PONG\r\n")

export const nats: System = {
  name: "nats",
  missing: () => (findProgram("nats-server") === undefined ? "nats-server is not installed" : undefined),
  version: () => versionOf("nats-server", "-v"),
  settings: "defaults; verbose off",
  launch: (port) => ({
    command: findProgram("nats-server") ?? "nats-server",
    args: ["-a", "127.0.0.1", "-p", String(port)]
  }),
  encodeConnect: () => Buffer.from(`CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\nPING\r\n`),
  connected: ponged,
  encodeSubscribe: (pattern) => Buffer.from(`SUB ${pattern} 1\r\nPING\r\n`),
  subscribed: ponged,
  encodePublish: (topic, payload, count) =>
    repeated(
      Buffer.concat([Buffer.from(`PUB ${topic} ${payload.length}\r\n`), payload, Buffer.from("\r\n")]),
      count
    ),
  makeCounter,
  launchQueueing: undefined,
  durable: [jetStream]
}
