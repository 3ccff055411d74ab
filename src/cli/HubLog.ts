/**
 * The hub's log: to standard error, a line each, as `logFormat` and `logLevel` say. Standard output has the line
 * that says that the hub is ready, and nothing else. The fields that `maskedFields` names are masked.
 */
import { styleText } from "node:util"
import { Cause, Effect, Formatter, Layer, Logger, References } from "effect"
import { type Mask, maskOf } from "../services/LogMasking.ts"
import { Settings } from "../services/Settings.ts"
import { type Paint, writeTo } from "./Output.ts"

const styles: Readonly<Record<string, Parameters<Paint>[0]>> = {
  Fatal: "red",
  Error: "red",
  Warn: "yellow",
  Info: "green",
  Debug: "dim",
  Trace: "dim"
}

const textOf = (part: unknown): string =>
  typeof part === "string" ? part : part instanceof Error ? part.message : Formatter.format(part)

const pretty = (paint: Paint, mask: Mask) =>
  Logger.make<unknown, string>(({ cause, date, fiber, logLevel, message }) => {
    const parts = (Array.isArray(message) ? message : [message]).map((part) => textOf(mask(part)))
    const annotations = { ...fiber.getRef(References.CurrentLogAnnotations) }
    for (const [key, value] of Object.entries(mask(annotations) ?? {})) {
      parts.push(`${key}=${textOf(value)}`)
    }
    const level = paint(styles[logLevel] ?? "dim", logLevel.toUpperCase().padEnd(5))
    const failure = cause.reasons.length > 0 ? `\n${Cause.pretty(cause)}` : ""
    return `${date.toISOString()} ${level} ${parts.join(" ")}${failure}`
  })

const json = (mask: Mask) => Logger.map(Logger.formatStructured, (line) => Formatter.formatJson(mask(line)))

const toStderr = (line: string): void => {
  process.stderr.write(`${line}\n`)
}

/** The log as the settings say. Their warnings come into it from the listener. */
export const layer: Layer.Layer<never, never, Settings> = Layer.unwrap(
  Effect.gen(function* () {
    const { logFormat, logLevel, maskedFields } = yield* Settings
    const paint: Paint = (style, text) => styleText(style, text, { stream: process.stderr })
    const mask = maskOf(maskedFields ?? [])
    const format = logFormat === "json" ? json(mask) : pretty(paint, mask)
    return Layer.mergeAll(
      Logger.layer([Logger.map(format, toStderr), Logger.tracerLogger]),
      Layer.succeed(References.MinimumLogLevel, logLevel)
    )
  })
)

/** Where a hub listens, and who it is. */
export interface Ready {
  readonly address: string
  readonly isSecure: boolean
  /** Where HTTP and WebSocket are, and WebSocket alone. */
  readonly http: string | undefined
  readonly ws: string | undefined
  readonly hub: string
}

/**
 * Says that the hub is ready: one line on standard output, whatever the log level. As JSON it has every member that a
 * line of the log has, and where, which process and which hub.
 */
export const announce = Effect.fnUntraced(function* ({ address, http, hub, isSecure, ws }: Ready) {
  const { logFormat } = yield* Settings
  const { pid } = process
  const addresses = {
    [isSecure ? "tls" : "tcp"]: address,
    ...(http === undefined ? {} : { [isSecure ? "https" : "http"]: http }),
    ...(ws === undefined ? {} : { [isSecure ? "wss" : "ws"]: ws })
  }
  const line =
    logFormat === "json"
      ? JSON.stringify({
          message: "ready",
          level: "INFO",
          timestamp: new Date().toISOString(),
          annotations: {},
          spans: {},
          fiberId: `#${yield* Effect.fiberId}`,
          ...addresses,
          pid,
          hub
        })
      : `ready ${Object.entries({ ...addresses, pid, hub })
          .map(([name, value]) => `${name}=${value}`)
          .join(" ")}`
  yield* Effect.ignore(writeTo(process.stdout, `${line}\n`))
})
