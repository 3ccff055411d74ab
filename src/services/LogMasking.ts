/**
 * What a log may not show: values of the fields that are named in `maskedFields` are replaced, wherever in a line they
 * stand. Pure; the loggers of `cli/HubLog.ts` ask here.
 */
import { Predicate } from "effect"

export const masked = "***"

/** Masked whatever the settings say. */
export const alwaysMasked: ReadonlyArray<string> = [
  "authorization",
  "token",
  "password",
  "secret",
  "api_key",
  "payload"
]

/** Objects are looked into so deep; what is deeper is masked as a whole. */
const deepest = 8

/** `API-Key` is `apikey`: how a name is written does not matter. */
const plain = (name: string): string => name.toLowerCase().replace(/[-_.\s]/g, "")

/** Answers the same value, with a copy of whatever had to be changed. */
export type Mask = (value: unknown) => unknown

export const maskOf = (fields: ReadonlyArray<string>): Mask => {
  const names = new Set([...alwaysMasked, ...fields].map(plain))
  const mask = (value: unknown, depth: number): unknown => {
    if (Array.isArray(value)) return depth === 0 ? masked : value.map((each) => mask(each, depth - 1))
    // Errors and dates, for example, are written in ways of their own.
    if (!Predicate.isObject(value) || !isPlain(value)) return value
    if (depth === 0) return masked
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [
        name,
        names.has(plain(name)) ? masked : mask(member, depth - 1)
      ])
    )
  }
  return (value) => mask(value, deepest)
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
