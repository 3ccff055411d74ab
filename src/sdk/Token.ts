/**
 * What a client shows to say who it is: a token that is there, or a way to get one, which is asked anew before each
 * connection. Only the second outlives a token: when the hub says that it has expired, the next connection has a new one.
 */
import { Effect, Predicate, Redacted } from "effect"
import { ConnectFailed, PolestarError, Timeout } from "./PolestarError.ts"

type Text = string | Redacted.Redacted<string>

/** A JWT or an API key. Whoever gets one has 30 s for it; failing is a failed attempt to connect. */
export type Token = Text | Effect.Effect<Text, unknown> | (() => Text | PromiseLike<Text>)

const patience = "30 seconds"

/** Whether asking again would give another one. */
export const isRenewable = (token: Token | undefined): boolean =>
  token !== undefined && !Predicate.isString(token) && !Redacted.isRedacted(token)

/** The token to show now; empty if there is none. */
export const readToken = (token: Token | undefined): Effect.Effect<string, PolestarError> => {
  if (token === undefined) return Effect.succeed("")
  if (Predicate.isString(token) || Redacted.isRedacted(token)) return Effect.succeed(valueOf(token))
  const asked = Effect.isEffect(token)
    ? token
    : Effect.tryPromise({ try: async () => token(), catch: (cause) => cause })
  return asked.pipe(
    Effect.map(valueOf),
    Effect.mapError(failed),
    Effect.catchDefect((defect) => Effect.fail(failed(defect))),
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.fail(failed(new PolestarError({ reason: new Timeout({ operation: "token" }) })))
    })
  )
}

const valueOf = (token: Text): string => (Predicate.isString(token) ? token : Redacted.value(token))

const failed = (cause: unknown): PolestarError => new PolestarError({ reason: new ConnectFailed({ cause }) })
