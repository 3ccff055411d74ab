import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { ByteWriter, decodeText, encodeText } from "../../../src/protocol/Bytes.ts"
import { encodePublish, forEachMessage, PublishHeader, readPublish } from "../../../src/protocol/Publish.ts"
import { survivors } from "../../../src/services/lmdb/Survivors.ts"

const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

describe("survivors", () => {
  it.prop(
    "survivors - are the messages that are kept, as they were, in runs without a hole",
    {
      frames: Arbitrary.array(Arbitrary.array(between(0, 1), { minLength: 1, maxLength: 6 }), {
        minLength: 1,
        maxLength: 4
      }),
      skip: between(0, 3),
      ttl: between(0, 1)
    },
    ({ frames, skip, ttl }) => {
      const writer = new ByteWriter()
      let written = 0
      frames.forEach((frame, index) => {
        const messages = frame.map(() => ({ key: `k${written}`, payload: encodeText(`${written++}`) }))
        encodePublish(writer, { session: 7, sequence: index, topic: "a.topic", priority: 3, ttl }, messages)
      })
      const left = Math.min(skip, frames[0]!.length - 1)
      const kept = frames.flat().map((flag) => flag === 1)
      const runs = survivors(writer.written(), left, kept.slice(left))
      const found: Array<string> = []
      let end = -1
      for (const { bytes, count, index } of runs) {
        assert.isAbove(index, end, "two runs are one")
        end = index + count
        const header = new PublishHeader()
        assert.isTrue(readPublish(bytes, 0, bytes.length, header))
        assert.deepStrictEqual([header.session, header.priority, header.ttl], [7, 3, ttl])
        assert.isTrue(
          forEachMessage(bytes, 0, bytes.length, 0, count, ({ key, payload }, at) => {
            assert.strictEqual(key, `k${index + at + left}`)
            found.push(decodeText(payload) ?? "")
          })
        )
      }
      const expected = kept.flatMap((isKept, index) => (isKept && index >= left ? [`${index}`] : []))
      assert.deepStrictEqual(found, expected)
    }
  )
})
