/**
 * What the `OTEL_…` variables ask for, as OpenTelemetry defines them: exporting is off until an endpoint is given,
 * and a value that cannot be used is a warning and never stops the start. Pure: the variables are handed in.
 */
import type { Variables } from "../protocol/SettingsDecode.ts"

/** Where new traces are decided on; a trace that someone else began is theirs to decide, where it says `parent`. */
export interface TraceSampling {
  readonly parentBased: boolean
  /** Share of traces that are kept, 0 to 1. */
  readonly ratio: number
}

export interface TelemetryOptions {
  readonly serviceName: string
  readonly traces:
    | {
        readonly url: string
        readonly sampling: TraceSampling
        /** Milliseconds for which sending one batch of spans is tried. */
        readonly timeout: number
      }
    | undefined
  readonly metrics:
    | {
        readonly url: string
        readonly headers: Readonly<Record<string, string>>
        /** Milliseconds between two exports. */
        readonly interval: number
      }
    | undefined
  /** One line each, naming the variable, what was found and what is allowed. */
  readonly warnings: ReadonlyArray<string>
}

const defaultServiceName = "polestar"
/** Milliseconds. */
const defaultInterval = 60_000
const shortestInterval = 1_000
/** Less than OpenTelemetry's 10 s, since a program that ends while its collector is down would linger for as long. */
const defaultTimeout = 3_000

/** `sampleRatio` is the share of new traces that are kept where `OTEL_TRACES_SAMPLER` does not say otherwise. */
export const telemetryOptions = (env: Variables, sampleRatio: number): TelemetryOptions => {
  const warnings: Array<string> = []
  const given = (name: string) => env[name]?.trim() || undefined
  const serviceName =
    given("OTEL_SERVICE_NAME") ??
    pairsOf(given("OTEL_RESOURCE_ATTRIBUTES"))["service.name"] ??
    defaultServiceName
  if (given("OTEL_SDK_DISABLED")?.toLowerCase() === "true") {
    return { serviceName, traces: undefined, metrics: undefined, warnings }
  }
  const warn = (name: string, found: string, allowed: string) => {
    warnings.push(`${name}: found "${found}", which is ignored; allowed: ${allowed}`)
  }
  const context: Reading = { given, warn }
  const timeoutName =
    given("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") === undefined
      ? "OTEL_EXPORTER_OTLP_TIMEOUT"
      : "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"
  const traces = endpointOf(context, "TRACES")
  const metrics = endpointOf(context, "METRICS")
  if (traces !== undefined || metrics !== undefined) checkProtocol(context)
  return {
    serviceName,
    traces:
      traces === undefined
        ? undefined
        : {
            url: traces,
            sampling: samplingOf(context, sampleRatio),
            timeout: millisecondsOf(context, timeoutName, 1, defaultTimeout)
          },
    metrics:
      metrics === undefined
        ? undefined
        : {
            url: metrics,
            headers: headersOf(context),
            interval: millisecondsOf(
              context,
              "OTEL_METRIC_EXPORT_INTERVAL",
              shortestInterval,
              defaultInterval
            )
          },
    warnings
  }
}

interface Reading {
  readonly given: (name: string) => string | undefined
  readonly warn: (name: string, found: string, allowed: string) => void
}

const endpointOf = ({ given, warn }: Reading, signal: "TRACES" | "METRICS"): string | undefined => {
  const exporter = given(`OTEL_${signal}_EXPORTER`)
  if (exporter !== undefined && !exporter.split(",").some((name) => name.trim() === "otlp")) {
    if (exporter !== "none") warn(`OTEL_${signal}_EXPORTER`, exporter, "otlp, none")
    return undefined
  }
  const own = given(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`)
  const name = own === undefined ? "OTEL_EXPORTER_OTLP_ENDPOINT" : `OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`
  const endpoint = own ?? given(name)
  if (endpoint === undefined) return undefined
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    warn(name, endpoint, "a URL such as http://127.0.0.1:4318")
    return undefined
  }
  if (own !== undefined) return url.href
  url.pathname += `${url.pathname.endsWith("/") ? "" : "/"}v1/${signal.toLowerCase()}`
  return url.href
}

const checkProtocol = ({ given, warn }: Reading): void => {
  for (const name of [
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"
  ]) {
    const protocol = given(name)
    if (protocol !== undefined && protocol !== "http/json") {
      warn(name, protocol, "http/json, which every collector takes where it takes http/protobuf")
    }
  }
}

const samplingOf = ({ given, warn }: Reading, sampleRatio: number): TraceSampling => {
  const name = given("OTEL_TRACES_SAMPLER")
  switch (name) {
    case undefined:
      return { parentBased: true, ratio: sampleRatio }
    case "always_on":
    case "parentbased_always_on":
      return { parentBased: name !== "always_on", ratio: 1 }
    case "always_off":
    case "parentbased_always_off":
      return { parentBased: name !== "always_off", ratio: 0 }
    case "traceidratio":
    case "parentbased_traceidratio": {
      const argument = given("OTEL_TRACES_SAMPLER_ARG") ?? "1"
      const ratio = Number(argument)
      const isRatio = ratio >= 0 && ratio <= 1
      if (!isRatio) warn("OTEL_TRACES_SAMPLER_ARG", argument, "0 to 1")
      return { parentBased: name !== "traceidratio", ratio: isRatio ? ratio : 1 }
    }
    default:
      warn(
        "OTEL_TRACES_SAMPLER",
        name,
        "always_on, always_off, traceidratio, and each of them after parentbased_"
      )
      return { parentBased: true, ratio: sampleRatio }
  }
}

const millisecondsOf = ({ given, warn }: Reading, name: string, least: number, otherwise: number): number => {
  const text = given(name)
  if (text === undefined) return otherwise
  const milliseconds = Number(text)
  if (milliseconds >= least && milliseconds <= 2_147_483_647) return milliseconds
  warn(name, text, `milliseconds, at least ${least}`)
  return otherwise
}

const headersOf = ({ given }: Reading): Readonly<Record<string, string>> => ({
  ...pairsOf(given("OTEL_EXPORTER_OTLP_HEADERS")),
  ...pairsOf(given("OTEL_EXPORTER_OTLP_METRICS_HEADERS"))
})

/** `name=value,name=value`, the values percent-encoded; what is not such a pair is left out. */
const pairsOf = (text: string | undefined): Readonly<Record<string, string>> => {
  const pairs: Record<string, string> = {}
  for (const pair of text?.split(",") ?? []) {
    const at = pair.indexOf("=")
    if (at > 0) pairs[pair.slice(0, at).trim()] = decoded(pair.slice(at + 1).trim())
  }
  return pairs
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
