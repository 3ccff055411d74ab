/** The cases of systems that keep their messages on disk. */
import type { Case, Entry, Scale } from "../Case.ts"
import type { Running } from "../Processes.ts"
import type { System } from "../peers/System.ts"
import type { Sample } from "../Throughput.ts"
import { payloadOf } from "../Workload.ts"
import type { DurableSystem } from "./DurableSystem.ts"
import { measureLatency } from "./Latency.ts"
import { measureLog } from "./Log.ts"
import { measureDurablePublish } from "./Publish.ts"

const SMALL = payloadOf(128)
const LARGE = payloadOf(1024)
const PEER = "jetstream"

/** A row for each durable variant of a system that the case is for. */
const entries =
  (
    measure: (durable: DurableSystem, running: Running, scale: Scale) => Promise<Sample>,
    names?: readonly string[]
  ) =>
  ({ durable }: System): readonly Entry[] =>
    (durable ?? [])
      .filter(({ name }) => names === undefined || names.includes(name))
      .map((variant) => ({
        name: variant.name,
        launch: variant.launch,
        measure: (running, scale) => measure(variant, running, scale)
      }))

const publish = (name: string, about: string, publishers: number, payload: Buffer): Case => ({
  name,
  about,
  kind: "durable",
  metrics: [{ name, unit: "messages/s", peer: PEER }],
  entries: entries((durable, running, { publishMs, warmUpMs, windowBytes }) =>
    measureDurablePublish(durable, running, { publishers, payload, windowBytes, warmUpMs, publishMs })
  )
})

export const durableCases: readonly Case[] = [
  publish("durable-publish", "128 B to disk, one publisher, pipelined; until every receipt came", 1, SMALL),
  publish("durable-publish-1k", "1 KB to disk, one publisher, pipelined; until every receipt came", 1, LARGE),
  publish(
    "durable-publish-8",
    "128 B to disk, eight publishers, pipelined, the same window for all together",
    8,
    SMALL
  ),
  {
    name: "durable-latency",
    about: "128 B to disk, one at a time: from the write of a message to its receipt",
    kind: "durable",
    metrics: [
      { name: "durable-latency", unit: "us", peer: PEER },
      { name: "durable-latency-p99", unit: "us", peer: PEER }
    ],
    entries: entries(
      (durable, running, { publishMs, warmUpMs }) =>
        measureLatency(durable, running, { payload: SMALL, warmUpMs, publishMs }),
      ["polestar", "jetstream", "redis-everysec", "redis-always"]
    )
  },
  {
    name: "durable-log",
    about:
      "a log of a million messages of 128 B: acknowledged by a group, replayed, its size, opened after kill -9",
    kind: "durable",
    repeats: 1,
    metrics: [
      { name: "durable-consume", unit: "messages/s", peer: PEER },
      { name: "durable-replay", unit: "messages/s", peer: PEER },
      { name: "durable-disk", unit: "bytes", peer: PEER },
      { name: "durable-open", unit: "ms", peer: PEER },
      { name: "durable-open-empty", unit: "ms", peer: PEER }
    ],
    entries: entries(
      (durable, running, { logged, settleMs, windowBytes }) =>
        measureLog(durable, running, { payload: SMALL, messages: logged, windowBytes, settleMs }),
      ["polestar", "jetstream", "redis-everysec"]
    )
  }
]
