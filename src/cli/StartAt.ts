/** Where to start, as a person says it: `sub`, `replay`, and the commands of groups. Pure. */
import { Option, Result, Schema } from "effect"
import type { Position } from "../protocol/Position.ts"
import { milliseconds } from "../protocol/SettingKinds.ts"

export const startForms =
  'epoch:offset, milliseconds since 1970, an ISO time, or how long ago, such as "5m" (by this machine\'s clock)'

/** Ten years: longer ago than anything that is kept. */
const longest = 315_360_000_000

const decodeDuration = Schema.decodeUnknownOption(
  milliseconds({ minimum: 0, maximum: longest, description: "" }).schema
)

/** Milliseconds of a duration such as "30s", "5m" or "250" (milliseconds). */
export const parseDuration = (text: string): number | undefined => Option.getOrUndefined(decodeDuration(text))

/** A message, or the first of a time or later (milliseconds since 1970). */
export type Start = { readonly position: Position } | { readonly time: number }

/** Reads one of `startForms`; fails with what is wrong. `now` is in milliseconds since 1970. */
export const parseStart = (text: string, now: number): Result.Result<Start, string> => {
  const trimmed = text.trim()
  const position = /^(\d+):(\d+)$/.exec(trimmed)
  if (position !== null) {
    const [epoch, offset] = [Number(position[1]), Number(position[2])]
    return Number.isSafeInteger(epoch) && Number.isSafeInteger(offset)
      ? Result.succeed({ position: { epoch, offset } })
      : bad(text)
  }
  const time = parseMoment(trimmed)
  if (time !== undefined) return Result.succeed({ time })
  if (/^\d+$/.test(trimmed)) return bad(text)
  const ago = parseDuration(trimmed.replace(/\s+ago$/i, ""))
  return ago === undefined ? bad(text) : Result.succeed({ time: now - ago })
}

/** Milliseconds since 1970 of such a number, or of an ISO time. */
export const parseMoment = (text: string): number | undefined => {
  const trimmed = text.trim()
  // A year first, so that what Date.parse would make of other texts is not taken for a time.
  const isTime = /^\d{4}-\d{2}/.test(trimmed)
  const time = /^\d+$/.test(trimmed) ? Number(trimmed) : isTime ? Date.parse(trimmed) : Number.NaN
  return Number.isSafeInteger(time) && time >= 0 ? time : undefined
}

/** Where something that is kept begins: with the oldest message, at a message, or at a time. */
export type Point =
  | "first"
  /** Without an epoch: the topic's present one. */
  | { readonly position: { readonly epoch?: number | undefined; readonly offset: number } }
  | { readonly time: number }

export const pointForms =
  'first, an offset, epoch:offset, an ISO time, milliseconds since 1970, or how long ago, such as "5m"'

/** In 1973: a number below it is an offset, one from there on a time. */
const leastTime = 100_000_000_000

/** Reads one of `pointForms`, `now` being in milliseconds since 1970; `more` are forms that the caller reads itself. */
export const parsePoint = (text: string, now: number, more = ""): Result.Result<Point, string> => {
  const trimmed = text.trim()
  if (trimmed === "first") return Result.succeed("first")
  const number = /^\d+$/.test(trimmed) ? Number(trimmed) : Number.NaN
  if (number < leastTime) return Result.succeed({ position: { offset: number } })
  return Result.mapError(
    parseStart(text, now),
    () => `found ${JSON.stringify(text)}; allowed: ${more}${pointForms}`
  )
}

const bad = (text: string): Result.Result<never, string> =>
  Result.fail(`found ${JSON.stringify(text)}; allowed: ${startForms}`)
