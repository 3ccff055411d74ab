/**
 * `polestar bench`: what the SDK reaches with a hub from this machine, in throughput and round trip. It measures
 * both with itself: for figures of the hub beside other brokers see `npm run bench`.
 */
import { Array as Arr, Clock, Context, Effect, Fiber, Layer, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { Polestar } from "../sdk/Polestar.ts"
import * as Topic from "../sdk/Topic.ts"
import { atLeast, between } from "./Flags.ts"
import { Output } from "./Output.ts"
import { connect, targetFlags } from "./Target.ts"

const count = (flag: Flag.Flag<number>, description: string, value: number) =>
  flag.pipe(Flag.withDescription(`${description} (default ${value})`), Flag.withDefault(value))

const flags = {
  messages: count(atLeast("messages", 1), "Messages to publish", 200_000),
  size: count(between("size", 0, 1_048_576), "Bytes of each", 128),
  batch: count(between("batch", 1, 100_000), "Messages that are published at once", 500),
  subscribers: count(between("subscribers", 0, 1000), "Subscribers, each on a connection of its own", 1),
  roundTrips: count(between("round-trips", 0, 1_000_000), "Round trips of one message to measure", 1000),
  ...targetFlags
}

type Flags = Command.Command.Config.Infer<typeof flags>

export const bench = Command.make("bench", flags, (given) =>
  Effect.gen(function* () {
    const topic = Topic.raw<string>(`bench.${crypto.randomUUID()}`)
    yield* throughput(given, topic)
    if (given.roundTrips > 0) yield* roundTrips(given, topic)
  }).pipe(Effect.scoped, Effect.provide([connect(given, { name: "polestar bench" }), Output.layer]))
).pipe(
  Command.withDescription(
    "Measure throughput and round trips with a hub, through the SDK. Subscribers hold back the publisher, so what " +
      "is published is delivered. What it published stays with the hub, under a topic bench.<id> of its own, for as " +
      "long as the hub keeps messages"
  ),
  Command.withShortDescription("Measure throughput and round trips with a hub")
)

type BenchTopic = Topic.LiteralTopic<Uint8Array>

/** A subscriber that has subscribed, and ends when it has all messages. */
const subscriber = Effect.fnUntraced(function* (given: Flags, topic: BenchTopic) {
  const client = yield* Layer.build(connect(given, { name: "polestar bench subscriber" }))
  const star = Context.get(client, Polestar)
  const { messages } = yield* star.open(topic, { overflow: "wait", queueSize: 10_000 })
  let received = 0
  const all = Stream.takeUntil(messages, () => ++received === given.messages)
  return yield* Effect.forkScoped(Stream.runForEachArray(all, () => Effect.void))
})

const throughput = Effect.fnUntraced(function* (given: Flags, topic: BenchTopic) {
  const star = yield* Polestar
  const receivers = yield* Effect.forEach(
    Arr.makeBy(given.subscribers, () => topic),
    (of) => subscriber(given, of)
  )
  const payload = new Uint8Array(given.size)
  const start = yield* Clock.currentTimeNanos
  const batches = Arr.makeBy(Math.ceil(given.messages / given.batch), (index) =>
    Math.min(given.batch, given.messages - index * given.batch)
  )
  // A few at once, so that the connection does not rest while a receipt is on its way.
  yield* Effect.forEach(
    batches,
    (size) =>
      star.publishAll(
        topic,
        Arr.makeBy(size, () => payload)
      ),
    { concurrency: 8, discard: true }
  )
  const published = yield* Clock.currentTimeNanos
  yield* Effect.forEach(receivers, Fiber.join, { discard: true })
  const delivered = yield* Clock.currentTimeNanos
  yield* report("publish", given.messages, Number(published - start) / 1e9)
  if (given.subscribers > 0) {
    yield* report("deliver", given.messages * given.subscribers, Number(delivered - start) / 1e9)
  }
})

const report = Effect.fnUntraced(function* (name: string, messages: number, seconds: number) {
  const output = yield* Output
  const rate = Math.round(messages / seconds)
  yield* output.print({
    text: (paint) =>
      `${paint("cyan", name.padEnd(10))} ${rate.toLocaleString("en")} messages/s ` +
      `(${messages.toLocaleString("en")} in ${seconds.toFixed(3)} s)`,
    json: () => ({ case: name, unit: "messages/s", value: rate, messages, seconds })
  })
})

const roundTrips = Effect.fnUntraced(function* (given: Flags, topic: BenchTopic) {
  const star = yield* Polestar
  const output = yield* Output
  const { messages } = yield* star.open(topic, { overflow: "wait" })
  const payload = new Uint8Array(given.size)
  const times: Array<number> = []
  let sent = yield* Clock.currentTimeNanos
  const send = Effect.gen(function* () {
    sent = yield* Clock.currentTimeNanos
    yield* Effect.forkScoped(star.publish(topic, payload), { startImmediately: true })
  })
  yield* send
  yield* Stream.runForEachArray(Stream.take(messages, given.roundTrips), () =>
    Effect.gen(function* () {
      times.push(Number((yield* Clock.currentTimeNanos) - sent) / 1000)
      if (times.length < given.roundTrips) yield* send
    })
  )
  times.sort((a, b) => a - b)
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))]!
  const [p50, p99] = [at(0.5), at(0.99)]
  yield* output.print({
    text: (paint) =>
      `${paint("cyan", "round trip")} ${p50.toFixed(0)} µs median, ${p99.toFixed(0)} µs p99 (${times.length})`,
    json: () => ({ case: "round-trip", unit: "us", value: p50, p99, messages: times.length })
  })
})
