import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import type { Duplex } from "../../src/protocol/Duplex.ts"
import { duplexPair } from "../../src/protocol/DuplexPair.ts"
import { hubWith } from "./TestHub.ts"
import { WireClient } from "./WireClient.ts"

interface Written {
  readonly chunk: Uint8Array
  /** What was in it when it was written. */
  readonly copy: Uint8Array
}

/** A client, subscribed, over a hub's end that remembers what was written to it and says that so much is pending. */
const subscribed = Effect.fnUntraced(function* (copies: boolean, pending: number) {
  const [ours, theirs] = duplexPair()
  const written: Array<Written> = []
  const duplex: Duplex = {
    transport: "memory",
    peer: "memory",
    copies,
    pending: () => pending,
    write: (chunks) => {
      const now = chunks.map((chunk) => ({ chunk, copy: chunk.slice() }))
      written.push(...now)
      return ours.write(now.map(({ copy }) => copy))
    },
    pause: ours.pause,
    resume: ours.resume,
    end: ours.end,
    destroy: ours.destroy,
    listen: ours.listen
  }
  const hub = yield* Hub
  hub.serve(duplex)
  const client = new WireClient(theirs)
  client.answersPings = true
  yield* client.begin()
  yield* client.subscribe("a.>")
  written.length = 0
  return { client, written }
})

const rounds = 100

/** So many deliveries of so many messages, each in a turn of its own: the hub writes some 20 KB each time. */
const deliver = Effect.fnUntraced(function* (client: WireClient) {
  for (let round = 0; round < rounds; round++) {
    const texts = Array.from({ length: 8 }, (_, topic) => `${round} ${topic} `.padEnd(2_000, "x"))
    for (const [topic, text] of texts.entries()) client.publish(`a.${topic}`, [text])
    const got = yield* client.messages(1, texts.length)
    assert.deepStrictEqual(
      got.map(({ text }) => text),
      texts
    )
  }
})

const buffersOf = (written: ReadonlyArray<Written>): number =>
  new Set(written.map(({ chunk }) => chunk.buffer)).size

describe("connection writer", () => {
  it.effect("connection writer - memory whose bytes the peer has copied is written to again", () =>
    Effect.gen(function* () {
      const { client, written } = yield* subscribed(true, 0)
      yield* deliver(client)
      // It grows to what a turn takes, and then stays.
      assert.isAtMost(buffersOf(written), 4)
    }).pipe(Effect.provide(hubWith()))
  )

  for (const [what, copies, pending] of [
    ["the peer has not taken all", true, 1],
    ["the peer may hold it", false, 0]
  ] as const) {
    it.effect(`connection writer - what was written stays as it is while ${what}`, () =>
      Effect.gen(function* () {
        const { client, written } = yield* subscribed(copies, pending)
        yield* deliver(client)
        assert.isAbove(buffersOf(written), 10)
        for (const { chunk, copy } of written) assert.isTrue(Buffer.from(chunk).equals(copy))
      }).pipe(Effect.provide(hubWith()))
    )
  }
})
