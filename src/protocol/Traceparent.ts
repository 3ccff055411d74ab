/** The W3C Trace Context header `traceparent`: https://www.w3.org/TR/trace-context/#traceparent-header */

export interface Traceparent {
  readonly traceId: string
  readonly spanId: string
  readonly sampled: boolean
}

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** `undefined` for what is not a valid header of a version that can be read. */
export const parseTraceparent = (header: string): Traceparent | undefined => {
  const match = form.exec(header)
  if (match === null) return undefined
  const [, version, traceId, spanId, flags, more] = match
  if (version === undefined || traceId === undefined || spanId === undefined || flags === undefined)
    return undefined
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

export const formatTraceparent = (trace: Traceparent): string =>
  `00-${trace.traceId}-${trace.spanId}-${trace.sampled ? "01" : "00"}`
