/**
 * How the command ends: its exit codes, and for every error the code and the line that it prints. Scripts depend on
 * both, so they change only with the major version.
 */
import { Schema } from "effect"
import { CliError } from "effect/cli"
import { HubError } from "../actors/Supervisor.ts"
import type { CloseReason } from "../protocol/CloseReason.ts"
import { SettingsError } from "../protocol/SettingsError.ts"
import { PolestarError } from "../sdk/PolestarError.ts"
import { distrustOf } from "../sdk/PolestarTcp.ts"
import { TcpServerError } from "../transports/TcpServer.ts"

export const ExitCode = {
  ok: 0,
  /** Anything that is none of the others. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The hub could not be reached, or the connection was lost (EX_UNAVAILABLE). */
  unavailable: 69,
  /** The hub is there, and does not take this client or let it do that: no token, a wrong one, another's (EX_NOPERM). */
  refused: 77,
  /** The settings are wrong (EX_CONFIG). */
  settings: 78,
  /** Ended by a signal. */
  interrupted: 130
} as const

/** For `--help`. */
export const exitCodesHelp =
  "Exit codes: 0 done, 1 failed, 2 wrong usage, 69 hub unavailable, 77 not permitted, 78 wrong settings, 130 interrupted."

/** The command line parses, and yet says something that cannot be. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", { message: Schema.String }) {}

/** A client has no hub at `address`: there is none, it cannot be trusted, or it refused. */
export class HubUnavailable extends Schema.TaggedError<HubUnavailable>()("HubUnavailable", {
  address: Schema.String,
  cause: PolestarError
}) {
  override get message(): string {
    const { address, cause } = this
    const refusal = refusalOf(cause)
    if (refusal !== undefined) return `the hub at ${address} refused: ${refusal.message}`
    const distrust = distrustOf(cause)
    return distrust === undefined
      ? `no hub at ${address}: ${cause.message}`
      : `the hub at ${address} is not trusted: ${distrust}`
  }
}

interface HubRefusal {
  readonly reason: CloseReason
  readonly message: string
}

/** What a hub that is there said no with, if that is what happened. */
const refusalOf = ({ reason }: PolestarError): HubRefusal | undefined => {
  switch (reason._tag) {
    case "ConnectFailed":
      return reason.cause instanceof PolestarError ? refusalOf(reason.cause) : undefined
    case "ConnectionLost":
      return refusalBy(reason.closeReason, "")
    case "Disconnected":
      return refusalBy(reason.closeReason, reason.message)
    default:
      return undefined
  }
}

const refusalBy = (reason: CloseReason, said: string): HubRefusal | undefined => {
  switch (reason) {
    case "unauthorized":
      return { reason, message: `${said || reason}; POLESTAR_TOKEN or --token-file gives a token` }
    case "token-expired":
      return { reason, message: "the token has expired" }
    case "too-many-connections":
      return { reason, message: "it has as many connections as it takes, of all clients or of this one" }
    default:
      return undefined
  }
}

/** What was to be printed could not be. `closed`: who was to read it has gone, as `head` does. */
export class OutputError extends Schema.TaggedError<OutputError>()("OutputError", {
  reason: Schema.Literals(["closed", "failed"]),
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `cannot write: ${messageOf(this.cause)}`
  }
}

export interface Ending {
  readonly code: number
  /** What standard error is told. */
  readonly lines: ReadonlyArray<string>
}

/** What the process does about an error. Every line of `lines` is one line. */
export const endingOf = (error: unknown): Ending => {
  const { code, lines } = rawEndingOf(error)
  return { code, lines: lines.map((line) => `polestar: ${oneLine(line)}`) }
}

const rawEndingOf = (error: unknown): Ending => {
  if (CliError.isCliError(error)) return usageEnding(error)
  if (error instanceof UsageError) return { code: ExitCode.usage, lines: [error.message] }
  if (error instanceof SettingsError) {
    return { code: ExitCode.settings, lines: error.problems.map((problem) => problem.message) }
  }
  if (error instanceof HubUnavailable) {
    return { code: unreachedCode(refusalOf(error.cause)?.reason), lines: [error.message] }
  }
  if (error instanceof PolestarError) return { code: clientCode(error), lines: [error.message] }
  if (error instanceof TcpServerError) return listenEnding(error)
  if (error instanceof HubError) {
    return { code: ExitCode.failed, lines: [`the hub cannot go on: ${error.message}`] }
  }
  if (error instanceof OutputError && error.reason === "closed") return { code: ExitCode.ok, lines: [] }
  return { code: ExitCode.failed, lines: [messageOf(error)] }
}

const usageEnding = (error: CliError.CliError): Ending => {
  if (error._tag !== "ShowHelp") return { code: ExitCode.usage, lines: [error.message] }
  if (error.errors.length === 0) return { code: ExitCode.ok, lines: [] }
  const help = `see ${error.commandPath.join(" ")} --help`
  return { code: ExitCode.usage, lines: error.errors.map(({ message }) => `${message} (${help})`) }
}

const clientCode = ({ reason }: PolestarError): number => {
  switch (reason._tag) {
    case "ConnectFailed":
    case "ConnectionLost":
    case "Timeout":
      return ExitCode.unavailable
    case "Disconnected":
      return isOwnEnd(reason.closeReason) ? ExitCode.failed : unreachedCode(reason.closeReason)
    case "Rejected":
      return reason.code === "forbidden" ? ExitCode.refused : ExitCode.failed
    // A name, a pattern or an option that was given.
    case "MessageInvalid":
      return ExitCode.usage
    default:
      return ExitCode.failed
  }
}

const unreachedCode = (reason: CloseReason | undefined): number =>
  reason === "unauthorized" || reason === "token-expired" ? ExitCode.refused : ExitCode.unavailable

/** The hub goes on, but not with what this command did. */
const isOwnEnd = (reason: CloseReason): boolean => reason === "slow-consumer" || reason === "group-removed"

/** A certificate that cannot be used is a wrong setting; a port that is taken is not. */
const listenEnding = ({ message, reason }: TcpServerError): Ending => ({
  code: reason === "certificate" ? ExitCode.settings : ExitCode.failed,
  lines: [message]
})

const messageOf = (error: unknown): string =>
  error instanceof Error && error.message !== "" ? error.message : String(error)

const oneLine = (text: string): string => text.replace(/\s*[\r\n]+\s*/g, " ").trim()
