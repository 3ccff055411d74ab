/** How numbers, times, sizes and truths are written as text, for settings. Pure: what is none of them is `undefined`. */
import { ByteSize, Option } from "effect"

export const parseInteger = (text: string): number | undefined =>
  /^[+-]?\d+$/.test(text) ? Number(text) : undefined

export const parseMilliseconds = (text: string): number | undefined => {
  const whole = parseInteger(text)
  if (whole !== undefined) return whole
  const match =
    /^(\d+(?:\.\d+)?)\s*(?:(ms|milli(?:second)?s?)|(s|sec(?:ond)?s?)|(m|min(?:ute)?s?)|(h|hours?)|(d|days?))$/i.exec(
      text
    )
  if (match === null) return undefined
  const factor = [1, 1000, 60_000, 3_600_000, 86_400_000].find((_, index) => match[index + 2] !== undefined)
  // Rounded to nanoseconds, so that 1.1 s is 1100 ms and not a hair more.
  return factor === undefined ? undefined : Math.round(Number(match[1]) * factor * 1e6) / 1e6
}

export const parseBytes = (text: string): number | undefined =>
  parseInteger(text) ?? Option.getOrUndefined(Option.flatMap(ByteSize.fromString(text), ByteSize.toNumber))

export const parseBoolean = (text: string): boolean | undefined => {
  const word = text.toLowerCase()
  if (["true", "yes", "on", "1"].includes(word)) return true
  if (["false", "no", "off", "0"].includes(word)) return false
  return undefined
}
