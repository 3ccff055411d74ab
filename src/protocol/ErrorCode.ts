/** What can be wrong with one request or one publish. The connection goes on. */
export const ErrorCodes = {
  "invalid-topic": 1,
  "invalid-pattern": 2,
  "reserved-topic": 3,
  "topic-not-found": 4,
  "unknown-session": 5,
  "unknown-subscription": 6,
  "session-exists": 7,
  "subscription-exists": 8,
  "limit-reached": 9,
  "message-too-large": 10,
  "malformed-batch": 11,
  forbidden: 12,
  "rate-limited": 13,
  "topic-failed": 14,
  "shutting-down": 15,
  "queue-full": 16,
  "unknown-method": 17,
  "bad-request": 18,
  unsupported: 19,
  internal: 20,
  "storage-full": 21,
  "unknown-group": 22,
  "group-mismatch": 23
} as const

export type ErrorCode = keyof typeof ErrorCodes

const byNumber = new Map<number, ErrorCode>(
  Object.entries(ErrorCodes).map(([name, code]) => [code, name as ErrorCode])
)

/** The name of a code; one of a later version reads as `internal`. */
export const errorCodeOf = (code: number): ErrorCode => byNumber.get(code) ?? "internal"

/** Whether the same request may succeed later without being changed. */
export const isTransient = (code: ErrorCode): boolean =>
  code === "rate-limited" ||
  code === "topic-failed" ||
  code === "queue-full" ||
  code === "shutting-down" ||
  code === "storage-full"
