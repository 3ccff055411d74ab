/** A topic against a list. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { placedTexts } from "../TextBatches.ts"
import { append, between, everything, type LogLayer, type Opened, opened } from "./LogKit.ts"

/** What is done: `numbers` are the frames' sizes of an append, or say where to read. */
export const actions = Arbitrary.array(
  Arbitrary.all({
    kind: between(0, 9),
    wait: between(0, 3),
    numbers: Arbitrary.array(between(1, 4), { minLength: 1, maxLength: 3 }),
    at: between(0, 200)
  }),
  { minLength: 1, maxLength: 25 }
)

interface Kept {
  readonly offset: number
  readonly text: string
  readonly timestamp: number
}

/** What a topic should have. */
export class ModelTopic {
  kept: ReadonlyArray<Kept> = []
  nextOffset = 0
  timestamp = 1

  append(sizes: ReadonlyArray<number>, wait: number): ReadonlyArray<ReadonlyArray<string>> {
    this.timestamp += wait
    return sizes.map((length) =>
      Array.from({ length }, () => {
        const text = `t${this.nextOffset}`
        this.kept = [...this.kept, { offset: this.nextOffset++, text, timestamp: this.timestamp }]
        return text
      })
    )
  }

  get firstOffset(): number {
    return this.kept[0]?.offset ?? this.nextOffset
  }

  from(offset: number): ReadonlyArray<string> {
    return this.kept.filter((each) => each.offset >= offset).map(({ offset, text }) => `${offset}:${text}`)
  }

  offsetAt(time: number): number {
    return this.kept.find(({ timestamp }) => timestamp >= time)?.offset ?? this.nextOffset
  }

  /** The log was opened again: it may have kept all of this, or only its place, or not even that. */
  reopened({ log }: Opened, epoch: number): void {
    if (log.epoch !== epoch) {
      this.kept = []
      this.nextOffset = 0
    } else if (log.firstOffset === log.nextOffset) {
      this.kept = []
    }
  }
}

export const checkAgainst = Effect.fnUntraced(function* ({ log }: Opened, model: ModelTopic, at: number) {
  assert.deepStrictEqual(
    [log.nextOffset, log.messages, log.firstOffset],
    [model.nextOffset, model.kept.length, model.firstOffset]
  )
  if (model.nextOffset > 0) assert.strictEqual(log.lastTimestamp, model.timestamp)
  const offset = model.firstOffset + (at % (model.kept.length + 1))
  assert.deepStrictEqual(placedTexts(yield* log.read(offset, everything)), model.from(offset))
  const time = at % (model.timestamp + 2)
  assert.strictEqual(yield* log.offsetAt(time), model.offsetAt(time), `at ${time}`)
})

export const modelTests = (layer: LogLayer): void => {
  it.effect.prop(
    "message log - does what a list does",
    { actions },
    ({ actions }) =>
      Effect.gen(function* () {
        const model = new ModelTopic()
        let topic = yield* opened("a")
        for (const { at, kind, numbers, wait } of actions) {
          if (kind < 6) {
            const first = model.nextOffset
            const frames = model.append(numbers, wait)
            assert.strictEqual((yield* append(topic, frames, model.timestamp)).offset, first)
          } else if (kind < 7) {
            const { epoch } = topic.log
            topic.log.close()
            topic = yield* opened("a")
            model.reopened(topic, epoch)
          } else if (kind < 8) {
            topic.log.expire(model.timestamp)
          } else {
            yield* checkAgainst(topic, model, at)
          }
        }
        yield* checkAgainst(topic, model, 0)
        yield* checkAgainst(topic, model, actions[0]?.at ?? 0)
      }).pipe(Effect.provide(layer)),
    { arbitrary: { runs: 150 } }
  )
}
