/** Messages as a publisher within a trace sends them. */
import { encodeText } from "../../src/protocol/Bytes.ts"
import type { Message } from "../../src/protocol/Message.ts"
import { formatTraceparent } from "../../src/protocol/Traceparent.ts"

/** The publisher's span, in every trace. */
export const parentSpanId = "00f067aa0ba902b7"

export const traceIdOf = (number: number): string => number.toString(16).padStart(32, "0")

/** A message in the trace of that number. */
export const traced = (number: number, sampled = true): Message => ({
  payload: encodeText("12"),
  headers: { traceparent: formatTraceparent({ traceId: traceIdOf(number), spanId: parentSpanId, sampled }) }
})
