/** redis-server's PUBLISH and (P)SUBSCRIBE, without persistence; its streams, which are persistent, are in RedisStreams.ts. */
import { findProgram, versionOf } from "../Processes.ts"
import { command, redisStreams } from "./RedisStreams.ts"
import { type Counter, type Launch, repeated, type System } from "./System.ts"

const LF = 10
const MINUS = 45

/** Counts RESP arrays of bulk strings (`*3␍␊$7␍␊message␍␊…`); an error (`-…`) throws. */
const makeCounter = (): Counter => {
  let parts = 0 // bulk strings left in the array that we are in, 0 before its header
  let size = 0 // the number of the line that we are in
  let skip = 0 // what is left of a bulk string and its line end
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
      if (parts === 0) count = 1
    }
    while (at < length) {
      const byte = bytes[at++]!
      if (byte === LF) {
        if (parts === 0) {
          parts = size
        } else {
          parts--
          at += size + 2
          if (at > length) skip = at - length
          else if (parts === 0) count++
        }
        size = 0
      } else if (byte >= 48) {
        size = (size * 10 + byte - 48) | 0
      } else if (byte === MINUS) {
        throw new Error("redis-server answered an error")
      }
    }
    return count
  }
}

const launch = (port: number, dir: string): Launch => ({
  command: findProgram("redis-server") ?? "redis-server",
  args: [
    ...["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no"],
    ...["--client-output-buffer-limit", "pubsub 0 0 0"]
  ]
})

export const redis: System = {
  name: "redis",
  missing: () => (findProgram("redis-server") === undefined ? "redis-server is not installed" : undefined),
  version: () => versionOf("redis-server", "--version"),
  settings: "no persistence; no output limit for subscribers; CLIENT REPLY OFF at the publisher",
  launch,
  encodeConnect: (role) =>
    role === "publisher"
      ? Buffer.concat([command("PING"), command("CLIENT", "REPLY", "OFF")])
      : command("PING"),
  connected: (received) => received.includes("+PONG\r\n"),
  encodeSubscribe: (pattern) =>
    pattern.endsWith(">") ? command("PSUBSCRIBE", pattern.replace(/>$/, "*")) : command("SUBSCRIBE", pattern),
  subscribed: (received) => received.includes("\r\n:1\r\n"),
  encodePublish: (topic, payload, count) => repeated(command("PUBLISH", topic, payload), count),
  makeCounter,
  launchQueueing: launch,
  durable: redisStreams
}
