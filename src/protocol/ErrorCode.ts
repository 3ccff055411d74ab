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
  "group-mismatch": 23,
  "too-many-groups": 24,
  "delay-too-long": 25
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

const messages: Record<ErrorCode, string> = {
  "unknown-session": "no session of this number is open on this connection",
  "session-exists": "a session of this number is open on this connection",
  "subscription-exists": "a subscription of this number exists in this session",
  "unknown-subscription": "no subscription of this number exists in this session",
  "reserved-topic": "topics that begin with $ are the hub's own",
  "invalid-topic":
    "not a topic name: segments joined by dots, at most 255 bytes, without white space, * or >",
  "topic-not-found": "no topic of this name exists",
  forbidden: "this client may not do that with this topic, pattern or group",
  "bad-request": "the request is not one, or its parts do not fit together",
  "invalid-pattern":
    "not a pattern: segments joined by dots, where * is one segment and a final > one or more",
  "limit-reached": "a limit of this hub was reached",
  "message-too-large": "a payload is larger than this hub takes",
  "malformed-batch": "the records of the batch are not what its header says",
  "storage-full": "the hub's disk, or its share of it, is full",
  "unknown-group": "no group of this name exists, or this session has not joined it",
  "group-mismatch": "the group was made with another pattern or order",
  "too-many-groups": "this client has made as many groups as it may (`maxGroupsPerClient`)",
  "delay-too-long": "the time of the message is further off than this hub holds messages (`maxDelay`)",
  "shutting-down": "the hub is shutting down",
  "rate-limited": "more messages than this client may publish in a minute; publish them later",
  "topic-failed": "the topic failed, and is started again",
  "queue-full": "as many messages wait for this topic as may wait",
  "unknown-method": "the hub has no method of this name",
  unsupported: "this hub cannot do that",
  internal: "the hub failed"
}

/** A line for people. */
export const errorMessage = (code: ErrorCode): string => messages[code]
