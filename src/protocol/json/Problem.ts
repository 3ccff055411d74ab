/**
 * What a client of the web is told when something is wrong: one vocabulary of codes for WebSocket and HTTP, and the
 * problem details of RFC 9457 for each.
 */
import type { CloseReason } from "../CloseReason.ts"
import type { ErrorCode } from "../ErrorCode.ts"

/** What all problems of a code have in common. */
export interface ProblemKind {
  readonly status: number
  /** A sentence about every problem of this code; a given detail takes its place. */
  readonly summary: string
  /** Seconds for `Retry-After`, where the same request may succeed later and nothing better is known. */
  readonly retryAfter?: number
}

export const problemKinds = {
  INVALID_JSON: { status: 400, summary: "It is not JSON of the form that is asked for." },
  UNKNOWN_TYPE: { status: 400, summary: "There is no request of this type." },
  INVALID_TOPIC: { status: 400, summary: "It is no name of a topic, or no pattern." },
  UNAUTHORIZED: { status: 401, summary: "A valid token or API key is needed." },
  TOKEN_EXPIRED: { status: 401, summary: "The token has expired: fetch a new one." },
  FORBIDDEN: { status: 403, summary: "This identity may not do that." },
  ORIGIN_NOT_ALLOWED: { status: 403, summary: "Pages of this origin may not use the hub." },
  LIMIT_REACHED: { status: 403, summary: "There are as many as are allowed." },
  TOPIC_NOT_FOUND: { status: 404, summary: "There is no such topic." },
  GROUP_NOT_FOUND: { status: 404, summary: "There is no such group." },
  NOT_SUBSCRIBED: { status: 404, summary: "There is no such subscription." },
  NOT_FOUND: { status: 404, summary: "There is nothing at this address." },
  METHOD_NOT_ALLOWED: { status: 405, summary: "This address does not take that method." },
  REQUEST_TIMEOUT: { status: 408, summary: "The request was too slow in coming." },
  TOPIC_EXISTS: { status: 409, summary: "The topic exists already." },
  CONFLICT: { status: 409, summary: "It exists already, with other settings." },
  MESSAGE_TOO_LARGE: { status: 413, summary: "It is larger than is allowed." },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, summary: "This address does not take that content type." },
  BAD_REQUEST: { status: 422, summary: "A field has a value that it cannot have." },
  DELAY_TOO_LONG: {
    status: 422,
    summary: "Its time is further off than the hub holds messages (`maxDelay`)."
  },
  MISSING_TOPIC: { status: 422, summary: "A topic is needed." },
  MISSING_MESSAGE: { status: 422, summary: "A message with a payload is needed." },
  MISSING_MESSAGE_ID: { status: 422, summary: "The id of a message is needed." },
  UPGRADE_REQUIRED: { status: 426, summary: "This address speaks WebSocket alone." },
  RATE_LIMITED: { status: 429, summary: "There were too many requests.", retryAfter: 1 },
  HEAD_TOO_LARGE: { status: 431, summary: "The head of the request is larger than is allowed." },
  BUFFER_OVERFLOW: { status: 503, summary: "The client was too slow, and is disconnected.", retryAfter: 1 },
  INTERNAL: { status: 500, summary: "The hub failed." },
  UNSUPPORTED: { status: 501, summary: "This hub cannot do that." },
  QUEUE_FULL: { status: 503, summary: "The topic's queue is full.", retryAfter: 1 },
  TOPIC_FAILED: { status: 503, summary: "The topic failed, and is restarted.", retryAfter: 1 },
  STORAGE_FULL: { status: 503, summary: "The hub's storage is full.", retryAfter: 30 },
  AUTH_UNAVAILABLE: { status: 503, summary: "Tokens cannot be checked at present.", retryAfter: 5 },
  TOO_MANY_CONNECTIONS: { status: 503, summary: "The hub has all the clients that it takes.", retryAfter: 5 },
  SHUTTING_DOWN: { status: 503, summary: "The hub is shutting down.", retryAfter: 2 }
} as const satisfies Record<string, ProblemKind>

export type JsonCode = keyof typeof problemKinds

/** The code that web clients see for each of the hub's. */
export const jsonCodes: { readonly [Code in ErrorCode]: JsonCode } = {
  "invalid-topic": "INVALID_TOPIC",
  "invalid-pattern": "INVALID_TOPIC",
  "reserved-topic": "FORBIDDEN",
  "topic-not-found": "TOPIC_NOT_FOUND",
  "unknown-session": "NOT_SUBSCRIBED",
  "unknown-subscription": "NOT_SUBSCRIBED",
  "session-exists": "CONFLICT",
  "subscription-exists": "CONFLICT",
  "limit-reached": "LIMIT_REACHED",
  "message-too-large": "MESSAGE_TOO_LARGE",
  "malformed-batch": "BAD_REQUEST",
  forbidden: "FORBIDDEN",
  "rate-limited": "RATE_LIMITED",
  "topic-failed": "TOPIC_FAILED",
  "shutting-down": "SHUTTING_DOWN",
  "queue-full": "QUEUE_FULL",
  "unknown-method": "UNKNOWN_TYPE",
  "bad-request": "BAD_REQUEST",
  unsupported: "UNSUPPORTED",
  internal: "INTERNAL",
  "storage-full": "STORAGE_FULL",
  "unknown-group": "GROUP_NOT_FOUND",
  "group-mismatch": "CONFLICT",
  "too-many-groups": "LIMIT_REACHED",
  "delay-too-long": "DELAY_TOO_LONG"
}

/** The code for each reason for which a token is not accepted. An attacker does not learn what was wrong with it. */
export const authCodes = {
  missing: "UNAUTHORIZED",
  malformed: "UNAUTHORIZED",
  "unknown-key": "UNAUTHORIZED",
  expired: "TOKEN_EXPIRED",
  "not-yet-valid": "UNAUTHORIZED",
  "wrong-audience": "UNAUTHORIZED",
  "wrong-issuer": "UNAUTHORIZED",
  "bad-signature": "UNAUTHORIZED",
  "unsupported-algorithm": "UNAUTHORIZED",
  "jwks-unavailable": "AUTH_UNAVAILABLE"
} as const satisfies Record<string, JsonCode>

/** The code for each reason for which the hub ends a client before it has its answer; any other is `INTERNAL`. */
export const closeCodes: { readonly [Reason in CloseReason]?: JsonCode } = {
  "too-many-connections": "TOO_MANY_CONNECTIONS",
  "shutting-down": "SHUTTING_DOWN",
  "slow-consumer": "BUFFER_OVERFLOW",
  "token-expired": "TOKEN_EXPIRED",
  unauthorized: "UNAUTHORIZED",
  "group-removed": "GROUP_NOT_FOUND"
}

/** What is wrong with something that was read: answered as a value. The message never quotes what came from outside. */
export interface JsonFault {
  readonly code: JsonCode
  readonly message: string
}

const phrases: { readonly [status: number]: string } = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  426: "Upgrade Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable"
}

export const problemContentType = "application/problem+json"

/** The body of RFC 9457. Its `type` is `about:blank`, so `title` is the phrase of the status; `code` says more. */
export interface Problem {
  readonly type: "about:blank"
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: JsonCode
  /** Names this refusal: the hub's log has a line with the same id. Only by HTTP. */
  readonly instance?: string
  /** Seconds, as in the header `Retry-After`. */
  readonly retry_after?: number
  /** Of a poll: what to give as `from` so that nothing is lost. Only by HTTP. */
  readonly next?: string
}

/** `retryAfter` (seconds, rounded up) is for whoever knows better than the table, such as a rate limiter. */
export const problemOf = (code: JsonCode, detail?: string, retryAfter?: number): Problem => {
  const kind: ProblemKind = problemKinds[code]
  const seconds = retryAfter ?? kind.retryAfter
  return {
    type: "about:blank",
    title: phrases[kind.status] ?? "Error",
    status: kind.status,
    detail: detail ?? kind.summary,
    code,
    ...(seconds === undefined ? {} : { retry_after: Math.max(1, Math.ceil(seconds)) })
  }
}

/** For what the hub answered. A code after which the same request may succeed always has a time to wait. */
export const problemOfError = (error: ErrorCode, detail?: string, retryAfter?: number): Problem =>
  problemOf(jsonCodes[error], detail, retryAfter)

/** The headers that go with a problem, in lower case. */
export const problemHeaders = (problem: Problem): Readonly<Record<string, string>> => ({
  "content-type": problemContentType,
  ...(problem.retry_after === undefined ? {} : { "retry-after": String(problem.retry_after) }),
  ...(problem.status === 426 ? { upgrade: "websocket", connection: "Upgrade, close" } : {}),
  ...(problem.status !== 401
    ? {}
    : {
        "www-authenticate":
          problem.code === "TOKEN_EXPIRED"
            ? 'Bearer error="invalid_token", error_description="The token has expired"'
            : "Bearer"
      })
})
