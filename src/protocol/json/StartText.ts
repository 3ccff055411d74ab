/**
 * Where to start, as clients write it in JSON and in queries: `now`, `first`, a position `<epoch>-<offset>`, or a time,
 * as milliseconds since 1970 or in the form of RFC 3339.
 */
import type { Start } from "../Position.ts"
import { parsePosition } from "./MessageId.ts"

/** With the time of day and the zone: `Date.parse` alone takes far more, and `2024-01` is a position here. */
const rfc3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/
const milliseconds = /^\d{1,16}$/
/** The latest time that a `Date` can hold. */
export const maxTime = 8_640_000_000_000_000

/** Milliseconds since 1970 of a time not before then; `undefined` for what is none. */
export const parseTime = (text: string): number | undefined => {
  const time = milliseconds.test(text) ? Number(text) : rfc3339.test(text) ? Date.parse(text) : Number.NaN
  return time >= 0 && time <= maxTime ? time : undefined
}

/** RFC 3339 in UTC, for any number. */
export const timeText = (time: number): string =>
  new Date(time >= 0 ? Math.min(time, maxTime) : 0).toISOString()

/** Reads a `from`; `undefined` for what is none. */
export const parseStart = (text: string): Start | undefined => {
  if (text === "now") return { _tag: "Now" }
  if (text === "first") return { _tag: "First" }
  const position = parsePosition(text)
  if (position !== undefined) return { _tag: "Position", position }
  const time = parseTime(text)
  return time === undefined ? undefined : { _tag: "Time", time }
}
