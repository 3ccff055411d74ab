/**
 * A chat over a channel: whoever knows the channel's UUID hears the others, and never themselves. All clients here
 * share one connection, and do not touch each other.
 *
 *     node examples/chat.ts
 */
import { Console, Effect, Fiber, Schema, Stream } from "effect"
import { Channel, Polestar } from "../src/index.ts"

const Line = Channel.make(Schema.Struct({ from: Schema.String, text: Schema.String }))

const room = crypto.randomUUID()
const elsewhere = crypto.randomUUID()

/** Joins, and prints the first `count` lines of the others. */
const participant = Effect.fn("participant")(function* (name: string, uuid: string, count: number) {
  const channel = yield* Line.join(uuid)
  const listening = yield* channel.subscribe.pipe(
    Stream.take(count),
    Stream.runForEach(({ from, text }) => Console.log(`${name} hears ${from}: ${text}`)),
    Effect.forkScoped({ startImmediately: true })
  )
  return { say: (text: string) => channel.publish({ from: name, text }), done: Fiber.join(listening) }
})

const program = Effect.gen(function* () {
  const ada = yield* participant("ada", room, 1)
  const alan = yield* participant("alan", room, 1)
  const grace = yield* participant("grace", room, 2)
  const outsider = yield* participant("outsider", elsewhere, 1)
  yield* ada.say("hello, room")
  yield* alan.say("hello, ada")
  yield* outsider.say("is anybody here?")
  yield* Effect.all([ada.done, alan.done, grace.done], { concurrency: "unbounded", discard: true })
}).pipe(Effect.scoped)

await Effect.runPromise(program.pipe(Effect.provide(Polestar.layerEmbedded())))
