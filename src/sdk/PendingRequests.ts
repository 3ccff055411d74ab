/** Questions to the hub on one connection, by the number that comes back in the answer. Each is answered once. */
import type { Frame } from "../protocol/Frame.ts"
import { PolestarError, Rejected, Timeout } from "./PolestarError.ts"
import { Alarm, type Timers } from "./Timers.ts"

/** The hub's frame, or why there is none: `Rejected` for a FAILURE, `Timeout`, or what ended the connection. */
export type Answer = Frame | PolestarError

interface Pending {
  readonly operation: string
  readonly deadline: number
  readonly answered: (answer: Answer) => void
}

export class PendingRequests {
  private readonly pending = new Map<number, Pending>()
  private last = 0
  private readonly timers: Timers
  private readonly timeout: number
  private readonly alarm: Alarm

  /** `timeout` in milliseconds. */
  constructor(timers: Timers, timeout: number) {
    this.timers = timers
    this.timeout = timeout
    this.alarm = new Alarm(timers, (now) => this.expire(now))
  }

  /** Answers the number to send. `operation` names it in a timeout. */
  add(operation: string, answered: (answer: Answer) => void): number {
    do this.last = (this.last + 1) >>> 0
    while (this.last === 0 || this.pending.has(this.last))
    const deadline = this.timers.now() + this.timeout
    this.pending.set(this.last, { operation, deadline, answered })
    this.alarm.set(deadline)
    return this.last
  }

  /** Passes the answer on; one that nobody waits for is ignored. */
  answer(request: number, frame: Frame): void {
    const pending = this.pending.get(request)
    if (pending === undefined) return
    this.pending.delete(request)
    if (frame._tag === "Failure") {
      const { code, message } = frame
      pending.answered(new PolestarError({ reason: new Rejected({ code, message }) }))
    } else pending.answered(frame)
  }

  failAll(error: PolestarError): void {
    const all = [...this.pending.values()]
    this.pending.clear()
    for (const { answered } of all) answered(error)
  }

  private expire(now: number): number | undefined {
    for (const [request, { answered, deadline, operation }] of this.pending) {
      if (deadline > now) return deadline
      this.pending.delete(request)
      answered(new PolestarError({ reason: new Timeout({ operation }) }))
    }
    return undefined
  }
}
