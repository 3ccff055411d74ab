/** Polestar itself, as its command starts it, with all topics in memory; its durable side is in PolestarDurable.ts. */
import { existsSync, readFileSync } from "node:fs"
import { polestarDurable } from "./PolestarDurable.ts"
import { launchHub, main } from "./PolestarHub.ts"
import {
  encodeConnect,
  encodePublish,
  encodeSubscribe,
  fieldsOf,
  makeReader,
  NOTHING,
  Op,
  stamp
} from "./PolestarWire.ts"
import type { Launch, System } from "./System.ts"

const NOW = Buffer.from([0])

const launch = (port: number): Launch => launchHub(port, { POLESTAR_DURABILITY: "> = memory" })

const version = (): string => {
  const found: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))
  const number = found !== null && typeof found === "object" && "version" in found ? found.version : "?"
  return `polestar ${number}, node ${process.version}`
}

export const polestar: System = {
  name: "polestar",
  missing: () => (existsSync(main) ? undefined : "src/main.ts is not there"),
  version,
  settings:
    "all topics in memory; subscriptions wait; no receipts; the memory case: see launchQueueing in bench/peers/Polestar.ts",
  launch,
  launchQueueing: (port) => ({
    ...launch(port),
    env: {
      ...launch(port).env,
      POLESTAR_CLIENT_QUEUE_SIZE: "2000000",
      POLESTAR_CLIENT_QUEUE_BYTES: String(2 ** 30),
      // The stalled subscriber is not to be closed for what it is there for.
      POLESTAR_CLIENT_WRITE_TIMEOUT: "600000",
      POLESTAR_READ_TIMEOUT: "600000"
    }
  }),
  encodeConnect: () => encodeConnect(NOTHING),
  connected: (bytes) => fieldsOf(bytes, Op.Opened) !== undefined,
  encodeSubscribe: (pattern) => encodeSubscribe(pattern, NOW),
  subscribed: (bytes) => fieldsOf(bytes, Op.Subscribed) !== undefined,
  encodePublish: (topic, payload, count) => encodePublish(topic, payload, count, 0),
  stamp,
  makeCounter: () => makeReader({}),
  durable: polestarDurable
}
