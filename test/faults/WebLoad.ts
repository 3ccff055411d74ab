/** Publishers of every kind that go on until they are refused or cut off, and a record of what the hub said that it took. */
import { Effect, Fiber, Schema, Stream } from "effect"
import * as Topic from "../../src/sdk/Topic.ts"
import { turn } from "../contracts/log/LogKit.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { rawSocket } from "../transports/http/WebHub.ts"
import { connectJson } from "../transports/websocket/JsonPeer.ts"
import { host, sdkClient } from "./Faults.ts"
import { at, KeptConnection } from "./WebFaults.ts"

/** What the hub said that it had taken, by topic. */
export class Accepted {
  readonly ids = new Map<string, Set<string>>()
  private last = 0

  next(): string {
    return `m${++this.last}`
  }

  add(topic: string, id: string): void {
    const known = this.ids.get(topic) ?? new Set()
    this.ids.set(topic, known.add(id))
  }

  get count(): number {
    return [...this.ids.values()].reduce((sum, { size }) => sum + size, 0)
  }
}

const Receipts = Schema.fromJsonString(
  Schema.Struct({ results: Schema.Array(Schema.Struct({ message_id: Schema.optional(Schema.String) })) })
)
const Line = Schema.fromJsonString(
  Schema.Struct({
    message_id: Schema.optional(Schema.String),
    error: Schema.optional(Schema.Struct({ code: Schema.String })),
    last: Schema.optional(Schema.Boolean)
  })
)

/** Publishes one by one until it is refused or cut off. Answers the refusal, if there was one. */
export const publishOnes = Effect.fnUntraced(function* (webPort: number, topic: string, accepted: Accepted) {
  const connection = yield* KeptConnection.open(webPort)
  for (;;) {
    const id = accepted.next()
    const answer = yield* Effect.option(connection.ask("/api/v1/messages", { topic, id, payload: id }))
    if (answer._tag === "None") return undefined
    if (answer.value.status !== 202) return answer.value
    accepted.add(topic, id)
  }
})

export const publishMany = Effect.fnUntraced(function* (webPort: number, topic: string, accepted: Accepted) {
  const connection = yield* KeptConnection.open(webPort)
  for (;;) {
    const messages = range(50).map(() => ({ topic, id: accepted.next(), payload: "x".repeat(200) }))
    const answer = yield* Effect.option(connection.ask("/api/v1/messages/bulk", { messages }))
    if (answer._tag === "None") return undefined
    if (answer.value.status !== 202) return answer.value
    const { results } = yield* Schema.decodeEffect(Receipts)(answer.value.text)
    for (const [index, { id }] of messages.entries())
      if (results[index]?.message_id !== undefined) accepted.add(topic, id)
  }
})

/** One request without an end, a message a line. Answers the last line. */
export const publishLines = Effect.fnUntraced(function* (webPort: number, topic: string, accepted: Accepted) {
  const raw = yield* at(webPort)(rawSocket)
  raw.write(
    "POST /api/v1/messages/bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
  )
  const sent: Array<string> = []
  const sending = Effect.gen(function* () {
    for (;;) {
      const ids = range(10).map(() => accepted.next())
      const lines = ids.map((id) => `${JSON.stringify({ topic, id, payload: id })}\n`).join("")
      raw.write(`${lines.length.toString(16)}\r\n${lines}\r\n`)
      sent.push(...ids)
      yield* Effect.sleep(5)
      // What has come is read before more is written: what is written to a connection that has ended loses it.
      yield* turn
    }
  })
  const fiber = yield* Effect.forkScoped(sending)
  yield* raw.closed
  yield* Fiber.interrupt(fiber)
  const lines = raw.text.split(/\r?\n/).filter((line) => line.startsWith("{"))
  let last: typeof Line.Type = {}
  for (const [index, text] of lines.entries()) {
    last = yield* Schema.decodeEffect(Line)(text)
    const id = sent[index]
    if (last.message_id !== undefined && id !== undefined) accepted.add(topic, id)
  }
  return last
})

/** Publishes by WebSocket, some at a time, until it is closed. Answers how. */
export const publishFrames = Effect.fnUntraced(function* (
  webPort: number,
  topic: string,
  accepted: Accepted
) {
  const peer = yield* connectJson(`ws://${host}:${webPort}/ws`)
  const ended = Effect.callback<{ readonly code: number; readonly reason: string }>((resume) => {
    peer.socket.once("close", (code, reason) => resume(Effect.succeed({ code, reason: reason.toString() })))
  })
  const sending = Effect.gen(function* () {
    for (;;) {
      for (const _ of range(5)) {
        const id = accepted.next()
        peer.send({ type: "publish", topic, message: { id, payload: id }, request_id: id })
      }
      yield* Effect.sleep(3)
    }
  })
  const fiber = yield* Effect.forkScoped(sending)
  const closed = yield* ended
  yield* Fiber.interrupt(fiber)
  for (const { request_id, type } of peer.waiting())
    if (type === "ack" && typeof request_id === "string") accepted.add(topic, request_id)
  return closed
})

const Text = Topic.make("load.sdk", Schema.String)

/** By the SDK, which goes on trying: until the scope closes. */
export const publishBySdk = Effect.fnUntraced(function* (port: number, accepted: Accepted) {
  const star = yield* sdkClient(port)
  const one = Effect.suspend(() => {
    const id = accepted.next()
    return Effect.map(star.publish(Text, id, { id }), () => accepted.add("load.sdk", id))
  })
  yield* Effect.forkScoped(Effect.forever(one))
  const { messages } = yield* (yield* sdkClient(port)).open(Text, { overflow: "wait" })
  yield* Effect.forkScoped(Stream.runDrain(messages))
})
