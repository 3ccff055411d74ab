/** The guarantees of groups and of receipts, under any schedule of work, failures, crashes and time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { GroupClient } from "./GroupClient.ts"
import type { GroupRules } from "./GroupMembers.ts"
import { GroupRun, type Step, StepKinds } from "./GroupRun.ts"

/** What happens often is here often. */
const often = ["publish", "publish", "join", "acknowledge", "refuse", "advance", "crashMidway"] as const
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...often) }, fc.constantFrom(...StepKinds)),
  a: fc.nat(1000),
  b: fc.nat(1000),
  c: fc.nat(1000)
})
const steps = fc.array(step, { maxLength: 60, size: "max" })

const rules: fc.Arbitrary<Omit<GroupRules, "order">> = fc.record({
  maxDeliveries: fc.constantFrom(0, 1, 2, 4),
  maxInFlight: fc.constantFrom(2, 1000),
  ackWait: fc.constantFrom(300, 1500),
  backoff: fc.constantFrom(1, 700)
})

const Letters = Schema.Array(Schema.Struct({ headers: Schema.Record(Schema.String, Schema.String) }))
const decodeLetters = Schema.decodeUnknownSync(Letters)

/** The offsets of the origin's messages that are dead letters. */
const deadOf = (client: GroupClient, topic: string) =>
  client.ask("dead.show", { topic: `$dead.g.${topic}`, limit: 1000 }).pipe(
    Effect.map((shown) => decodeLetters(shown).map(({ headers }) => Number(headers["polestar-offset"]))),
    Effect.catchTag("Failed", () => Effect.succeed<ReadonlyArray<number>>([]))
  )

const judge = Effect.fnUntraced(function* (run: GroupRun) {
  const wire = yield* run.lives.connect
  yield* wire.begin(1)
  const client = new GroupClient(wire)
  for (const topic of ["a.x", "a.y"]) {
    const { subscription } = yield* wire.subscribe(topic, { start: { _tag: "First" } })
    yield* wire.settled
    const log = wire.delivered(subscription)
    const { stored, unsettled } = run.publisher.texts(topic)
    assert.strictEqual(unsettled, 0, "a frame has no answer")
    assert.deepStrictEqual(log.map(({ text }) => text).sort(), [...stored].sort())
    const offsets = run.publisher.offsets(topic)
    assert.deepStrictEqual(
      offsets,
      [...offsets].sort((one, other) => one - other),
      "not in order"
    )
    const dead = yield* deadOf(client, topic)
    assert.strictEqual(new Set(dead).size, dead.length, "a dead letter is there twice")
    for (const { offset, text } of log) {
      assert.strictEqual(run.model.receipts.get(`${topic}:${offset}`) ?? text, text)
      const message = run.model.find({ topic, offset })
      const isDead = dead.includes(offset)
      assert.isTrue(isDead || run.model.mayBeDone({ topic, offset }), `${text} was lost`)
      if (isDead && message !== undefined)
        assert.isTrue(run.model.mayBeDead(message), `${text} is dead and should not be`)
    }
  }
  const info = yield* client.info("g")
  assert.deepInclude(info, { lag: 0, inFlight: 0, waiting: 0, parked: 0, lost: 0 })
})

const holds = (groupRules: GroupRules, schedule: ReadonlyArray<Step>) =>
  Effect.gen(function* () {
    const run = yield* GroupRun.make(groupRules)
    for (const each of schedule) yield* run.step(each)
    yield* run.finish
    yield* judge(run)
  }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))

/** More of them in a longer run. */
const runs = Number(process.env.GROUP_RUNS ?? 60)

describe("group - against a model", () => {
  for (const order of ["any", "key"] as const) {
    it(`group - order ${order}: any schedule keeps the guarantees`, { timeout: 60_000 + runs * 100 }, () =>
      fc.assert(
        fc.asyncProperty(rules, steps, (rest, schedule) =>
          Effect.runPromise(holds({ ...rest, order }, schedule))
        ),
        { numRuns: runs }
      )
    )
  }
})
