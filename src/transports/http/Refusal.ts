/** How a request is refused: a problem (RFC 9457) that a handler fails with, and the response that says it. */
import { Data, Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import type { CloseReason } from "../../protocol/CloseReason.ts"
import { type ErrorCode, errorMessage } from "../../protocol/ErrorCode.ts"
import {
  closeCodes,
  type JsonCode,
  type Problem,
  problemHeaders,
  problemOf,
  problemOfError
} from "../../protocol/json/Problem.ts"

/** No `Error`: nobody sees its stack, which costs more to take than all the rest of refusing. */
export class Refusal extends Data.TaggedClass("Refusal")<{
  readonly problem: Problem
  /** For the log: the topic or pattern, where it is not the path that says what was asked. */
  readonly what?: string
  /** For the log: what the client is not told. */
  readonly why?: string
  /** How many messages it stands for, if not for one request. */
  readonly times?: number
}> {
  about(what: string): Refusal {
    return new Refusal({ problem: this.problem, what })
  }
}

export const refusal = (code: JsonCode, detail?: string, retryAfter?: number): Refusal =>
  new Refusal({ problem: problemOf(code, detail, retryAfter) })

/** The same for a reader that was to go on from `next`, so that it loses nothing. */
export const refusalWithNext = (code: JsonCode, detail: string, next: string): Refusal =>
  new Refusal({ problem: { ...problemOf(code, detail), next } })

export const refuse = (code: JsonCode, detail?: string): Effect.Effect<never, Refusal> =>
  Effect.fail(refusal(code, detail))

/** For what the hub answered. Of what the web has no code for, the hub's own text says what is wrong. */
export const refusalOfError = (error: ErrorCode, detail?: string): Refusal =>
  new Refusal({
    problem: problemOfError(error, detail ?? (error === "reserved-topic" ? errorMessage(error) : undefined))
  })

/** For what HTTP/1.1 itself does not allow, or has as a choice that is none here. */
export const badRequest = (detail: string): Refusal =>
  new Refusal({ problem: { ...problemOf("BAD_REQUEST", detail), status: 400, title: "Bad Request" } })

/** For a client of the hub's that was ended before it had its answer. */
export const refusalOfClose = (reason: CloseReason): Refusal =>
  refusal(closeCodes[reason] ?? "INTERNAL", reason === "group-removed" ? "the group was removed" : undefined)

export const problemResponse = (
  problem: Problem,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse => {
  const { "content-type": contentType, ...rest } = problemHeaders(problem)
  return HttpServerResponse.text(JSON.stringify(problem), {
    status: problem.status,
    statusText: problem.title,
    contentType: contentType ?? "application/problem+json",
    headers: { ...rest, ...headers }
  })
}

/** JSON of the hub's own, as a response. */
export const jsonResponse = (
  value: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(JSON.stringify(value), { status, contentType: "application/json", headers })
