/** Questions to the hub on one connection, by the number that comes back in the answer. Each is answered once. */
import type { Frame } from "../../protocol/Frame.ts"
import { PolestarError, Rejected, Timeout } from "../PolestarError.ts"
import { Alarm, type Timers } from "./Timers.ts"

/** The hub's frame, or why there is none: `Rejected` for a FAILURE, `Timeout`, or what ended the connection. */
export type Answer = Frame | PolestarError

type Answered = (answer: Answer) => void

interface Pending {
  readonly operation: string
  readonly deadline: number
  readonly answered: Answered
}

export class PendingRequests {
  private readonly pending = new Map<number, Pending>()
  /** Those whose asker does not give up for want of an answer. */
  private readonly patient = new Map<number, Answered>()
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
  add(operation: string, answered: Answered): number {
    const request = this.nextNumber()
    const deadline = this.timers.now() + this.timeout
    this.pending.set(request, { operation, deadline, answered })
    this.alarm.set(deadline)
    return request
  }

  /** As `add`, for who waits as long as the connection lasts. */
  addPatient(answered: Answered): number {
    const request = this.nextNumber()
    this.patient.set(request, answered)
    return request
  }

  /** Passes the answer on; one that nobody waits for is ignored. */
  answer(request: number, frame: Frame): void {
    const answered = this.pending.get(request)?.answered ?? this.patient.get(request)
    if (answered === undefined) return
    this.pending.delete(request)
    this.patient.delete(request)
    if (frame._tag === "Failure") {
      const { code, message } = frame
      answered(new PolestarError({ reason: new Rejected({ code, message }) }))
    } else answered(frame)
  }

  failAll(error: PolestarError): void {
    const all = [...Array.from(this.pending.values(), ({ answered }) => answered), ...this.patient.values()]
    this.pending.clear()
    this.patient.clear()
    for (const answered of all) answered(error)
  }

  private nextNumber(): number {
    do this.last = (this.last + 1) >>> 0
    while (this.last === 0 || this.pending.has(this.last) || this.patient.has(this.last))
    return this.last
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
