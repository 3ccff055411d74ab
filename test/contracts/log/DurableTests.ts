/** What an engine whose topics outlive the process promises besides: a layer that is closed and built again has it all. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { Batch } from "../../../src/protocol/Batch.ts"
import { MessageLog } from "../../../src/services/MessageLog.ts"
import { textBatch, whole } from "../TextBatches.ts"
import {
  append,
  appendBatch,
  due,
  everything,
  expire,
  heldTexts,
  hold,
  kept,
  type LogLayer,
  nextDue,
  type Opened,
  opened,
  year
} from "./LogKit.ts"
import { actions, checkAgainst, ModelTopic } from "./ModelTests.ts"

/** A life of the engine: the layer is built on a folder and closed at the end. */
type Live = <A, E>(effect: Effect.Effect<A, E, MessageLog>) => Effect.Effect<A, unknown>

/** The test, which is given lives on a folder of its own. */
const onFolder = <A>(
  layerOn: (folder: string) => LogLayer,
  test: (live: Live) => Effect.Effect<A, unknown>
): Effect.Effect<A, unknown> =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "polestar-log-"))),
    (folder) => test((effect) => Effect.provide(effect, layerOn(folder))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )

const placeOf = ({ log }: Opened) => {
  const { bytes, epoch, firstOffset, lastTimestamp, lostUntil, messages, nextOffset } = log
  return { bytes, epoch, firstOffset, lastTimestamp, lostUntil, messages, nextOffset }
}

/** Every topic must be durable, and a message be kept for a year at most, and in a topic 1,000 of them at least. */
export const durableLogContract = (name: string, makeLayer: (folder: string) => LogLayer): void => {
  const test = (what: string, body: (live: Live) => Effect.Effect<unknown, unknown>) =>
    it.effect(`message log - ${what}`, () => onFolder(makeLayer, body))

  describe(`message log of ${name}, closed and opened again`, () => {
    test("what was stored is there, with its place", (live) =>
      Effect.gen(function* () {
        const before = yield* live(
          Effect.gen(function* () {
            const topic = yield* opened("a")
            yield* append(topic, [["a", "b"], ["c"]], 1000)
            yield* append(topic, [["d".repeat(50_000)]], 2000)
            yield* append(yield* opened("b"), [["another"]], 3000)
            return placeOf(topic)
          })
        )
        yield* live(
          Effect.gen(function* () {
            const topic = yield* opened("a")
            assert.deepStrictEqual(placeOf(topic), before)
            assert.deepStrictEqual(yield* kept(topic), ["0:a", "1:b", "2:c", `3:${"d".repeat(50_000)}`])
            assert.deepStrictEqual([yield* topic.log.offsetAt(1000), yield* topic.log.offsetAt(1001)], [0, 3])
            assert.strictEqual((yield* append(topic, [["e"]], 4000)).offset, 4)
            assert.deepStrictEqual(yield* kept(yield* opened("b")), ["0:another"])
            assert.strictEqual((yield* MessageLog).bytes(), topic.log.bytes + (yield* opened("b")).log.bytes)
          })
        )
        yield* live(
          Effect.gen(function* () {
            const { log } = yield* opened("a")
            assert.deepStrictEqual([log.epoch, log.nextOffset, log.lastTimestamp], [before.epoch, 5, 4000])
          })
        )
      }))

    test("a batch has its publisher, its sequences and all that a delivery needs", (live) =>
      Effect.gen(function* () {
        const fields = [
          "epoch",
          "offset",
          "timestamp",
          "expires",
          "count",
          "skip",
          "size",
          "priority",
          "publisherId",
          "incarnation",
          "firstSequence",
          "lastSequence",
          "records"
        ] as const
        const valuesOf = (batch: Batch) => fields.map((field) => [field, batch[field]])
        const written = yield* live(
          Effect.gen(function* () {
            const topic = yield* opened("a")
            const batches: Array<Batch> = []
            for (const id of ["00000000-0000-4000-8000-000000000001", "", "some other name"]) {
              const { bytes, end } = textBatch(topic.owner, [["x"], ["y", "z"]])
              const batch = new Batch(topic.owner, bytes, 0, end, 3, 9, id)
              batch.timestamp = 1_700_000_000_123
              batch.expires = 1_900_000_000_456
              batch.incarnation = 4_000_000_000
              batch.firstSequence = 4_294_967_295
              batch.lastSequence = 0
              batch.records = 255
              batches.push(yield* appendBatch(topic, batch))
            }
            return batches.map(valuesOf)
          })
        )
        yield* live(
          Effect.gen(function* () {
            const { log } = yield* opened("a")
            assert.deepStrictEqual(whole(yield* log.read(0, everything)).map(valuesOf), written)
          })
        )
      }))

    test("its topics are known by name, with their places, before they are opened", (live) =>
      Effect.gen(function* () {
        const places = yield* live(
          Effect.gen(function* () {
            const service = yield* MessageLog
            const [a, b] = [yield* opened("a"), yield* opened("b.c")]
            yield* append(a, [["a", "b"]], 1)
            yield* append(b, [["c"]], 1)
            assert.sameMembers([...service.names()], ["a", "b.c"])
            b.log.close()
            assert.sameMembers([...service.names()], ["a", "b.c"])
            return [service.describe("a"), service.describe("b.c")]
          })
        )
        assert.deepInclude(places[0], { firstOffset: 0, nextOffset: 2, messages: 2 })
        yield* live(
          Effect.gen(function* () {
            const service = yield* MessageLog
            assert.sameMembers([...service.names()], ["a", "b.c"])
            assert.deepStrictEqual([service.describe("a"), service.describe("b.c")], places)
            assert.isUndefined(service.describe("b"))
            assert.strictEqual(service.bytes(), places[0]!.bytes + places[1]!.bytes)
          })
        )
      }))

    test("a topic that was removed stays removed", (live) =>
      Effect.gen(function* () {
        const epoch = yield* live(
          Effect.gen(function* () {
            const [a, b] = [yield* opened("a"), yield* opened("b")]
            for (const topic of [a, b]) {
              yield* append(topic, [["x", "y"]], 5)
              yield* hold(topic, [topic.owner.name], 100)
            }
            yield* a.log.remove
            return a.log.epoch
          })
        )
        const epochs = new Set([epoch])
        for (let round = 0; round < 3; round++) {
          yield* live(
            Effect.gen(function* () {
              const service = yield* MessageLog
              assert.deepStrictEqual([...service.names()], ["b"])
              assert.isUndefined(service.describe("a"))
              const a = yield* opened("a")
              assert.isFalse(epochs.has(a.log.epoch), "an epoch came back")
              epochs.add(a.log.epoch)
              assert.deepStrictEqual([a.log.nextOffset, a.log.messages, a.log.lastTimestamp], [0, 0, 0])
              assert.deepStrictEqual(yield* kept(a), [])
              yield* append(a, [["new"]], 1)
              assert.deepStrictEqual(yield* kept(a), ["0:new"])
              yield* a.log.remove
              assert.deepStrictEqual(yield* kept(yield* opened("b")), ["0:x", "1:y"])
            })
          )
        }
        yield* live(Effect.map(due(100), (held) => assert.deepStrictEqual(heldTexts(held), ["b"])))
      }))

    test("what retention took does not come again", (live) =>
      Effect.gen(function* () {
        const before = yield* live(
          Effect.gen(function* () {
            const topic = yield* opened("a")
            yield* append(topic, [["a", "b", "c"]], 1000)
            yield* expire(topic, 2 * year, 0)
            yield* append(topic, [["d"]], 2 * year)
            const emptied = yield* opened("b")
            yield* append(emptied, [["a", "b"]], 1000)
            yield* expire(emptied, 2 * year, 0)
            return [placeOf(topic), placeOf(emptied)]
          })
        )
        assert.deepStrictEqual([before[0]?.firstOffset, before[1]?.firstOffset], [3, 2])
        yield* live(
          Effect.gen(function* () {
            const [topic, emptied] = [yield* opened("a"), yield* opened("b")]
            assert.deepStrictEqual([placeOf(topic), placeOf(emptied)], before)
            assert.deepStrictEqual(yield* kept(topic), ["3:d"])
            assert.strictEqual((yield* append(emptied, [["c"]], 2 * year)).offset, 2)
          })
        )
      }))

    test("what was held is due until it is appended or forgotten, whatever it was given to", (live) =>
      Effect.gen(function* () {
        yield* live(
          Effect.gen(function* () {
            const topic = yield* opened("a")
            yield* hold(topic, ["third"], 300)
            yield* hold(topic, ["first"], 100)
            yield* hold(topic, ["second"], 200)
          })
        )
        yield* live(
          Effect.gen(function* () {
            assert.strictEqual(yield* nextDue, 100)
            assert.deepStrictEqual(yield* due(99), [])
            assert.deepStrictEqual(heldTexts(yield* due(200)), ["first", "second"])
            assert.deepStrictEqual(yield* due(200), [], "given twice")
            assert.strictEqual(yield* nextDue, 300)
          })
        )
        yield* live(
          Effect.gen(function* () {
            const topic = yield* opened("a")
            const [first, second] = yield* due(200)
            assert.isDefined(first)
            assert.isDefined(second)
            const batch = yield* appendBatch(topic, first.batch(topic.owner))
            assert.deepStrictEqual([batch.offset, yield* kept(topic)], [0, ["0:first"]])
            second.forget()
            second.forget()
            // Whatever is stored after it, is stored with it.
            yield* append(topic, [["x"]])
          })
        )
        yield* live(
          Effect.gen(function* () {
            assert.strictEqual(yield* nextDue, 300)
            assert.deepStrictEqual(heldTexts(yield* due(1000)), ["third"])
            assert.deepStrictEqual(yield* kept(yield* opened("a")), ["0:first", "1:x"])
          })
        )
      }))

    test("what was on its way at the end is there from the first on, without a gap, or was refused", (live) =>
      Effect.gen(function* () {
        const { batches, owner } = yield* live(
          Effect.gen(function* () {
            const { log, owner } = yield* opened("a")
            const batches = Array.from({ length: 50 }, (_, index) => textBatch(owner, [[`${index}`, "x"]]))
            const atOnce = batches.filter((batch) => log.append(batch))
            assert.deepStrictEqual(atOnce, [])
            return { batches, owner }
          })
        )
        const tags = batches.map((batch) => owner.told.get(batch)?._tag)
        const stored = tags.filter((tag) => tag === "stored").length
        assert.strictEqual(tags.indexOf("stored", stored), -1, "one was stored after one that was not")
        yield* live(
          Effect.gen(function* () {
            const texts = yield* kept(yield* opened("a"))
            assert.isAtLeast(texts.length, stored * 2, "what was told of is not there")
            assert.deepStrictEqual(
              texts,
              batches
                .flatMap((_, index) => [`${index * 2}:${index}`, `${index * 2 + 1}:x`])
                .slice(0, texts.length)
            )
            assert.strictEqual(texts.length % 2, 0)
          })
        )
      }))

    test("a log that outlived its engine refuses", (live) =>
      Effect.gen(function* () {
        const topic = yield* live(opened("a"))
        const error = yield* Effect.flip(append(topic, [["late"]]))
        assert.deepStrictEqual([error.reason, error.topic], ["closed", "a"])
        yield* live(Effect.map(opened("a"), ({ log }) => assert.strictEqual(log.nextOffset, 0)))
      }))

    it.effect.prop(
      "message log - has in each life what a list has that it had before",
      { lives: Arbitrary.array(actions, { minLength: 1, maxLength: 4 }) },
      ({ lives }) =>
        onFolder(makeLayer, (live) =>
          Effect.gen(function* () {
            const model = new ModelTopic()
            let epoch: number | undefined
            for (const life of [...lives, []]) {
              yield* live(
                Effect.gen(function* () {
                  let topic = yield* opened("a")
                  if (model.nextOffset > 0) assert.strictEqual(topic.log.epoch, epoch)
                  yield* checkAgainst(topic, model, 0)
                  for (const { at, kind, numbers, wait } of life) {
                    if (kind < 7) {
                      const frames = model.append(numbers, wait)
                      yield* append(topic, frames, model.timestamp)
                    } else if (kind < 8) {
                      topic.log.close()
                      topic = yield* opened("a")
                    } else {
                      yield* checkAgainst(topic, model, at)
                    }
                    // One in which nothing was stored yet may be another when it is opened again.
                    if (epoch !== undefined) assert.strictEqual(topic.log.epoch, epoch)
                    if (model.nextOffset > 0) epoch = topic.log.epoch
                  }
                })
              )
            }
          })
        ),
      { arbitrary: { runs: 15 } }
    )
  })
}
