/** A client of a fake hub that is a member of a group. */
import { Effect, Schema } from "effect"
import { notGiven } from "../../src/protocol/Op.ts"
import { Polestar } from "../../src/sdk/Polestar.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { FakeHub, settle } from "./FakeHub.ts"

export const Numbers = Topic.make("numbers", Schema.Number)
export const inGroup = { group: "g", prefetch: 10 } as const

export const connected = Effect.gen(function* () {
  const hub = new FakeHub()
  const star = yield* Polestar.make({ dial: hub.dial })
  /** Delivers numbers from an offset on. */
  const give = (offset: number, values: ReadonlyArray<unknown>, attempt = 1) => {
    const { session, subscription } = hub.last.of("Join").at(-1) ?? { session: 0, subscription: 0 }
    hub.last.deliver({
      session,
      subscription,
      topic: "numbers",
      offset,
      attempt,
      payloads: values.map(String)
    })
    return settle
  }
  return { hub, star, give }
})

export const acks = (hub: FakeHub) =>
  hub.last.of("Ack").flatMap(({ ranges }) => ranges.map((r) => [r.from, r.to]))

/** Fate, delay, error and first offset of each refusal. */
export const refusals = (hub: FakeHub) =>
  hub.last
    .of("Refuse")
    .map(({ delay, error, fate, ranges }) => [
      fate,
      delay === notGiven.u32 ? "backoff" : delay,
      error,
      ranges[0]?.from
    ])
