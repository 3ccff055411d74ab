import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { ByteWriter } from "../../src/protocol/Bytes.ts"
import { decodeFrame, encodeFrame, type Frame, writeFrame } from "../../src/protocol/Frame.ts"
import { Op } from "../../src/protocol/Op.ts"
import { chance, concat, mutated } from "./Chance.ts"
import { frameArbitraries, frameArbitrary } from "./FrameArbitraries.ts"

const decode = (bytes: Uint8Array): Frame | undefined => decodeFrame(bytes, 0, bytes.length)
const samples = Arbitrary.sampleEffect(frameArbitrary, { count: 300, seed: 1 })

describe("frame - what is written is read", () => {
  for (const [tag, arbitrary] of Object.entries(frameArbitraries)) {
    it.effect.prop(
      `frame - ${tag} comes back as it was`,
      { frame: arbitrary },
      ({ frame }: { readonly frame: Frame }) =>
        Effect.sync(() => {
          const bytes = encodeFrame(frame)
          assert.strictEqual(
            new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true),
            bytes.length - 4
          )
          assert.deepStrictEqual(decode(bytes), frame)
        })
    )
  }

  it.effect("frame - it is read from wherever it stands", () =>
    Effect.gen(function* () {
      const writer = new ByteWriter(1)
      const frames = yield* samples
      const ends = frames.map((frame) => {
        writeFrame(writer, frame)
        return writer.at
      })
      const whole = writer.written()
      frames.forEach((frame, index) => {
        assert.deepStrictEqual(decodeFrame(whole, ends[index - 1] ?? 0, ends[index]!), frame)
      })
    })
  )

  it("frame - text too long for its field is cut at a character", () => {
    const frame: Frame = {
      _tag: "Open",
      session: 1,
      request: 1,
      id: "00000000-0000-0000-0000-000000000000",
      incarnation: 7,
      name: "é".repeat(200)
    }
    assert.deepStrictEqual(decode(encodeFrame(frame)), { ...frame, name: "é".repeat(127) })
    const goodbye: Frame = { _tag: "Goodbye", reason: "normal", message: "🙂".repeat(20_000) }
    assert.deepStrictEqual(decode(encodeFrame(goodbye)), { ...goodbye, message: "🙂".repeat(16_383) })
  })

  it("frame - numbers of a later version read as the nearest of this one", () => {
    const bytes = encodeFrame({ _tag: "Goodbye", reason: "normal", message: "" })
    const withCode = (code: number) => {
      const copy = bytes.slice()
      copy[6] = code
      copy[7] = code >>> 8
      return decode(copy)
    }
    assert.deepStrictEqual(withCode(3499), { _tag: "Goodbye", reason: "connection-lost", message: "" })
    assert.deepStrictEqual(withCode(3999), { _tag: "Goodbye", reason: "protocol-error", message: "" })
  })
})

describe("frame - hostile bytes", () => {
  it.effect("frame - every shorter and every longer frame is refused", () =>
    Effect.gen(function* () {
      for (const frame of yield* samples) {
        const bytes = encodeFrame(frame)
        const tail = frame._tag === "Request" || frame._tag === "Response" ? frame.body.length : 0
        for (let length = 0; length < bytes.length - tail; length++)
          assert.isUndefined(decodeFrame(bytes, 0, length), `${frame._tag} cut to ${length}`)
        if (frame._tag === "Request" || frame._tag === "Response") continue
        assert.isUndefined(decode(concat([bytes, Uint8Array.of(0)])), `${frame._tag} with a byte more`)
      }
    })
  )

  it.effect("frame - 20,000 broken frames are refused, or are frames that come back as they are", () =>
    Effect.gen(function* () {
      const frames = (yield* samples).map(encodeFrame)
      const random = chance(7)
      let refused = 0
      for (let left = 20_000; left > 0; left--) {
        let bytes = random.pick(frames)
        for (let times = 1 + random.below(3); times > 0; times--) bytes = mutated(random, bytes)
        const frame = decode(bytes)
        if (frame === undefined) refused++
        else assert.deepStrictEqual(decode(encodeFrame(frame)), frame)
      }
      assert.isAbove(refused, 5000)
      assert.isBelow(refused, 19_000)
    })
  )

  it("frame - bytes by chance are no trouble for any operation", () => {
    const random = chance(11)
    for (let op = 0; op < 256; op++) {
      const isKnown = Object.values<number>(Op).includes(op)
      for (let left = 60; left > 0; left--) {
        const bytes = random.bytes(6 + random.below(80))
        bytes[4] = op
        bytes[5] = random.below(8) === 0 ? 1 : 0
        const frame = decode(bytes)
        if (!isKnown || bytes[5] !== 0) assert.isUndefined(frame)
      }
    }
  })

  it("frame - PUBLISH and DELIVER are not control frames", () => {
    for (const op of [Op.Publish, Op.Deliver]) assert.isUndefined(decode(Uint8Array.of(2, 0, 0, 0, op, 0)))
  })

  it("frame - a list that says it is longer than its bytes costs nothing", () => {
    const bytes = encodeFrame({
      _tag: "Subscribe",
      session: 1,
      request: 1,
      subscription: 1,
      pattern: "a",
      overflow: "wait",
      echo: true,
      creditMessages: 1,
      creditBytes: 1,
      start: { _tag: "Resume", since: 0, topics: [] }
    })
    bytes.fill(255, bytes.length - 4)
    assert.isUndefined(decode(bytes))
  })

  it("frame - a number above 2^53 - 1 is refused", () => {
    const bytes = encodeFrame({ _tag: "Ping", token: Number.MAX_SAFE_INTEGER })
    assert.deepStrictEqual(decode(bytes), { _tag: "Ping", token: Number.MAX_SAFE_INTEGER })
    bytes[bytes.length - 2] = 0x20
    assert.isUndefined(decode(bytes))
  })

  it("frame - text that is not UTF-8 is refused", () => {
    const bytes = encodeFrame({ _tag: "Goodbye", reason: "normal", message: "abc" })
    bytes[bytes.length - 1] = 0xc3
    assert.isUndefined(decode(bytes))
  })

  it("frame - a bool and the mark of an optional field are 0 or 1", () => {
    const receipt = encodeFrame({
      _tag: "Receipt",
      session: 1,
      firstSequence: 1,
      lastSequence: 1,
      position: { epoch: 1, offset: 1 },
      count: 1,
      durability: "accepted",
      duplicate: true
    })
    receipt[receipt.length - 1] = 2
    assert.isUndefined(decode(receipt))
    const subscribed = encodeFrame({
      _tag: "Subscribed",
      session: 1,
      request: 1,
      subscription: 1,
      time: 1,
      position: { epoch: 1, offset: 1 }
    })
    subscribed[subscribed.length - 17] = 2
    assert.isUndefined(decode(subscribed))
  })
})
