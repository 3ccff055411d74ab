/** The cases: what each measures, in which unit, and beside which peer its target is set. */
import type { Case, Entry, Scale } from "./Case.ts"
import { durableCases } from "./durable/DurableCases.ts"
import { httpCases } from "./http/HttpCases.ts"
import { measureMemory } from "./Memory.ts"
import type { System } from "./peers/System.ts"
import { measureRoundTrip } from "./RoundTrip.ts"
import { measureThroughput } from "./Throughput.ts"
import { batchedCycle, type Chunk, interleavedCycle, topicNames } from "./Workload.ts"
import { webSocketCases } from "./websocket/WebSocketCases.ts"

export const fullScale: Scale = {
  warmUpMs: 500,
  publishMs: 1_000,
  windowBytes: 4 * 1024 * 1024,
  roundTripWarmUp: 3_000,
  roundTrips: 20_000,
  queued: 1_000_000,
  logged: 1_000_000,
  settleMs: 1_000
}

/** Enough to see that everything works; its figures mean nothing. */
export const quickScale: Scale = {
  ...fullScale,
  warmUpMs: 20,
  publishMs: 50,
  windowBytes: 256 * 1024,
  roundTripWarmUp: 100,
  roundTrips: 500,
  queued: 50_000,
  logged: 50_000,
  settleMs: 100
}

const ONE = "bench.t00000"
const ALL = "bench.>"

/** The one row of a system; none if it cannot be started for the case. */
const entry = (
  { name }: System,
  launch: System["launch"] | undefined,
  measure: Entry["measure"]
): readonly Entry[] => (launch === undefined ? [] : [{ name, launch, measure }])

const throughput = (
  name: string,
  about: string,
  subscribers: number,
  pattern: string,
  cycleOf: (system: System) => readonly Chunk[]
): Case => ({
  name,
  about,
  metrics: [{ name, unit: subscribers === 1 ? "messages/s" : "deliveries/s", peer: "nats" }],
  kind: "live",
  entries: (system) =>
    entry(system, system.launch, (running, { publishMs, warmUpMs, windowBytes }) =>
      measureThroughput(system, running, {
        subscribers,
        pattern,
        cycle: cycleOf(system),
        windowBytes,
        warmUpMs,
        publishMs
      })
    )
})

export const cases: readonly Case[] = [
  throughput(
    "throughput-batched",
    "128 B, one publisher, one subscriber; frames of up to 64 KB where the wire has such",
    1,
    ONE,
    (system) => batchedCycle(system, ONE)
  ),
  throughput(
    "throughput-single",
    "128 B, one publisher, one subscriber; one message in each frame",
    1,
    ONE,
    (system) => interleavedCycle(system, [ONE])
  ),
  throughput(
    "fan-out-10",
    "128 B, one publisher, ten subscribers on ten connections; frames as in throughput-batched",
    10,
    ONE,
    (system) => batchedCycle(system, ONE)
  ),
  throughput(
    "topics-1000",
    "128 B, one publisher, 1,000 topics in turn, one wildcard subscriber; one message in each frame",
    1,
    ALL,
    (system) => interleavedCycle(system, topicNames(1_000))
  ),
  throughput(
    "topics-10000",
    "128 B, one publisher, 10,000 topics in turn, one wildcard subscriber; one message in each frame",
    1,
    ALL,
    (system) => interleavedCycle(system, topicNames(10_000))
  ),
  {
    name: "round-trip",
    about: "one message of 128 B to a subscriber on another connection, one at a time",
    metrics: [
      { name: "round-trip", unit: "us", peer: "relay" },
      { name: "round-trip-p99", unit: "us", peer: "relay" }
    ],
    kind: "live",
    entries: (system) =>
      entry(system, system.launch, (running, { roundTrips, roundTripWarmUp }) =>
        measureRoundTrip(system, running, { topic: ONE, warmUp: roundTripWarmUp, times: roundTrips })
      )
  },
  {
    name: "memory",
    about: "resident memory per message of 128 B queued for a subscriber that has stopped reading",
    metrics: [{ name: "memory", unit: "bytes", peer: undefined }],
    kind: "live",
    repeats: 1,
    entries: (system) =>
      entry(system, system.launchQueueing, (running, { queued, settleMs, windowBytes }) =>
        measureMemory(system, running, { topic: ONE, messages: queued, windowBytes, settleMs })
      )
  },
  ...durableCases,
  ...webSocketCases,
  ...httpCases
]
