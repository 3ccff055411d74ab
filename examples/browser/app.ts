/**
 * One page: it publishes, hears everything on `demo.>`, and shows whether it is connected. When the hub restarts it
 * connects again by itself, goes on where it was, and says what it missed. See `serve.ts` for how to open it.
 */
import { Effect, Queue, Schedule, Stream } from "effect"
import { type ConnectionState, Polestar, type PolestarError, Topic } from "../../src/browser.ts"
import { addLine, hubUrl, onSubmit, origin, show, token, valueOf } from "./Page.ts"

interface Submit {
  readonly topic: string
  readonly text: string
}

const showState = (state: ConnectionState["_tag"], why = ""): void => {
  show("state", state, state)
  show("why", why)
}

const showStates = Effect.gen(function* () {
  const star = yield* Polestar
  yield* Stream.runForEach(star.states, (state) =>
    Effect.sync(() => showState(state._tag, state._tag === "Reconnecting" ? state.cause.message : ""))
  )
})

const messages = (count: number): string => (count === 1 ? "1 message" : `${count} messages`)

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
              ? `missed ${messages(event.to.offset - event.from.offset)} of ${event.topic}`
              : `${event.topic} began anew: what was sent meanwhile is not known`,
            "missed"
          )
        case "Dropped":
          return addLine("events", `missed ${messages(event.count)} of ${event.topic}: too slow`, "missed")
        case "Recovered":
          return addLine("events", `back again, nothing missed (${event.messages} caught up)`, "recovered")
        case "Undecodable":
          return addLine("events", `${event.topic}: ${event.payload.length} bytes`)
      }
    })
  )
})

const publishing = (submits: Queue.Dequeue<Submit>) =>
  Effect.gen(function* () {
    const star = yield* Polestar
    const { text, topic } = yield* Queue.take(submits)
    const receipt = yield* Effect.result(star.publish(Topic.dynamic(topic), text))
    show(
      "receipt",
      receipt._tag === "Success"
        ? `published to ${topic} at ${receipt.success.position.offset}`
        : `not published: ${receipt.failure.message}`
    )
  })

const connected = (submits: Queue.Dequeue<Submit>) =>
  Effect.all([showStates, showEvents, Effect.forever(publishing(submits))], {
    concurrency: "unbounded",
    discard: true
  }).pipe(Effect.provide(Polestar.layerWebSocket({ name: "page", url: hubUrl(), token: token() })))

const isUnreachable = ({ reason }: PolestarError): boolean => reason._tag === "ConnectFailed"

/** A browser does not tell a page why it could not connect. */
const showFailure = (error: PolestarError): void =>
  isUnreachable(error)
    ? showState("Connecting", `${error.message}. Is a hub there, and does it let ${origin()} in?`)
    : showState("Closed", error.message)

/** Once connected, the client reconnects by itself; until then the page does. */
const patiently = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("5 seconds")])

const program = Effect.gen(function* () {
  // As many as a form could be sent in a hurry.
  const submits = yield* Queue.sliding<Submit>(16)
  onSubmit("publish", () => {
    const topic = valueOf("topic")
    show("receipt", `publishing to ${topic} …`)
    Queue.offerUnsafe(submits, { topic, text: valueOf("text") })
  })
  const error = yield* connected(submits).pipe(
    Effect.tapError((error) => Effect.sync(() => showFailure(error))),
    Effect.retry({ schedule: patiently, while: isUnreachable }),
    Effect.flip
  )
  // The hub has said for good: whoever still publishes is told.
  yield* Effect.forever(
    Effect.map(Queue.take(submits), () => show("receipt", `not published: ${error.message}`))
  )
})

Effect.runFork(program)
