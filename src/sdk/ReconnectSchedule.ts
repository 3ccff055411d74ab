/** When a client tries again: exponential, jittered by a fifth either way, and capped. */
import { Schedule } from "effect"

const capped = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

/** Before each attempt to connect again: 100 ms, 200 ms, … 5 s, for ever. */
export const reconnectSchedule: Schedule.Schedule<unknown> = Schedule.jittered(capped)

/** Before a batch, a session or a subscription that the hub refused for a passing reason is sent again. */
export const refusalSchedule: Schedule.Schedule<unknown> = Schedule.jittered(capped)

/** A connection that held for so many milliseconds ends a row of failures: the schedule begins anew. */
export const heldAfter = 1000
