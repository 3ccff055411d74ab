/** The hub's number for a subscription of a JSON client says which dialect it is in: odd for `event`. */
import type { Dialect } from "../../protocol/json/ClientJson.ts"

/** The lowest number above `last` for a subscription in the dialect. */
export const nextNumber = (last: number, dialect: Dialect): number => {
  const isOdd = (last + 1) % 2 === 1
  return isOdd === (dialect === "event") ? last + 1 : last + 2
}

export const dialectOf = (number: number): Dialect => (number % 2 === 1 ? "event" : "message")
