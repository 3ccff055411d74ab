/** JSON of every kind by chance, as text with white space and escapes in all places where JSON has them. */
import type { Chance } from "../Chance.ts"

const strings = [
  "",
  "a",
  "id",
  "__proto__",
  "constructor",
  "ä",
  "€",
  "😀",
  '"',
  "\\",
  "/",
  "\n",
  "\u0000",
  "\u2028"
]
const numbers = ["0", "-0", "1", "-1.5", "1e400", "-1E-400", "12345678901234567890", "0.10", "1e+2"]
const spaces = ["", "", "", " ", "\n", "\r\n\t"]

const unicodeEscape = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`

const stringText = (random: Chance): string => {
  const text = `${random.pick(strings)}${random.pick(strings)}`
  switch (random.below(4)) {
    case 0:
      return `"${text.split("").map(unicodeEscape).join("")}"`
    case 1:
      return random.pick(['"\\ud800"', '"\\/\\b\\f\\n\\r\\t"', '"\\uD83D\\uDE00"'])
    default:
      return JSON.stringify(text)
  }
}

/** The text of a value with at most `depth` levels. */
export const jsonText = (random: Chance, depth: number): string => {
  const space = () => random.pick(spaces)
  const many = () => Array.from({ length: random.below(4) })
  const value = () => `${space()}${jsonText(random, depth - 1)}${space()}`
  switch (random.below(depth > 0 ? 7 : 4)) {
    case 0:
      return random.pick(["null", "true", "false"])
    case 1:
      return random.pick(numbers)
    case 2:
    case 3:
      return stringText(random)
    case 4:
      return `[${many().length === 0 ? space() : many().map(value).join(",") || space()}]`
    default:
      return `{${
        many()
          .map(() => `${space()}${stringText(random)}${space()}:${value()}`)
          .join(",") || space()
      }}`
  }
}

/** What `JSON.parse` says of bytes: whether they are JSON, and of what value. */
export const parsed = (bytes: Uint8Array): { readonly value: unknown } | undefined => {
  try {
    return { value: JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)) }
  } catch {
    return undefined
  }
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
export const asText = (bytes: Uint8Array): string => new TextDecoder("utf-8", { fatal: true }).decode(bytes)
export const asValue = (bytes: Uint8Array): unknown => JSON.parse(asText(bytes))
