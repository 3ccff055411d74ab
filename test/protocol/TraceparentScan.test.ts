import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { ByteWriter, encodeText } from "../../src/protocol/Bytes.ts"
import type { Message } from "../../src/protocol/Message.ts"
import { encodePublish, forEachMessage } from "../../src/protocol/Publish.ts"
import { formatTraceparent, parseTraceparent } from "../../src/protocol/Traceparent.ts"
import { sampledTraces } from "../../src/protocol/TraceparentScan.ts"

/** A run of frames of at most three messages each. */
const encode = (messages: ReadonlyArray<Message>): Uint8Array => {
  const writer = new ByteWriter()
  for (let i = 0; i < messages.length; i += 3) {
    const some = messages.slice(i, i + 3)
    assert.strictEqual(encodePublish(writer, { session: 1, sequence: i, topic: "a.b" }, some), undefined)
  }
  return writer.written()
}

const traceOf = (number: number, sampled: boolean) => ({
  traceId: number.toString(16).padStart(32, "0"),
  spanId: number.toString(16).padStart(16, "0"),
  sampled
})

/** The reference: every message decoded. */
const decoded = (bytes: Uint8Array, skip: number, count: number): ReadonlyArray<string> => {
  const ids = new Set<string>()
  forEachMessage(bytes, 0, bytes.length, skip, count, ({ headers }) => {
    const trace = headers?.traceparent === undefined ? undefined : parseTraceparent(headers.traceparent)
    if (trace?.sampled === true) ids.add(trace.traceId)
  })
  return [...ids]
}

const scanned = (bytes: Uint8Array, { count = 1000, end = bytes.length, limit = 100, skip = 0 } = {}) =>
  sampledTraces({ bytes, start: 0, end, skip, count }, limit).map(({ traceId }) => traceId)

const AMessage = Schema.Struct({
  trace: Schema.Literals(["none", "sampled", "unsampled", "invalid"]),
  number: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })),
  other: Schema.Boolean,
  id: Schema.UndefinedOr(Schema.Literals(["", "an id"])),
  key: Schema.UndefinedOr(Schema.Literals(["", "a key"])),
  contentType: Schema.UndefinedOr(Schema.Literals(["application/json", "a/b"])),
  payload: Schema.String
})

const messageOf = ({ number, other, payload, trace, ...rest }: typeof AMessage.Type): Message => {
  const headers: Record<string, string> = other ? { "a-traceparent-b": "traceparent", x: payload } : {}
  if (trace === "invalid") headers.traceparent = `00-${"z".repeat(32)}-${"1".repeat(16)}-01`
  else if (trace !== "none") headers.traceparent = formatTraceparent(traceOf(number, trace === "sampled"))
  return { ...rest, payload: encodeText(payload), headers }
}

describe("traceparent scan", () => {
  const Messages = Schema.Array(AMessage).check(Schema.isMinLength(1))
  const Small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8 }))

  it.prop(
    "traceparent scan - finds what decoding every message finds, in a slice too",
    [Messages, Small, Small],
    ([specs, skip, count]) => {
      const bytes = encode(specs.map(messageOf))
      assert.deepStrictEqual(scanned(bytes, { skip, count }), decoded(bytes, skip, count))
    }
  )

  it.prop(
    "traceparent scan - never throws, whatever the bytes",
    [Messages, Schema.Array(Schema.Tuple([Schema.Int, Schema.Int]))],
    ([specs, changes]) => {
      const bytes = encode(specs.map(messageOf))
      for (const [at, value] of changes) bytes[Math.abs(at) % bytes.length] = value
      for (const end of [bytes.length, bytes.length >> 1]) scanned(bytes, { end })
    }
  )

  it("traceparent scan - is not misled by text in payloads and other headers", () => {
    const sampled = formatTraceparent(traceOf(7, true))
    const whole = encode([{ payload: new Uint8Array(0), headers: { traceparent: sampled } }])
    assert.strictEqual(scanned(whole).length, 1)
    assert.deepStrictEqual(
      scanned(encode([{ payload: whole, headers: { note: `traceparent${sampled}` } }])),
      []
    )
  })

  it("traceparent scan - reads a later version and stops at the limit", () => {
    const later = `cc-${traceOf(1, true).traceId}-${traceOf(1, true).spanId}-01-more`
    const messages = [later, ...[2, 3, 4].map((n) => formatTraceparent(traceOf(n, true)))].map(
      (traceparent) => ({ payload: new Uint8Array(3), headers: { traceparent } })
    )
    assert.deepStrictEqual(
      scanned(encode(messages), { limit: 3 }),
      [1, 2, 3].map((n) => traceOf(n, true).traceId)
    )
  })
})
