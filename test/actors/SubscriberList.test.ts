/** The list against an array, with adding and removing while it is walked. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import { chance } from "../protocol/Chance.ts"
import { hubWith } from "./TestHub.ts"
import { greeted } from "./WireClient.ts"

describe("subscribers", () => {
  it.effect("subscribers - each gets each message once, however many come and go", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* greeted()
      const random = chance(7)
      const subscribed = new Set<number>()
      let next = 0
      for (let round = 0; round < 60; round++) {
        const wanted = random.below(40)
        while (subscribed.size < wanted) {
          yield* client.subscribe("a")
          subscribed.add(++next)
        }
        for (const subscription of [...subscribed].slice(wanted)) {
          const request = client.unsubscribe(subscription)
          yield* client.next("Unsubscribed", (frame) => frame.request === request)
          subscribed.delete(subscription)
        }
        const [topic] = yield* hub.topics("a")
        assert.strictEqual(topic?.subscribers ?? 0, subscribed.size)
        yield* client.publishAndWait("a", [`round ${round}`])
        for (const subscription of subscribed) {
          const texts = (yield* client.messages(subscription, 1)).map(({ text }) => text)
          assert.deepStrictEqual(texts, [`round ${round}`])
        }
      }
      assert.isAbove(next, 100)
    }).pipe(Effect.provide(hubWith()))
  )
})
