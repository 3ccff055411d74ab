/** What one text or body may hold. All are checked before what they bound is made. */

export interface JsonLimits {
  /** Bytes of a text frame or of a body. */
  readonly maxBytes: number
  /** Bytes of a message's payload. */
  readonly maxPayload: number
  /** Objects and lists within one another. */
  readonly maxDepth: number
  /** Topics and patterns of one request. */
  readonly maxTopics: number
  /** Messages that one request acknowledges. */
  readonly maxMessageIds: number
  /** Messages of one bulk request; those of newline-delimited JSON are not counted, since they are not gathered. */
  readonly maxBulk: number
}

/** Characters of a `client_id`. */
export const maxClientId = 255

/** A payload's limit, and room for what stands around it: base64 and escapes make it larger, so large ones fit less. */
const defaultMaxPayload = 1_048_576
const room = 65_536

export const defaultJsonLimits: JsonLimits = {
  maxBytes: defaultMaxPayload + room,
  maxPayload: defaultMaxPayload,
  // The two levels that a delivery puts around a payload stay within what the hub passes on.
  maxDepth: 126,
  maxTopics: 1000,
  maxMessageIds: 10_000,
  maxBulk: 10_000
}
