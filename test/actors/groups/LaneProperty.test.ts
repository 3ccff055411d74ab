import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Lane, type LaneRules } from "../../../src/actors/groups/Lane.ts"
import { checksum } from "../../../src/actors/groups/LaneState.ts"
import { writeU32 } from "../../../src/protocol/Bytes.ts"
import { chance, mutated } from "../../protocol/Chance.ts"
import { LaneRun, type Step, StepKinds } from "./LaneRun.ts"

/** What happens often is here often. */
const often = ["push", "give", "give", "give", "acknowledge", "refuse", "advance", "supply"] as const
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...often) }, fc.constantFrom(...StepKinds)),
  a: fc.nat(1000),
  b: fc.nat(1000),
  c: fc.nat(1000)
})
const steps = fc.array(step, { maxLength: 120, size: "max" })

const rules: fc.Arbitrary<Omit<LaneRules, "order">> = fc.record({
  maxDeliveries: fc.nat(3),
  backoff: fc.constantFrom(0, 5, 10),
  maxBackoff: fc.constantFrom(5, 30)
})

/** A lane after a schedule, as its state. */
const stateAfter = (order: "any" | "key", schedule: ReadonlyArray<Step>): Uint8Array => {
  const run = new LaneRun({ order, maxDeliveries: 3, backoff: 10, maxBackoff: 40 })
  for (const each of schedule) run[each.kind](each)
  return run.lane.encode()
}

describe("lane - against a model", () => {
  for (const order of ["any", "key"] as const) {
    it(`order "${order}": any schedule leaves what the model has`, () => {
      fc.assert(
        fc.property(rules, steps, (rest, schedule) => {
          new LaneRun({ order, ...rest }).run(schedule)
        }),
        { numRuns: 300 }
      )
    })
  }
})

describe("lane - state that is damaged", () => {
  it("whatever bytes there are, decoding does not throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.isUndefined(decode("any", bytes))
        decode("key", sealed(bytes))
        decode("any", sealed(Uint8Array.of(1, ...bytes)))
      })
    )
  })

  it("a state that was cut, or has another byte, is none", () => {
    fc.assert(
      fc.property(fc.constantFrom("any", "key"), steps, fc.nat(), fc.nat(254), (order, schedule, at, by) => {
        const bytes = stateAfter(order, schedule)
        assert.isDefined(decode(order, bytes))
        assert.isUndefined(decode(order, bytes.slice(0, at % bytes.length)))
        const flipped = bytes.slice()
        flipped[at % bytes.length]! ^= by + 1
        assert.isUndefined(decode(order, flipped))
      }),
      { numRuns: 100 }
    )
  })

  it("what passes for a state is one that works", () => {
    const random = chance(7)
    let taken = 0
    fc.assert(
      fc.property(fc.constantFrom("any", "key"), steps, (order, schedule) => {
        const body = stateAfter(order, schedule).slice(0, -4)
        for (let left = 50; left > 0; left--) {
          const lane = decode(order, sealed(mutated(random, body)))
          if (lane === undefined) continue
          taken++
          let end = 0
          for (const entry of lane.entries()) {
            assert.isAtLeast(entry.offset, end)
            assert.isAbove(entry.count, 0)
            end = entry.offset + entry.count
          }
          assert.isAtMost(end, lane.next)
          assert.deepStrictEqual(decode(order, lane.encode())?.encode(), lane.encode())
          lane.expire(Infinity)
          lane.release()
          assert.isTrue(lane.pending === lane.ready + lane.dying)
          const { pending } = lane
          assert.strictEqual(lane.acknowledge(0, lane.next), pending)
        }
      }),
      { numRuns: 60 }
    )
    assert.isAbove(taken, 100)
  })
})

const decode = (order: "any" | "key", bytes: Uint8Array) =>
  Lane.decode<string>(bytes, { order, maxDeliveries: 3, backoff: 10, maxBackoff: 40 })

/** The bytes with the checksum of a state. */
const sealed = (body: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(body.length + 4)
  bytes.set(body)
  writeU32(bytes, body.length, checksum(body, body.length))
  return bytes
}
