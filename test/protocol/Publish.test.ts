import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { ByteWriter, decodeText, encodeText } from "../../src/protocol/Bytes.ts"
import { deliverHeaderBytes, readDeliver, writeDeliverHeader } from "../../src/protocol/Deliver.ts"
import { FrameReader } from "../../src/protocol/FrameReader.ts"
import type { Message } from "../../src/protocol/Message.ts"
import { Op } from "../../src/protocol/Op.ts"
import {
  encodePublish,
  forEachMessage,
  PublishHeader,
  readdressPublish,
  readPublish,
  topicBytesOf
} from "../../src/protocol/Publish.ts"
import { chance, concat } from "./Chance.ts"
import { asRead, encodeRun, messageArbitrary, plain, runArbitrary } from "./MessageArbitraries.ts"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const u32 = whole(0, 4_294_967_295)

const readRun = (bytes: Uint8Array, start: number, end: number, skip: number, count: number) => {
  const messages: Array<Message> = []
  const isWhole = forEachMessage(bytes, start, end, skip, count, (message, index) => {
    assert.strictEqual(index, messages.length)
    messages.push(plain(message))
  })
  return { messages, isWhole }
}

const header = {
  session: u32,
  sequence: u32,
  priority: whole(0, 9),
  ttl: u32,
  deliverAt: whole(0, Number.MAX_SAFE_INTEGER),
  receipt: Schema.Boolean,
  resent: Schema.Boolean
}

describe("publish - frames", () => {
  it.effect.prop(
    "publish - the header comes back",
    {
      options: Schema.Struct(header),
      messages: Arbitrary.array(messageArbitrary, { minLength: 1, maxLength: 5 })
    },
    ({ messages, options }) =>
      Effect.sync(() => {
        const writer = new ByteWriter(1)
        writer.raw(new Uint8Array(7))
        assert.isUndefined(encodePublish(writer, { ...options, topic: "weather.é" }, messages))
        const bytes = writer.written()
        const read = new PublishHeader()
        assert.isTrue(readPublish(bytes, 7, bytes.length, read))
        const { session, sequence, priority, ttl, deliverAt, receipt, resent } = options
        const { session: s, sequence: q, count, priority: p, ttl: t, deliverAt: d } = read
        assert.deepStrictEqual(
          [s, q, count, p, t, d],
          [session, sequence, messages.length, priority, ttl, deliverAt]
        )
        const flags = (receipt ? 1 : 0) | (ttl > 0 ? 2 : 0) | (deliverAt > 0 ? 4 : 0) | (resent ? 8 : 0)
        assert.strictEqual(read.flags, flags)
        assert.strictEqual(decodeText(bytes.subarray(read.topicStart, read.topicEnd)), "weather.é")
        assert.deepStrictEqual(topicBytesOf(bytes, 7, bytes.length), encodeText("weather.é"))
        const { isWhole, messages: found } = readRun(bytes, 7, bytes.length, 0, count)
        assert.isTrue(isWhole)
        assert.deepStrictEqual(found, messages.map(asRead))
      })
  )

  it("publish - a message that is refused leaves nothing written", () => {
    const writer = new ByteWriter()
    const messages = [{ payload: encodeText("a") }, { payload: encodeText("b"), id: "i".repeat(256) }]
    assert.strictEqual(
      encodePublish(writer, { session: 1, sequence: 1, topic: "a" }, messages),
      "id-too-long"
    )
    assert.strictEqual(writer.at, 0)
  })

  it("publish - a header that is cut off or out of range is refused", () => {
    const read = new PublishHeader()
    const { bytes } = encodeRun("abc", [[{ payload: new Uint8Array(0) }]], 1000)
    const records = bytes.length - 5
    for (let end = 0; end < records; end++) assert.isFalse(readPublish(bytes, 0, end, read), `cut to ${end}`)
    assert.isTrue(readPublish(bytes, 0, bytes.length, read))
    assert.strictEqual(read.records, records)
    const with_ = (at: number, value: number) => {
      const copy = bytes.slice()
      copy[at] = value
      return readPublish(copy, 0, copy.length, read)
    }
    assert.isFalse(with_(5, 16), "an unknown flag")
    assert.isFalse(with_(14, 0), "no records")
    assert.isFalse(with_(16, 10), "a priority above 9")
    assert.isFalse(with_(17, 255), "a topic longer than the frame")
  })

  it("publish - a frame that is sent again is another session's, and says so", () => {
    const { bytes } = encodeRun("abc", [[{ payload: encodeText("x") }]])
    readdressPublish(bytes, 77, 88)
    const read = new PublishHeader()
    assert.isTrue(readPublish(bytes, 0, bytes.length, read))
    assert.deepStrictEqual([read.session, read.sequence, read.flags], [77, 88, 8])
  })
})

describe("publish - runs", () => {
  it.effect.prop(
    "publish - skip and count take what a list would give",
    { run: runArbitrary, skip: whole(0, 22), count: whole(1, 22) },
    ({ count, run, skip }) =>
      Effect.sync(() => {
        const { bytes } = encodeRun("a.b", run)
        const padded = concat([new Uint8Array(3), bytes, new Uint8Array(5)])
        const all = run.flat().map(asRead)
        const { isWhole, messages } = readRun(padded, 3, 3 + bytes.length, skip, count)
        assert.deepStrictEqual(messages, all.slice(skip, skip + count))
        assert.strictEqual(isWhole, skip + count <= all.length)
      }),
    { arbitrary: { runs: 500 } }
  )

  it("publish - a run with something else in it ends there", () => {
    const { bytes, ends } = encodeRun("a", [[{ payload: encodeText("x") }], [{ payload: encodeText("y") }]])
    for (const [at, value] of [
      [ends[0]! + 4, Op.Deliver],
      [ends[0]! + 14, 0],
      [ends[0]!, 255]
    ] as const) {
      const copy = bytes.slice()
      copy[at] = value
      const { isWhole, messages } = readRun(copy, 0, copy.length, 0, 2)
      assert.isFalse(isWhole)
      assert.strictEqual(messages.length, 1)
    }
  })

  it("publish - runs by chance end", () => {
    const random = chance(31)
    const { bytes } = encodeRun("a", [
      [{ payload: encodeText("xyz"), id: "i" }],
      [{ payload: encodeText("y") }]
    ])
    for (let left = 5000; left > 0; left--) {
      const copy = bytes.slice()
      for (let times = random.below(4); times >= 0; times--)
        copy[random.below(copy.length)] = random.below(256)
      readRun(copy, 0, copy.length, random.below(4), 1 + random.below(70_000))
    }
  })
})

describe("deliver - frames", () => {
  it.effect.prop(
    "deliver - the header comes back and the frames are where they were put",
    {
      session: u32,
      subscription: u32,
      attempt: whole(0, 255),
      skip: u32,
      count: u32,
      epoch: whole(0, Number.MAX_SAFE_INTEGER),
      offset: whole(0, Number.MAX_SAFE_INTEGER),
      timestamp: whole(0, Number.MAX_SAFE_INTEGER)
    },
    ({ attempt, session, subscription, ...place }) =>
      Effect.sync(() => {
        const body = Uint8Array.of(9, 8, 7)
        const bytes = concat([new Uint8Array(2 + deliverHeaderBytes), body])
        const batch = { ...place, bytes: body, start: 0, end: 3 }
        writeDeliverHeader(bytes, 2, session, subscription, batch, attempt)
        const reader = new FrameReader(1000)
        reader.push(bytes.subarray(2))
        assert.isTrue(reader.next())
        assert.strictEqual(reader.op, Op.Deliver)
        assert.deepStrictEqual(readDeliver(bytes, 2, bytes.length), {
          session,
          subscription,
          attempt,
          ...place,
          bytes,
          start: 2 + deliverHeaderBytes,
          end: bytes.length
        })
      })
  )

  it("deliver - a header that is cut off is refused", () => {
    const bytes = new Uint8Array(deliverHeaderBytes)
    for (let end = 0; end < deliverHeaderBytes; end++) assert.isUndefined(readDeliver(bytes, 0, end))
    assert.isDefined(readDeliver(bytes, 0, deliverHeaderBytes))
  })
})
