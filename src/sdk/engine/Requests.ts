/**
 * Questions to the hub on one connection, by the number that comes back in the answer. Each is answered once. What a
 * program asks is JSON and may be done twice, so one that a connection lost is asked again.
 */

import { Effect } from "effect"
import { decodeText, encodeText } from "../../protocol/Bytes.ts"
import type { Frame } from "../../protocol/Frame.ts"
import { Features } from "../../protocol/Op.ts"
import { DecodeFailed, EncodeFailed, PolestarError, Rejected, Timeout } from "../PolestarError.ts"
import type { ClientConnection } from "./ClientConnection.ts"
import type { ClientEngine } from "./ClientEngine.ts"
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

export const request = (
  engine: ClientEngine,
  method: string,
  body: unknown
): Effect.Effect<unknown, PolestarError> =>
  Effect.try({
    try: () => encodeText(JSON.stringify(body) ?? "null"),
    catch: (cause) => new PolestarError({ reason: new EncodeFailed({ cause }) })
  }).pipe(
    Effect.flatMap((json) =>
      engine.nextConnection.pipe(
        Effect.flatMap((connection) => ask(engine, connection, method, json)),
        Effect.retry({
          times: engine.options.maxRetries,
          while: ({ reason }) => reason._tag === "ConnectionLost"
        })
      )
    ),
    Effect.flatMap((json) =>
      Effect.try({
        try: (): unknown => JSON.parse(decodeText(json) ?? ""),
        catch: (cause) => new PolestarError({ reason: new DecodeFailed({ cause }) })
      })
    )
  )

const ask = (
  engine: ClientEngine,
  connection: ClientConnection,
  method: string,
  json: Uint8Array
): Effect.Effect<Uint8Array, PolestarError> =>
  Effect.callback((resume) => {
    if (connection.welcome === undefined || (connection.welcome.features & Features.requests) === 0) {
      const reason = new Rejected({ code: "unsupported", message: "the hub takes no requests" })
      return resume(Effect.fail(new PolestarError({ reason })))
    }
    const request = engine.requests.add(method, (answer) => {
      if (answer._tag === "PolestarError") return resume(Effect.fail(answer))
      // A copy, since it may be a view of all that came with it.
      if (answer._tag === "Response") return resume(Effect.succeed(answer.body.slice()))
      connection.fail("protocol-error", "an answer that does not fit its question")
    })
    connection.send({ _tag: "Request", request, method, body: json })
  })
