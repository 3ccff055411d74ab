/**
 * One page: it publishes, hears everything on `demo.>`, and shows whether it is connected. When the hub restarts it
 * connects again by itself, goes on where it was, and says what it missed. See `serve.ts` for how to open it.
 */
import { Effect, Queue, Schedule, Stream } from "effect"
import { Polestar, Topic } from "../../src/browser.ts"
import { addLine, hubUrl, onSubmit, show, valueOf } from "./Page.ts"

/** As many as a form could be sent in a hurry. */
const submits = Queue.sliding<{ readonly topic: string; readonly text: string }>(16)

const showEvents = Effect.gen(function* () {
  const star = yield* Polestar
  yield* Stream.runForEach(star.events(Topic.dynamic("demo.>")), (event) =>
    Effect.sync(() => {
      switch (event._tag) {
        case "Message":
          return addLine("events", `${event.topic}: ${JSON.stringify(event.value)}`)
        case "Gap":
          return addLine(
            "events",
            event.from.epoch === event.to.epoch
              ? `missed ${event.to.offset - event.from.offset} messages of ${event.topic}`
              : `${event.topic} began anew: what was sent meanwhile is not known`,
            "missed"
          )
        case "Dropped":
          return addLine("events", `missed ${event.count} messages of ${event.topic}: too slow`, "missed")
        case "Recovered":
          return addLine("events", `back again, nothing missed (${event.messages} caught up)`, "recovered")
        case "Undecodable":
          return addLine("events", `${event.topic}: ${event.payload.length} bytes`)
      }
    })
  )
})

const showState = Effect.gen(function* () {
  const star = yield* Polestar
  yield* Stream.runForEach(star.states, (state) => Effect.sync(() => show("state", state._tag)))
})

const program = Effect.gen(function* () {
  const star = yield* Polestar
  const queue = yield* submits
  onSubmit("publish", () => {
    Queue.offerUnsafe(queue, { topic: valueOf("topic"), text: valueOf("text") })
  })
  const publishing = Effect.gen(function* () {
    const { text, topic } = yield* Queue.take(queue)
    const receipt = yield* Effect.result(star.publish(Topic.dynamic(topic), text))
    show(
      "receipt",
      receipt._tag === "Success"
        ? `published to ${topic} at ${receipt.success.position.offset}`
        : `not published: ${receipt.failure.message}`
    )
  })
  yield* Effect.all([showState, showEvents, Effect.forever(publishing)], { concurrency: "unbounded" })
})

// Once connected, the client reconnects by itself; until then the page does.
const layer = Polestar.layerWebSocket({ name: "page", url: hubUrl() })
Effect.runFork(program.pipe(Effect.provide(layer), Effect.retry(Schedule.spaced("1 second"))))
