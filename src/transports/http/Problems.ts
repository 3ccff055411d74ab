/** What goes wrong with a request beside what its handler refuses: answered as a problem, counted and logged as the caller's. */
import { Cause, Effect, Layer, SchemaIssue } from "effect"
import type { HttpServerResponse } from "effect/http"
import { HttpApiError, HttpApiMiddleware } from "effect/http-api"
import { CurrentCaller } from "./Authorization.ts"
import type { Caller } from "./Caller.ts"
import { allowedText } from "./Parameters.ts"
import { refusal } from "./Refusal.ts"

/** To be within the authorization, which says whose request it is. */
export class Problems extends HttpApiMiddleware.Service<Problems, { requires: CurrentCaller }>()(
  "polestar/transports/http/Problems"
) {}

export const layer: Layer.Layer<Problems> = Layer.succeed(Problems, (answer) =>
  Effect.flatMap(CurrentCaller, (caller) => Effect.catchCause(answer, (cause) => answerTo(caller, cause)))
)

/** Says what is wrong with the parameters, or that the hub failed, and why in the log. */
export const answerTo = <E>(
  caller: Caller,
  cause: Cause.Cause<E>
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  // Nobody is left to be answered.
  if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
  const error = Cause.squash(cause)
  if (HttpApiError.HttpApiSchemaError.is(error) && error.kind !== "Body")
    return caller.refuse(refusal("BAD_REQUEST", badFields(error)))
  return Effect.andThen(Effect.logError("a request failed", cause), caller.refuse(refusal("INTERNAL")))
}

const toIssues = SchemaIssue.makeFormatterStandardSchemaV1()

/** Names what is wrong and what it may be, and does not quote it. */
const badFields = ({ cause, kind }: HttpApiError.HttpApiSchemaError): string => {
  const names = toIssues(cause.issue).issues.map(({ path }) => (path ?? []).map(String).join("."))
  const shown = [...new Set(names)].filter((name) => name !== "").map(allowedText)
  return shown.length === 0 ? `${kind.toLowerCase()}: it cannot be that` : shown.join("; ")
}
