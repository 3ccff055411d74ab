/** The numbers by which a JSON client's session and subscriptions are known to the hub. */
import type { Dialect } from "../../protocol/json/ClientJson.ts"

/** There is one session a socket. */
export const session = 1

/** The lowest number above `last` for a subscription in the dialect: it is odd for `event`, so it says which. */
export const nextNumber = (last: number, dialect: Dialect): number =>
  dialectOf(last + 1) === dialect ? last + 1 : last + 2

export const dialectOf = (number: number): Dialect => (number % 2 === 1 ? "event" : "message")
