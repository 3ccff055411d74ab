/** Where `sub` starts, as a person says it. Pure. */
import { Option, Result, Schema } from "effect"
import { milliseconds } from "../protocol/SettingKinds.ts"
import type { From } from "../sdk/Subscribing.ts"

export const startForms =
  'epoch:offset, milliseconds since 1970, an ISO time, or how long ago, such as "5m" (by this machine\'s clock)'

/** Ten years: longer ago than anything that is kept. */
const longest = 315_360_000_000

const decodeDuration = Schema.decodeUnknownOption(
  milliseconds({ minimum: 0, maximum: longest, description: "" }).schema
)

/** Milliseconds of a duration such as "30s", "5m" or "250" (milliseconds). */
export const parseDuration = (text: string): number | undefined => Option.getOrUndefined(decodeDuration(text))

/** Reads one of `startForms`; fails with what is wrong. `now` is in milliseconds since 1970. */
export const parseStart = (text: string, now: number): Result.Result<From, string> => {
  const trimmed = text.trim()
  const position = /^(\d+):(\d+)$/.exec(trimmed)
  if (position !== null) {
    const [epoch, offset] = [Number(position[1]), Number(position[2])]
    return Number.isSafeInteger(epoch) && Number.isSafeInteger(offset)
      ? Result.succeed({ position: { epoch, offset } })
      : bad(text)
  }
  if (/^\d+$/.test(trimmed)) return moment(Number(trimmed), text)
  // A year first, so that what Date.parse would make of other texts is not taken for a time.
  if (/^\d{4}-\d{2}/.test(trimmed)) return moment(Date.parse(trimmed), text)
  const ago = parseDuration(trimmed.replace(/\s+ago$/i, ""))
  return ago === undefined ? bad(text) : Result.succeed({ time: now - ago })
}

const moment = (time: number, text: string): Result.Result<From, string> =>
  Number.isSafeInteger(time) && time >= 0 ? Result.succeed({ time }) : bad(text)

const bad = (text: string): Result.Result<never, string> =>
  Result.fail(`found ${JSON.stringify(text)}; allowed: ${startForms}`)
