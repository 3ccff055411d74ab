/**
 * Patterns: a topic's name in which `*` is exactly one segment, and a final `>` is one segment or more.
 *
 * A wildcard in the first segment never matches a topic of the hub's own (`$…`): who wants those says so, as in
 * `$hub.>`. A topic is the pattern that matches only itself. Matching takes patterns and topics that were
 * checked; what it answers for others is not defined, but it ends and does not throw.
 */
import { findTextFault, isReserved, type TextFault, textFaultMessage } from "./TopicName.ts"

export type PatternReason = TextFault | "partial-wildcard" | "tail-not-last"

/** A text that is no pattern. The message never quotes the text, which came from outside. */
export interface PatternError {
  readonly _tag: "PatternError"
  readonly reason: PatternReason
  readonly message: string
}

const patternMessage: { readonly [Reason in PatternReason]: string } = {
  ...textFaultMessage,
  "partial-wildcard": "has a `*` or a `>` that is not a whole segment",
  "tail-not-last": "has a `>` that is not its last segment"
}

/** Answers what is wrong with a pattern, or `undefined` if it is valid. It has the length limit of a topic's name. */
export const checkPattern = (pattern: string): PatternError | undefined => {
  const reason = findTextFault(pattern) ?? findWildcardFault(pattern)
  if (reason === undefined) return undefined
  return { _tag: "PatternError", reason, message: `the pattern ${patternMessage[reason]}` }
}

/** Whether a pattern has no wildcard, and so matches the one topic of its name. */
export const isLiteral = (pattern: string): boolean => !pattern.includes("*") && !pattern.includes(">")

/** Whether a topic matches a pattern. It allocates nothing. */
export const matches = (pattern: string, topic: string): boolean => covers(pattern, topic)

/**
 * Whether every topic that matches `narrow` matches `wide`. It allocates nothing.
 *
 * It takes no account of the limit on a name's length: where only that limit would make it true, it is false.
 */
export const covers = (wide: string, narrow: string): boolean => {
  if (isReserved(narrow) && (isWildcard(wide, 0, star) || isWildcard(wide, 0, tail))) return false
  let w = 0
  let n = 0
  for (;;) {
    if (isWildcard(wide, w, tail)) return true
    // One segment or more: all that is left of `wide` has a fixed length, or asks for more than one.
    if (isWildcard(narrow, n, tail)) return false
    const wideEnd = segmentEnd(wide, w)
    const narrowEnd = segmentEnd(narrow, n)
    if (!isWildcard(wide, w, star) && !sameText(wide, w, wideEnd, narrow, n, narrowEnd)) return false
    if (wideEnd === wide.length || narrowEnd === narrow.length) {
      return wideEnd === wide.length && narrowEnd === narrow.length
    }
    w = wideEnd + 1
    n = narrowEnd + 1
  }
}

const dot = 0x2e
const star = 0x2a
const tail = 0x3e

const findWildcardFault = (pattern: string): PatternReason | undefined => {
  for (let i = 0; i < pattern.length; i++) {
    const code = pattern.charCodeAt(i)
    if (code !== star && code !== tail) continue
    const isFirst = i === 0 || pattern.charCodeAt(i - 1) === dot
    if (!isFirst || !isWildcard(pattern, i, code)) return "partial-wildcard"
    if (code === tail && i + 1 < pattern.length) return "tail-not-last"
  }
  return undefined
}

/** Whether the segment that starts at `start` is this wildcard. */
const isWildcard = (pattern: string, start: number, wildcard: number): boolean =>
  pattern.charCodeAt(start) === wildcard &&
  (start + 1 === pattern.length || pattern.charCodeAt(start + 1) === dot)

const segmentEnd = (name: string, start: number): number => {
  const end = name.indexOf(".", start)
  return end === -1 ? name.length : end
}

const sameText = (
  a: string,
  aStart: number,
  aEnd: number,
  b: string,
  bStart: number,
  bEnd: number
): boolean => {
  const length = aEnd - aStart
  if (length !== bEnd - bStart) return false
  for (let i = 0; i < length; i++) {
    if (a.charCodeAt(aStart + i) !== b.charCodeAt(bStart + i)) return false
  }
  return true
}
