/** The two MQTT 3.1.1 brokers, mosquitto and aedes, at QoS 0. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { findProgram, versionOf } from "../Processes.ts"
import { type Counter, repeated, type System } from "./System.ts"

const CONNACK = 0x20
const PUBLISH = 0x30
const SUBACK = 0x90

/** Counts PUBLISH packets by their remaining length; any other packet is skipped. */
const makeCounter = (): Counter => {
  let kind = 0 // the first byte of the packet that we are in, 0 before it
  let size = 0 // its remaining length, as far as it was read
  let shift = 0
  let skip = 0 // what is left of its body
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
      if (kind === PUBLISH) count = 1
      kind = 0
    }
    while (at < length) {
      const byte = bytes[at++]!
      if (kind === 0) {
        kind = byte
        size = 0
        shift = 0
      } else {
        size |= (byte & 127) << shift
        shift += 7
        if (byte < 128) {
          at += size
          if (at > length) {
            skip = at - length
          } else {
            if (kind === PUBLISH) count++
            kind = 0
          }
        }
      }
    }
    return count
  }
}

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

const packet = (kind: number, ...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  const header = [kind]
  let left = body.length
  while (left > 127) {
    header.push((left & 127) | 128)
    left >>= 7
  }
  header.push(left)
  return Buffer.concat([Buffer.from(header), body])
}

const topicName = (dotted: string): string => dotted.replaceAll(".", "/").replace(/>$/, "#")

const wire = {
  repeats: 1,
  encodeConnect: (role: string, index: number) =>
    packet(0x10, text("MQTT"), Buffer.from([4, 2, 0, 0]), text(`${role}${index}`)),
  connected: (received: Buffer) => received.length >= 4 && received[0] === CONNACK && received[3] === 0,
  encodeSubscribe: (pattern: string) =>
    packet(0x82, Buffer.from([0, 1]), text(topicName(pattern)), Buffer.from([0])),
  subscribed: (received: Buffer) => received.length >= 5 && received[0] === SUBACK && received[4] === 0,
  encodePublish: (topic: string, payload: Buffer, count: number) =>
    repeated(packet(PUBLISH, text(topicName(topic)), payload), count),
  makeCounter,
  launchQueueing: undefined
}

const mosquittoSettings = [
  "allow_anonymous true",
  "persistence false",
  "log_type none",
  "set_tcp_nodelay true",
  "max_queued_messages 0"
]

export const mosquitto: System = {
  ...wire,
  name: "mosquitto",
  missing: () => (findProgram("mosquitto") === undefined ? "mosquitto is not installed" : undefined),
  version: () => versionOf("mosquitto", "-h"),
  settings: `QoS 0; ${mosquittoSettings.join(", ")}`,
  launch: (port, dir) => {
    const file = join(dir, "mosquitto.conf")
    writeFileSync(file, [`listener ${port} 127.0.0.1`, ...mosquittoSettings, ""].join("\n"))
    return { command: findProgram("mosquitto") ?? "mosquitto", args: ["-c", file] }
  }
}

const aedesVersion = (): string | undefined => {
  try {
    const file = new URL("../../node_modules/aedes/package.json", import.meta.url)
    const found: unknown = JSON.parse(readFileSync(file, "utf8"))
    return found !== null && typeof found === "object" && "version" in found
      ? String(found.version)
      : undefined
  } catch {
    return undefined
  }
}

export const aedes: System = {
  ...wire,
  name: "aedes",
  missing: () => (aedesVersion() === undefined ? "aedes is not installed (npm install)" : undefined),
  version: () => `aedes ${aedesVersion() ?? "?"}`,
  settings: "QoS 0; defaults; TCP_NODELAY",
  launch: (port) => ({
    command: process.execPath,
    args: [fileURLToPath(new URL("./AedesBroker.ts", import.meta.url)), String(port)]
  })
}
