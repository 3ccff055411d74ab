/**
 * Who a client is: asked once, with the token of its hello, and answered now or later. A token that is not accepted
 * ends the connection; one that is accepted ends it when it expires.
 */
import { Cause, Effect, Fiber, type Scope } from "effect"
import type { CloseReason } from "../protocol/CloseReason.ts"
import { authCodes, type JsonCode } from "../protocol/json/Problem.ts"
import type { AuthError } from "../services/auth/AuthError.ts"
import { anonymous, type Identity } from "../services/auth/Identity.ts"
import { Alarm } from "./Alarm.ts"
import type { ConnectionOptions, Served } from "./FrameHost.ts"

/** The connection whose client it is. */
export interface Applicant extends Served {
  readonly options: ConnectionOptions
  /** Ends it as one who is not taken, which is counted and logged. */
  readonly turnAway: (reason: CloseReason) => void
  readonly refuse: (reason: CloseReason, code: JsonCode, error: AuthError) => void
  /** Ends it for an error of the hub's own. */
  readonly broke: (cause: unknown) => void
}

/** What a client whose token was not accepted is told. */
const closeReasonFor = (error: AuthError): CloseReason =>
  error.reason === "expired" ? "token-expired" : error.isTransient ? "hub-failed" : "unauthorized"

export class Authentication {
  /** Anybody until it is known. */
  identity: Identity = anonymous
  private readonly applicant: Applicant
  private readonly scope: Scope.Scope
  private asking: Fiber.Fiber<void> | undefined

  /** Whoever is asked about when the scope closes is never known. */
  constructor(applicant: Applicant, scope: Scope.Scope) {
    this.applicant = applicant
    this.scope = scope
  }

  /** Calls back, as a turn, once the client is known and may stay: now, or later. */
  ask(token: string, admitted: () => void): void {
    const applicant = this.applicant
    const { auth, registry } = applicant.options
    if (!auth.isOn) {
      admitted()
      return
    }
    const asked = Effect.match(auth.authenticate(token), {
      onSuccess: (identity) => registry.system.turn(() => this.accept(identity, admitted)),
      onFailure: (error) => applicant.refuse(closeReasonFor(error), authCodes[error.reason], error)
    })
    const answered = Effect.catchCause(asked, (cause) =>
      Effect.sync(() => {
        if (Cause.hasDies(cause)) applicant.broke(Cause.squash(cause))
      })
    )
    this.asking = registry.system.fork(answered, this.scope)
  }

  /** Waits until what was asked is answered, and what was to be done then is done. */
  readonly answered: Effect.Effect<void> = Effect.suspend(() =>
    this.asking === undefined ? Effect.void : Effect.asVoid(Fiber.await(this.asking))
  )

  private accept(identity: Identity, admitted: () => void): void {
    this.identity = identity
    const applicant = this.applicant
    const refused = applicant.options.connections.identified(applicant, identity)
    if (refused !== undefined) {
      applicant.turnAway(refused)
      return
    }
    this.endAt(identity.expiresAt)
    admitted()
  }

  private endAt(time: number): void {
    if (!Number.isFinite(time)) return
    const applicant = this.applicant
    const { system } = applicant.options.registry
    new Alarm(system, () => applicant.end("token-expired"), undefined, this.scope).set(time)
  }
}
