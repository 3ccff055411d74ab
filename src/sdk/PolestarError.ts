/**
 * What can go wrong for a client of a hub: one error with a `reason`.
 *
 * A publish that fails with `ConnectionLost` or `Timeout` may have been taken by the hub: only its answer is
 * missing. After `Rejected`, `QueueFull`, `MessageInvalid` and `EncodeFailed` it was not.
 */
import { Schema } from "effect"
import { type CloseReason, CloseReasons } from "../protocol/CloseReason.ts"
import { type ErrorCode, ErrorCodes } from "../protocol/ErrorCode.ts"

const closeReason = Schema.Literals(Object.keys(CloseReasons) as ReadonlyArray<CloseReason>)
const errorCode = Schema.Literals(Object.keys(ErrorCodes) as ReadonlyArray<ErrorCode>)

/** The first connection could not be made. */
export class ConnectFailed extends Schema.TaggedError<ConnectFailed>()("ConnectFailed", {
  cause: Schema.Defect()
}) {}

/** The connection broke, and what was under way was tried as often as the settings allow. */
export class ConnectionLost extends Schema.TaggedError<ConnectionLost>()("ConnectionLost", {
  closeReason
}) {}

/** Ended for good: the hub said so, reconnecting was given up, or a subscription was too slow. */
export class Disconnected extends Schema.TaggedError<Disconnected>()("Disconnected", {
  closeReason,
  message: Schema.String
}) {}

/** The hub refused one request or one publish; the connection goes on. */
export class Rejected extends Schema.TaggedError<Rejected>()("Rejected", {
  code: errorCode,
  message: Schema.String,
  /** The topic or pattern that was refused, where the SDK knows it. */
  about: Schema.optionalKey(Schema.String)
}) {}

/** The hub did not answer in time. */
export class Timeout extends Schema.TaggedError<Timeout>()("Timeout", { operation: Schema.String }) {}

/** As many messages or bytes wait to be sent as may wait. */
export class QueueFull extends Schema.TaggedError<QueueFull>()("QueueFull", {}) {}

/** A message, or an option of a publish, that the wire cannot carry. */
export class MessageInvalid extends Schema.TaggedError<MessageInvalid>()("MessageInvalid", {
  message: Schema.String
}) {}

/** A value that its schema or codec could not encode. */
export class EncodeFailed extends Schema.TaggedError<EncodeFailed>()("EncodeFailed", {
  cause: Schema.Defect()
}) {}

/** A payload that is not what its schema or codec says. */
export class DecodeFailed extends Schema.TaggedError<DecodeFailed>()("DecodeFailed", {
  cause: Schema.Defect()
}) {}

/** This client or session was closed by its own program. */
export class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {}

const reason = Schema.Union([
  ConnectFailed,
  ConnectionLost,
  Disconnected,
  Rejected,
  Timeout,
  QueueFull,
  MessageInvalid,
  EncodeFailed,
  DecodeFailed,
  Closed
])

export type PolestarErrorReason = typeof reason.Type

export class PolestarError extends Schema.TaggedError<PolestarError>()("PolestarError", { reason }) {
  override get message(): string {
    return describe(this.reason)
  }
}

const causeText = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const describe = (reason: PolestarErrorReason): string => {
  switch (reason._tag) {
    case "ConnectFailed":
      return `could not connect: ${causeText(reason.cause)}`
    case "ConnectionLost":
      return `the connection was lost: ${reason.closeReason}`
    case "Disconnected":
      return `disconnected: ${withMessage(reason.closeReason, reason.message)}`
    case "Rejected": {
      const about = reason.about === undefined ? "" : ` (${JSON.stringify(reason.about)})`
      return `the hub refused: ${withMessage(reason.code, reason.message)}${about}`
    }
    case "Timeout":
      return `no answer in time: ${reason.operation}`
    case "QueueFull":
      return "too much waits to be sent"
    case "MessageInvalid":
      return reason.message
    case "EncodeFailed":
      return `the value could not be encoded: ${causeText(reason.cause)}`
    case "DecodeFailed":
      return `the payload could not be decoded: ${causeText(reason.cause)}`
    case "Closed":
      return "closed"
  }
}

/** Where there is no better message, it is the name again. */
const withMessage = (name: string, message: string): string =>
  message === "" || message === name ? name : `${name}, ${message}`

export const messageInvalid = (message: string): PolestarError =>
  new PolestarError({ reason: new MessageInvalid({ message }) })

export const encodeFailed = (cause: unknown): PolestarError =>
  new PolestarError({ reason: new EncodeFailed({ cause }) })

export const decodeFailed = (cause: unknown): PolestarError =>
  new PolestarError({ reason: new DecodeFailed({ cause }) })

/** The same error, which names the topic or pattern if it is a refusal. */
export const rejectedAbout = (error: PolestarError, about: string): PolestarError => {
  if (error.reason._tag !== "Rejected") return error
  const { code, message } = error.reason
  return new PolestarError({ reason: new Rejected({ code, message, about }) })
}

/** Why a publish fails whose last try ended with its connection: the hub was silent, or the connection broke. */
export const publishLost = (closeReason: CloseReason): PolestarError => {
  const isSilent = closeReason === "ping-timeout"
  const reason = isSilent ? new Timeout({ operation: "publish" }) : new ConnectionLost({ closeReason })
  return new PolestarError({ reason })
}
