/**
 * What a topic may be called.
 *
 * A name is segments joined by dots, `weather.temperature.london`. It is compared by code points, so by its
 * bytes: nothing is folded or normalised, and a valid name has exactly one UTF-8 form. Names that begin with
 * `$` are valid, and are the hub's own. Nothing here throws: a bad name is answered as a value.
 */
import { encodeText } from "./Bytes.ts"

/** Bytes of UTF-8, for names and for patterns: a length fits one byte, and a name is cheap to keep and to hash. */
export const maxNameBytes = 255

/** The deepest name that `maxNameBytes` can hold, `a.a.a…`. It bounds the recursion of every walk of a trie. */
export const maxSegments = (maxNameBytes + 1) / 2

/** What can be wrong with the text of a name, and of a pattern alike. */
export type TextFault =
  | "empty"
  | "too-long"
  | "empty-segment"
  | "white-space"
  | "control-character"
  | "lone-surrogate"

export type TopicNameReason = TextFault | "wildcard" | "invalid-utf8"

/** A name that is no topic's. The message never quotes the name, which came from outside. */
export interface TopicNameError {
  readonly _tag: "TopicNameError"
  readonly reason: TopicNameReason
  readonly message: string
}

/** How each fault ends a sentence that starts with what is at fault. */
export const textFaultMessage: { readonly [Fault in TextFault]: string } = {
  empty: "is empty",
  "too-long": `is longer than ${maxNameBytes} bytes of UTF-8`,
  "empty-segment": "has an empty segment: it begins or ends with a dot, or has two dots in a row",
  "white-space": "has white space",
  "control-character": "has a control character",
  "lone-surrogate": "has half of a surrogate pair, which UTF-8 cannot hold"
}

const topicNameMessage: { readonly [Reason in TopicNameReason]: string } = {
  ...textFaultMessage,
  wildcard: "has a `*` or a `>`, which only a pattern may have",
  "invalid-utf8": "is not valid UTF-8"
}

const topicNameError = (reason: TopicNameReason): TopicNameError => ({
  _tag: "TopicNameError",
  reason,
  message: `the topic name ${topicNameMessage[reason]}`
})

/** Answers what is wrong with a topic's name, or `undefined` if it is valid. The hub's own names are valid. */
export const checkTopicName = (name: string): TopicNameError | undefined => {
  const fault = findTextFault(name) ?? (name.includes("*") || name.includes(">") ? "wildcard" : undefined)
  return fault === undefined ? undefined : topicNameError(fault)
}

// A byte order mark is kept, to be refused as white space: were it skipped, one topic would have two names in bytes.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Reads a topic's name from `bytes[start..end)`: the name, or what is wrong with it. */
export const decodeTopicName = (bytes: Uint8Array, start: number, end: number): string | TopicNameError => {
  // Before decoding, so that a hostile length costs nothing.
  if (end - start > maxNameBytes) return topicNameError("too-long")
  let name: string
  try {
    name = decoder.decode(bytes.subarray(start, end))
  } catch {
    return topicNameError("invalid-utf8")
  }
  return checkTopicName(name) ?? name
}

/** The same check as `checkTopicName`, of `bytes[start..end)`. It decodes: use it once a topic, not once a message. */
export const checkTopicBytes = (
  bytes: Uint8Array,
  start: number,
  end: number
): TopicNameError | undefined => {
  const decoded = decodeTopicName(bytes, start, end)
  return typeof decoded === "string" ? undefined : decoded
}

/** Whether a topic, or every topic of a pattern, is the hub's own: its first segment begins with `$`. */
export const isReserved = (name: string): boolean => name.startsWith("$")

const dot = 0x2e

/**
 * Answers the first fault of a text that is to be a topic's name or a pattern, wildcards aside.
 * It reads no more than `maxNameBytes` characters, however long the text is.
 */
export const findTextFault = (text: string): TextFault | undefined => {
  if (text.length === 0) return "empty"
  // A UTF-16 unit is at least one byte of UTF-8.
  if (text.length > maxNameBytes) return "too-long"
  let bytes = 0
  let segmentStart = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.codePointAt(i)!
    if (code === dot) {
      if (i === segmentStart) return "empty-segment"
      segmentStart = i + 1
    } else if (isWhiteSpace(code)) return "white-space"
    else if (isControl(code)) return "control-character"
    else if (code >= 0xd800 && code <= 0xdfff) return "lone-surrogate"
    if (code > 0xffff) i++
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  if (segmentStart === text.length) return "empty-segment"
  return bytes > maxNameBytes ? "too-long" : undefined
}

/** Unicode's `White_Space`, and U+FEFF, which JavaScript trims as well. Tab to CR and U+0085 are also controls. */
const isWhiteSpace = (code: number): boolean =>
  code === 0x20 ||
  (code >= 0x09 && code <= 0x0d) ||
  code === 0x85 ||
  code === 0xa0 ||
  code === 0x1680 ||
  (code >= 0x2000 && code <= 0x200a) ||
  code === 0x2028 ||
  code === 0x2029 ||
  code === 0x202f ||
  code === 0x205f ||
  code === 0x3000 ||
  code === 0xfeff

/** Unicode's `Cc`: C0, DEL and C1. */
const isControl = (code: number): boolean => code < 0x20 || (code >= 0x7f && code <= 0x9f)

const longestGroupName = 64

/**
 * Whether it can name a group: 1 to 64 bytes, one segment of a topic's name, since it becomes one of the dead-letter
 * topic's; without a slash.
 */
export const isGroupName = (name: string): boolean =>
  findTextFault(name) === undefined && !/[.*>$/]/.test(name) && encodeText(name).length <= longestGroupName

/** `$channel.<uuid>`: topics that clients may publish and subscribe by their full names. */
const channel = /^\$channel\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
/** Where dead letters go: topics that clients may subscribe, and the hub alone publishes. */
export const deadLetterPrefix = "$dead."

/** Whether clients may publish to the topic. */
export const isForPublishers = (topic: string): boolean => !isReserved(topic) || channel.test(topic)

/** Whether clients may subscribe the topic or pattern. */
export const isForSubscribers = (pattern: string): boolean =>
  isForPublishers(pattern) || pattern.startsWith(deadLetterPrefix)

/** The order of names, by code points: that of their bytes, as a log on disk has them. */
export const compareTopicNames = (a: string, b: string): number => {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rankOf(x) - rankOf(y)
  }
  return a.length - b.length
}

/** Surrogates stand for code points beyond all others. */
const rankOf = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit)
