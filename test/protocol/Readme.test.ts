/**
 * The page that describes the wire against the hub that speaks it. The client here is written from the page alone:
 * it uses no encoder and no decoder of the project.
 */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../src/actors/Hub.ts"
import { CloseReasons } from "../../src/protocol/CloseReason.ts"
import type { Duplex } from "../../src/protocol/Duplex.ts"
import { ErrorCodes } from "../../src/protocol/ErrorCode.ts"
import { decodeFrame } from "../../src/protocol/Frame.ts"
import { Op } from "../../src/protocol/Op.ts"
import { hubWith } from "../actors/TestHub.ts"

const page = readFileSync(new URL("../../src/protocol/README.md", import.meta.url), "utf8")

/** The bytes of an example: pairs of hexadecimal digits and quoted text. */
const bytesOf = (example: string): ReadonlyArray<number> =>
  [...example.matchAll(/"([^"]*)"|\b([0-9a-f]{2})\b/g)].flatMap(([, text, byte]) =>
    text === undefined ? [Number.parseInt(byte!, 16)] : [...new TextEncoder().encode(text)]
  )

const u8 = (value: number) => [value]
const little = (value: number, length: number): ReadonlyArray<number> =>
  Array.from({ length }, (_, index) => Math.floor(value / 256 ** index) % 256)
const u16 = (value: number) => little(value, 2)
const u32 = (value: number) => little(value, 4)
const u64 = (value: number) => little(value, 8)
const ascii = (text: string) => [...text].map((letter) => letter.charCodeAt(0))
const text8 = (text: string) => [text.length, ...ascii(text)]
const text16 = (text: string) => [...u16(text.length), ...ascii(text)]
const frame = (op: number, flags: number, ...fields: ReadonlyArray<ReadonlyArray<number>>) => {
  const body = [op, flags, ...fields.flat()]
  return [...u32(body.length), ...body]
}
const number = (bytes: ReadonlyArray<number>, at: number, length: number) =>
  bytes.slice(at, at + length).reduceRight((sum, byte) => sum * 256 + byte, 0)

/** Sends bytes, and waits for whole frames by their length alone. */
const conversation = (duplex: Duplex) => {
  let buffer: ReadonlyArray<number> = []
  let listener = () => {}
  duplex.listen({
    onData: (chunk) => {
      buffer = [...buffer, ...chunk]
      listener()
    },
    onDrain: () => {},
    onClose: () => {}
  })
  const next = Effect.callback<ReadonlyArray<number>>((resume) => {
    listener = () => {
      const length = buffer.length < 4 ? Number.POSITIVE_INFINITY : 4 + number(buffer, 0, 4)
      if (buffer.length < length) return
      listener = () => {}
      const whole = buffer.slice(0, length)
      buffer = buffer.slice(length)
      resume(Effect.succeed(whole))
    }
    listener()
  })
  return { send: (bytes: ReadonlyArray<number>) => duplex.write([Uint8Array.from(bytes)]), next }
}

/** The rows of the page's tables whose first cell has this form. */
const rows = (first: RegExp): ReadonlyArray<ReadonlyArray<string>> =>
  page
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim())
    )
    .filter(([cell]) => first.test(cell ?? ""))

describe("readme", () => {
  const example = /HELLO {4}(.*)$/m.exec(page)?.[1] ?? ""

  it("readme - the first conversation's HELLO is one", () => {
    const bytes = Uint8Array.from(bytesOf(example))
    assert.strictEqual(bytes.length, 26)
    assert.deepStrictEqual(decodeFrame(bytes, 0, bytes.length), {
      _tag: "Hello",
      magic: number(ascii("STAR"), 0, 4),
      minVersion: 1,
      maxVersion: 1,
      features: 3,
      name: "example",
      token: ""
    })
  })

  it("readme - names every frame with its operation", () => {
    const named = rows(/^[0-9A-F]{2}$/).map(([op, name]) => [name, Number.parseInt(op!, 16)])
    const expected = Object.entries(Op).map(([name, op]) => [name.toUpperCase(), op])
    assert.sameDeepMembers(named, expected)
  })

  it("readme - names every close reason and every error code with its number", () => {
    const reasons = rows(/^\d{4}$/).map(([code, name]) => [name, Number(code)])
    assert.sameDeepMembers(reasons, Object.entries(CloseReasons))
    const section = page.slice(page.indexOf("## Error codes"), page.indexOf("## Channels"))
    const codes = [...section.matchAll(/(\d+) ([a-z]+(?:-[a-z]+)*)/g)].map(([, code, name]) => [
      name,
      Number(code)
    ])
    for (const entry of Object.entries(ErrorCodes)) assert.deepInclude(codes, entry)
  })

  it.effect("readme - a client written from the page publishes and receives", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const { next, send } = conversation(yield* hub.connect)

      send(bytesOf(example))
      const welcome = yield* next
      assert.strictEqual(welcome[4], 0x02)
      assert.deepStrictEqual(welcome.slice(5, 11), [...u8(0), ...u8(1), ...u32(3)])
      const idLength = welcome[11]!
      assert.strictEqual(String.fromCharCode(...welcome.slice(12, 12 + idLength)), hub.id)
      assert.strictEqual(welcome.length, 12 + idLength + 12)
      assert.strictEqual(number(welcome, 12 + idLength + 4, 4), 1_048_576)
      assert.strictEqual(number(welcome, 12 + idLength + 8, 4), 15_000)

      const uuid = Array.from({ length: 16 }, (_, index) => index)
      send([
        ...frame(0x03, 0, u32(1), u32(11), uuid, u32(5), text8("me")),
        ...frame(
          0x07,
          0,
          u32(1),
          u32(12),
          u32(7),
          text8("weather.*"),
          u8(1),
          u8(1),
          u32(0xffff_ffff),
          u32(0xffff_ffff),
          u8(0)
        )
      ])
      assert.deepStrictEqual(yield* next, frame(0x04, 0, u32(1), u32(11)))
      assert.deepStrictEqual(yield* next, frame(0x08, 0, u32(1), u32(12), u32(7), u64(0), u8(0)))

      const plain = [...u32(6), ...u8(0), ...ascii("plain")]
      const fullFields = [
        ...text8("id"),
        ...text8("key"),
        ...text8("image/png"),
        ...u8(1),
        ...text8("h"),
        ...text16("v")
      ]
      const full = [...u32(1 + fullFields.length + 4), ...u8(1 | 2 | 4 | 32), ...fullFields, ...ascii("full")]
      const publish = frame(
        0x10,
        1 | 2,
        u32(1),
        u32(1),
        u16(2),
        u8(5),
        text8("weather.london"),
        u32(60_000),
        plain,
        full
      )
      send(publish)
      const receipt = yield* next
      const epoch = receipt.slice(18, 26)
      assert.deepStrictEqual(
        receipt,
        frame(0x12, 0, u32(1), u32(1), u32(1), epoch, u64(0), u32(2), u8(0), u8(0))
      )
      const deliver = frame(0x11, 0, u32(1), u32(7), epoch, u64(0), u64(0), u32(0), u32(2), publish)
      assert.deepStrictEqual(yield* next, deliver)

      send(
        frame(
          0x07,
          0,
          u32(1),
          u32(13),
          u32(8),
          text8("weather.london"),
          u8(0),
          u8(0),
          u32(9),
          u32(9),
          u8(1),
          u32(5)
        )
      )
      assert.deepStrictEqual(
        yield* next,
        frame(0x08, 0, u32(1), u32(13), u32(8), u64(0), u8(1), epoch, u64(2))
      )
      assert.deepStrictEqual(yield* next, frame(0x17, 0, u32(1), u32(8), u32(0)))

      send(frame(0x09, 0, u32(1), u32(14), u32(7)))
      assert.deepStrictEqual(yield* next, frame(0x0a, 0, u32(1), u32(14)))
      send(frame(0x09, 0, u32(1), u32(15), u32(7)))
      const failure = yield* next
      assert.deepStrictEqual(failure.slice(4, 16), [0x1f, 0, ...u32(1), ...u32(15), ...u16(6)])

      send(frame(0x20, 0, u64(2 ** 52 + 1)))
      assert.deepStrictEqual(yield* next, frame(0x21, 0, u64(2 ** 52 + 1)))

      send(frame(0x0d, 0, u32(16), text8("topics"), ascii('{"pattern":"weather.>"}')))
      const response = yield* next
      assert.deepStrictEqual(response.slice(4, 10), [0x0e, 0, ...u32(16)])
      const topics: unknown = JSON.parse(String.fromCharCode(...response.slice(10)))
      assert.nestedPropertyVal(topics, "[0].name", "weather.london")
      assert.nestedPropertyVal(topics, "[0].nextOffset", 2)

      send(frame(0x05, 0, u32(1), u32(17)))
      assert.deepStrictEqual(yield* next, frame(0x06, 0, u32(1), u32(17), u16(1000), u32(0)))

      send(frame(0x02, 0))
      const goodbye = yield* next
      assert.deepStrictEqual(goodbye.slice(4, 8), [0x22, 0, ...u16(3500)])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("readme - a client written from the page joins a group, acknowledges and refuses", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const { next, send } = conversation(yield* hub.connect)
      const uuid = Array.from({ length: 16 }, (_, index) => index)
      const notGiven = u32(0xffff_ffff)
      const unlimited = u32(0xffff_ffff)
      send([...bytesOf(example), ...frame(0x03, 0, u32(1), u32(11), uuid, u32(5), text8("me"))])
      yield* next
      assert.deepStrictEqual(yield* next, frame(0x04, 0, u32(1), u32(11)))

      const join = (request: number, group: string, pattern: string) =>
        frame(
          0x18,
          0,
          ...[u32(1), u32(request), u32(request), text8(group), text8(pattern), unlimited, unlimited],
          ...[u8(5), u8(0), u32(20_000), u16(0xffff), notGiven, notGiven, notGiven]
        )
      send(join(12, "workers", "jobs.*"))
      assert.deepStrictEqual(yield* next, frame(0x19, 0, u32(1), u32(12), u32(12), u8(1), u32(20_000)))
      send(join(13, "workers", "jobs.*"))
      assert.deepStrictEqual((yield* next).slice(4, 16), [0x1f, 0, ...u32(1), ...u32(13), ...u16(8)])

      const record = [...u32(4), ...u8(0), ...ascii("job")]
      const publish = frame(0x10, 0, u32(1), u32(1), u16(3), u8(0), text8("jobs.a"), record, record, record)
      send(publish)
      const deliver = yield* next
      const epoch = deliver.slice(14, 22)
      const delivered = (attempt: number, offset: number, skip: number, count: number) =>
        frame(0x11, attempt, u32(1), u32(12), epoch, u64(offset), u64(0), u32(skip), u32(count), publish)
      assert.deepStrictEqual(deliver, delivered(1, 0, 0, 3))

      const of = (request: number) => [u32(1), u32(request), text8("workers"), text8("jobs.a"), epoch]
      const range = (from: number, to: number) => [...u32(1), ...u64(from), ...u64(to)]
      send(frame(0x1a, 0, ...of(14), range(0, 1)))
      assert.deepStrictEqual(yield* next, frame(0x1c, 0, u32(1), u32(14)))
      send(frame(0x1b, 0, ...of(15), u8(0), u32(500), text16("not now"), range(2, 3)))
      assert.deepStrictEqual(yield* next, frame(0x1c, 0, u32(1), u32(15)))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(yield* next, delivered(2, 2, 2, 1))

      send(frame(0x0d, 0, u32(16), text8("group"), ascii('{"name":"workers"}')))
      const group: unknown = JSON.parse(String.fromCharCode(...(yield* next).slice(10)))
      assert.nestedPropertyVal(group, "inFlight", 2)
      assert.nestedPropertyVal(group, "lanes[0].floor", 1)
      assert.nestedPropertyVal(group, "lanes[0].end", 3)

      send(frame(0x0d, 0, u32(17), text8("group.remove"), ascii('{"name":"workers"}')))
      const last = [yield* next, yield* next]
      assert.deepInclude(last, frame(0x1d, 0, u32(1), u32(12), u16(3504)))
      assert.deepInclude(last, frame(0x0e, 0, u32(17), ascii("{}")))
    }).pipe(Effect.provide(hubWith()))
  )
})
