/** The bytes of event streams: made once, put together in any portions, and one line an event. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { encodeText } from "../../../src/protocol/Bytes.ts"
import { eventRun, idInterval } from "../../../src/transports/http/EventRun.ts"
import { Pieces } from "../../../src/transports/http/Pieces.ts"
import { PolledTexts } from "../../../src/transports/http/PolledTexts.ts"
import { plainBatch } from "../../actors/groups/LaneLog.ts"

const Int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("event run", () => {
  const Lengths = Schema.Array(Schema.Union([Int(0, 300), Int(3000, 5000)]))

  it.prop("event run - every text once, in parts that end where an id may stand", [Lengths], ([lengths]) => {
    const all = lengths.map((length, index) => `${index}${"é".repeat(length)}`)
    const ends: Array<number> = []
    for (const text of all) ends.push((ends.at(-1) ?? 0) + encodeText(text).length)
    const parts = eventRun({ bytes: encodeText(all.join("")), ends })
    const events = all.map((text) => `data: ${text}\n`)
    assert.strictEqual(parts.map(({ bytes }) => Buffer.from(bytes).toString()).join("\n"), events.join("\n"))
    let before = 0
    for (const { bytes, messages } of parts) {
      assert.strictEqual(Buffer.from(bytes).toString(), events.slice(before, messages).join("\n"))
      const last = encodeText(events[messages - 1] ?? "").length
      assert.isBelow(bytes.length - last, idInterval)
      if (messages < all.length) assert.isAtLeast(bytes.length, idInterval)
      before = messages
    }
    assert.strictEqual(before, all.length)
  })
})

describe("polled texts", () => {
  it("polled texts - a batch is made into events once for all its readers, and few are kept", () => {
    const texts = new PolledTexts()
    const first = plainBatch(0, 2)
    const run = texts.run(first)
    assert.strictEqual(run.at(-1)?.messages, 2)
    assert.strictEqual(texts.run(first), run)
    const others = [1, 2].map((n) => plainBatch(n, 60_000))
    for (const other of others) texts.run(other)
    assert.notStrictEqual(texts.run(first), run)
  })
})

describe("pieces", () => {
  const Steps = Schema.Array(Schema.Union([Int(0, 400), Int(15_000, 70_000), Schema.Literal("next")]))

  it.prop("pieces - come as they went, in portions that are bounded", [Steps], ([steps]) => {
    const max = 20_000
    const pieces = new Pieces()
    const given: Array<Uint8Array> = []
    const taken: Array<Uint8Array> = []
    const take = () => {
      const part = pieces.next(max)
      if (part === undefined) return false
      assert.isAtMost(part.length, max)
      taken.push(part)
      return true
    }
    for (const [index, step] of steps.entries()) {
      if (step === "next") take()
      else {
        const text = String.fromCharCode(33 + (index % 90)).repeat(step)
        pieces.add(index % 2 === 0 && step < 500 ? text : encodeText(text))
        given.push(encodeText(text))
      }
      const waits = given.reduce((sum, { length }) => sum + length, 0)
      assert.strictEqual(
        pieces.length,
        taken.reduce((left, { length }) => left - length, waits)
      )
    }
    while (take());
    assert.strictEqual(pieces.length, 0)
    assert.isTrue(Buffer.concat(taken).equals(Buffer.concat(given)))
  })

  it("pieces - what is large is not copied", () => {
    const pieces = new Pieces()
    const large = new Uint8Array(50_000)
    pieces.add("a")
    pieces.add(large)
    pieces.addText("ü")
    assert.lengthOf(pieces.next(40_000) ?? [], 1)
    assert.strictEqual(pieces.next(40_000)?.buffer, large.buffer)
    assert.strictEqual(pieces.next(40_000)?.byteOffset, 40_000)
    assert.deepStrictEqual(new Uint8Array(pieces.next(40_000) ?? []), encodeText("ü"))
    assert.isUndefined(pieces.next(40_000))
  })
})
