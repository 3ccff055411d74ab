/** When a client tries again: exponential, jittered by a fifth either way, and capped. */
import { Schedule } from "effect"

const capped = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

/** Before each attempt to connect again, or to send again what was refused for a passing reason: 100 ms, 200 ms, … 5 s. */
export const reconnectSchedule: Schedule.Schedule<unknown> = Schedule.jittered(capped)
