import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { ByteWriter, readU32 } from "../../src/protocol/Bytes.ts"
import {
  checkRecords,
  decodeRecord,
  encodeRecord,
  type Message,
  RecordFlags
} from "../../src/protocol/Message.ts"
import { forEachMessage, PublishHeader, readPublish } from "../../src/protocol/Publish.ts"
import { chance, mutated } from "./Chance.ts"
import { asRead, encodeRun, messageArbitrary, plain, runArbitrary } from "./MessageArbitraries.ts"

const encode = (message: Message): Uint8Array => {
  const writer = new ByteWriter(1)
  assert.isUndefined(encodeRecord(writer, message))
  return writer.written()
}
const payload = (length: number) => new Uint8Array(length).fill(7)

describe("message - what is written is read", () => {
  it.effect.prop(
    "message - a record comes back, whatever fields it has",
    { message: messageArbitrary },
    ({ message }) =>
      Effect.sync(() => {
        const bytes = encode(message)
        assert.strictEqual(readU32(bytes, 0), bytes.length - 4)
        const read = decodeRecord(bytes, 0, bytes.length)
        assert.isDefined(read)
        assert.deepStrictEqual(plain(read!), asRead(message))
        assert.isAtLeast(checkRecords(bytes, 0, bytes.length, 1, 1000), 0)
      }),
    { arbitrary: { runs: 1000 } }
  )

  it("message - every combination of fields comes back", () => {
    for (let combination = 0; combination < 64; combination++) {
      const given = (bit: number) => (combination & bit) !== 0
      const message: Message = {
        payload: payload(given(32) ? 3 : 0),
        id: given(1) ? "id" : undefined,
        key: given(2) ? "" : undefined,
        contentType: given(4) ? (given(8) ? "application/json" : "x/y") : undefined,
        headers: given(16) ? { a: "1", "": "" } : undefined
      }
      const bytes = encode(message)
      assert.deepStrictEqual(plain(decodeRecord(bytes, 0, bytes.length)!), message)
    }
  })

  it("message - the plain case costs at most 12 bytes a record, JSON and text no more", () => {
    for (const contentType of [undefined, "application/json", "text/plain; charset=utf-8"])
      assert.isAtMost(encode({ payload: payload(128), contentType }).length - 128, 12)
  })

  it("message - a header may have any name", () => {
    const headers = JSON.parse('{"__proto__":"a","constructor":"b"}')
    const bytes = encode({ payload: payload(0), headers })
    const read = decodeRecord(bytes, 0, bytes.length)
    assert.deepStrictEqual(Object.entries(read?.headers ?? {}), [
      ["__proto__", "a"],
      ["constructor", "b"]
    ])
  })
})

describe("message - limits", () => {
  const long = "a".repeat(256)
  const many = Object.fromEntries(Array.from({ length: 256 }, (_, index) => [`h${index}`, ""]))
  const refused: ReadonlyArray<readonly [string, Partial<Message>]> = [
    ["id-too-long", { id: long }],
    ["key-too-long", { key: long }],
    ["content-type-too-long", { contentType: long }],
    ["header-too-long", { headers: { [long]: "" } }],
    ["header-too-long", { headers: { a: "b".repeat(65_536) } }],
    ["too-many-headers", { headers: many }]
  ]
  for (const [error, fields] of refused) {
    it(`message - ${error} leaves the writer as it was (${Object.keys(fields).join()})`, () => {
      const writer = new ByteWriter(8)
      writer.u16(513)
      assert.strictEqual(encodeRecord(writer, { payload: payload(5), ...fields }), error)
      assert.deepStrictEqual([...writer.written()], [1, 2])
      assert.isUndefined(encodeRecord(writer, { payload: payload(5) }))
      assert.deepStrictEqual(
        plain(decodeRecord(writer.bytes, 2, writer.at)!),
        asRead({ payload: payload(5) })
      )
    })
  }

  it("message - the longest of each is taken", () => {
    const { h0: _, ...headers } = many
    const message = {
      payload: payload(1),
      id: "i".repeat(255),
      key: "k".repeat(255),
      contentType: "c".repeat(255),
      headers
    }
    const bytes = encode(message)
    assert.deepStrictEqual(plain(decodeRecord(bytes, 0, bytes.length)!), message)
    const wide = { payload: payload(0), headers: { ["n".repeat(255)]: "v".repeat(65_535) } }
    const wideBytes = encode(wide)
    assert.deepStrictEqual(plain(decodeRecord(wideBytes, 0, wideBytes.length)!), asRead(wide))
  })

  it("message - a payload above the limit is told from bytes that are no records", () => {
    const plainOne = encode({ payload: payload(10) })
    assert.strictEqual(checkRecords(plainOne, 0, plainOne.length, 1, 10), 0)
    assert.strictEqual(checkRecords(plainOne, 0, plainOne.length, 1, 9), -2)
    const full = encode({ payload: payload(10), id: "i".repeat(50), headers: { a: "b" } })
    assert.strictEqual(checkRecords(full, 0, full.length, 1, 10), RecordFlags.id | RecordFlags.headers)
    assert.strictEqual(checkRecords(full, 0, full.length, 1, 9), -2)
    assert.strictEqual(checkRecords(full, 0, full.length, 2, 10), -1)
    assert.strictEqual(checkRecords(full, 0, full.length - 1, 1, 10), -1)
    assert.strictEqual(checkRecords(full, 0, full.length, 0, 10), -1)
  })

  it("message - of JSON, text and a named content type a record has at most one", () => {
    for (const flags of [8 | 16, 8 | 32, 16 | 32, 8 | 16 | 32]) {
      const bytes = Uint8Array.of(4, 0, 0, 0, flags, 1, 97, 1)
      assert.strictEqual(checkRecords(bytes, 0, bytes.length, 1, 100), -1, `flags ${flags}`)
    }
  })

  it("message - flags of a later version are refused", () => {
    for (const flags of [64, 128])
      assert.strictEqual(checkRecords(Uint8Array.of(1, 0, 0, 0, flags), 0, 5, 1, 9), -1)
  })
})

describe("message - hostile bytes", () => {
  it.effect("message - of 20,000 broken frames those that are accepted can be read to the end", () =>
    Effect.gen(function* () {
      const runs = yield* Arbitrary.sampleEffect(runArbitrary, { count: 150, seed: 3 })
      const frames = runs.flatMap((run) => run.map((messages) => encodeRun("a.b", [messages]).bytes))
      const random = chance(23)
      const header = new PublishHeader()
      let accepted = 0
      for (let left = 20_000; left > 0; left--) {
        let bytes: Uint8Array = random.pick(frames).slice()
        for (let times = 1 + random.below(2); times > 0; times--) bytes = mutated(random, bytes)
        if (bytes.length < 6) continue
        bytes[4] = 0x10
        new DataView(bytes.buffer).setUint32(0, bytes.length - 4, true)
        if (!readPublish(bytes, 0, bytes.length, header)) continue
        const { count } = header
        const isAccepted = checkRecords(bytes, header.records, bytes.length, count, 1000) >= 0
        let read = 0
        const isRead = forEachMessage(bytes, 0, bytes.length, 0, count, (message) => {
          read++
          assert.isAtMost(message.payload.length, bytes.length)
        })
        if (!isAccepted) continue
        accepted++
        assert.isTrue(isRead)
        assert.strictEqual(read, count)
      }
      assert.isAbove(accepted, 1000)
      assert.isBelow(accepted, 15_000)
    })
  )
})
