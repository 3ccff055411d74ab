/**
 * A process of publishers for tests, each with a connection of its own: it publishes [who, 0], [who, 1], … in batches
 * of many sizes, several at once. Arguments: port, topic, the first publisher, publishers, messages of each.
 * It tells its parent the offsets of the receipts, by publisher.
 */
import { Effect, Schema } from "effect"
import * as Topic from "../../src/sdk/Topic.ts"
import { chance } from "../protocol/Chance.ts"
import { sdkClient } from "./Faults.ts"

const [port = 0, first = 0, count = 0, messages = 0] = process.argv.slice(3).map(Number)
const topic = Topic.make(process.argv[2] ?? "", Schema.Tuple([Schema.Number, Schema.Number]))

const publisher = Effect.fnUntraced(function* (who: number) {
  const random = chance(who)
  const star = yield* sdkClient(port)
  const batches: Array<ReadonlyArray<readonly [number, number]>> = []
  for (let sent = 0; sent < messages; ) {
    const size = Math.min(messages - sent, 1 + random.below(60))
    const from = sent
    batches.push(Array.from({ length: size }, (_, index) => [who, from + index] as const))
    sent += size
  }
  const receipts = yield* Effect.forEach(batches, (batch) => star.publishAll(topic, batch), {
    concurrency: 8
  })
  return { who, offsets: receipts.flat().map(({ position }) => position.offset) }
})

const all = Effect.forEach(
  Array.from({ length: count }, (_, index) => first + index),
  (who) => Effect.scoped(publisher(who)),
  { concurrency: "unbounded" }
)

process.on("disconnect", () => process.exit(0))
process.on("message", () => {
  Effect.runFork(Effect.map(all, (published) => process.send?.({ published })))
})
process.send?.({ ready: true })
