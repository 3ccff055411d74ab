/** What a reader asks for, out of the query: topics, where to start, how many and how long. */

import { parseStart } from "../../protocol/json/StartText.ts"
import { checkPattern, covers, isLiteral } from "../../protocol/Pattern.ts"
import type { Start } from "../../protocol/Position.ts"
import { Cursor } from "./Cursor.ts"
import { type Refusal, refusal } from "./Refusal.ts"

/** Patterns of one reader. Each is compared with each. */
export const maxPatterns = 100

/**
 * The patterns of `topics=a,b`, none twice, and none that another of them has anyway. A reader of several patterns that
 * meet in part gets what both match twice.
 */
export const readPatterns = (text: string | undefined): ReadonlyArray<string> | Refusal => {
  const patterns = [...new Set((text ?? "").split(",").map((each) => each.trim()))].filter(
    (each) => each !== ""
  )
  if (patterns.length === 0)
    return refusal("MISSING_TOPIC", "`topics` is needed: one or more, separated by commas")
  if (patterns.length > maxPatterns) {
    return refusal("LIMIT_REACHED", `\`topics\` has more than ${maxPatterns} items`)
  }
  for (const pattern of patterns) {
    const error = checkPattern(pattern)
    if (error !== undefined) return refusal("INVALID_TOPIC", error.message)
  }
  return patterns.filter((pattern) => !patterns.some((other) => other !== pattern && covers(other, pattern)))
}

/** Of more there is no frame. */
const maxLast = 4_294_967_295

export interface Beginning {
  readonly start: Start
  /** Where the reader stands before it has anything. */
  readonly cursor: Cursor
  /** Whether what is before the start is of no interest, so that the cursor goes by the time of subscribing. */
  readonly isNow: boolean
}

/** `from`: `now`, `first`, a time, a position, or the `next` of an answer; or the `last` so many messages of each topic. */
export const readBeginning = (
  text: string | undefined,
  patterns: ReadonlyArray<string>,
  last = 0
): Beginning | Refusal => {
  if (last > 0) {
    if (text !== undefined && text !== "") return refusal("BAD_REQUEST", "give `from` or `last`, not both")
    const count = Math.min(last, maxLast)
    const cursor = new Cursor(0)
    cursor.last = count
    return { start: { _tag: "Last", count }, cursor, isNow: false }
  }
  if (text === undefined || text === "" || text === "now") {
    return { start: { _tag: "Now" }, cursor: new Cursor(0), isNow: true }
  }
  const start = parseStart(text)
  if (start?._tag === "Position") {
    const [pattern = ">", ...more] = patterns
    if (more.length > 0 || !isLiteral(pattern)) {
      return refusal("BAD_REQUEST", "a position is of one topic: give one, and without wildcards")
    }
    const cursor = new Cursor(0)
    cursor.received(pattern, start.position.epoch, start.position.offset)
    return { start, cursor, isNow: false }
  }
  if (start !== undefined) {
    return { start, cursor: new Cursor(start._tag === "Time" ? start.time : 0), isNow: false }
  }
  const cursor = Cursor.parse(text)
  if (cursor !== undefined) return { start: cursor.start, cursor, isNow: false }
  return refusal("BAD_REQUEST", "`from` must be now, first, a time, a position, or the `next` of an answer")
}
