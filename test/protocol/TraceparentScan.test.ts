import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { ByteWriter, encodeText } from "../../src/protocol/Bytes.ts"
import type { Message } from "../../src/protocol/Message.ts"
import { encodePublish, forEachMessage } from "../../src/protocol/Publish.ts"
import { formatTraceparent, parseTraceparent } from "../../src/protocol/Traceparent.ts"
import { sampledTraces } from "../../src/protocol/TraceparentScan.ts"

const encode = (messages: ReadonlyArray<Message>): Uint8Array => {
  const writer = new ByteWriter()
  assert.strictEqual(encodePublish(writer, { session: 1, sequence: 1, topic: "a.b" }, messages), undefined)
  return writer.written()
}

const traceOf = (number: number, sampled: boolean) => ({
  traceId: number.toString(16).padStart(32, "0"),
  spanId: number.toString(16).padStart(16, "0"),
  sampled
})

/** The reference: every message decoded. */
const decoded = (bytes: Uint8Array, count: number): ReadonlyArray<string> => {
  const ids = new Set<string>()
  forEachMessage(bytes, 0, bytes.length, 0, count, ({ headers }) => {
    const trace = headers?.traceparent === undefined ? undefined : parseTraceparent(headers.traceparent)
    if (trace?.sampled === true) ids.add(trace.traceId)
  })
  return [...ids]
}

const scanned = (bytes: Uint8Array, limit = 100) =>
  sampledTraces(bytes, 0, bytes.length, limit).map(({ traceId }) => traceId)

const AMessage = Schema.Struct({
  trace: Schema.Literals(["none", "sampled", "unsampled", "invalid"]),
  number: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })),
  other: Schema.Boolean,
  payload: Schema.String
})

const messageOf = ({ number, other, payload, trace }: typeof AMessage.Type): Message => {
  const headers: Record<string, string> = other ? { "a-traceparent-b": "traceparent", x: payload } : {}
  if (trace === "invalid") headers.traceparent = `00-${"z".repeat(32)}-${"1".repeat(16)}-01`
  else if (trace !== "none") headers.traceparent = formatTraceparent(traceOf(number, trace === "sampled"))
  return { payload: encodeText(payload), headers }
}

describe("traceparent scan", () => {
  it.prop(
    "traceparent scan - finds what decoding every message finds",
    [Schema.Array(AMessage).check(Schema.isMinLength(1))],
    ([specs]) => {
      const bytes = encode(specs.map(messageOf))
      assert.deepStrictEqual(scanned(bytes), decoded(bytes, specs.length))
    }
  )

  it("traceparent scan - is not misled by text in payloads and names, nor by the end of the bytes", () => {
    const sampled = formatTraceparent(traceOf(7, true))
    const payload = encodeText(`traceparent ${sampled} traceparent`)
    assert.deepStrictEqual(scanned(encode([{ payload, headers: { note: `traceparent${sampled}` } }])), [])
    const whole = encode([{ payload: new Uint8Array(0), headers: { traceparent: sampled } }])
    assert.strictEqual(scanned(whole).length, 1)
    for (let end = 0; end < whole.length; end++) {
      assert.deepStrictEqual(sampledTraces(whole, 0, end, 9), [])
    }
  })

  it("traceparent scan - reads a later version and stops at the limit", () => {
    const later = `cc-${traceOf(1, true).traceId}-${traceOf(1, true).spanId}-01-more`
    const messages = [later, ...[2, 3, 4].map((n) => formatTraceparent(traceOf(n, true)))].map(
      (traceparent) => ({ payload: new Uint8Array(3), headers: { traceparent } })
    )
    assert.deepStrictEqual(
      scanned(encode(messages), 3),
      [1, 2, 3].map((n) => traceOf(n, true).traceId)
    )
  })
})
