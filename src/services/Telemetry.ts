/**
 * Where traces and metrics go: by OTLP over HTTP to `OTEL_EXPORTER_OTLP_ENDPOINT` (or the one of the traces or the
 * metrics alone). Without an endpoint this is nothing at all: no tracer, so nobody makes a span, and OpenTelemetry
 * is not even loaded.
 *
 * Everything is bounded: 2,048 spans wait for export (`OTEL_BSP_…` as the specification has it), what is more is
 * dropped, and when the layer's scope closes what waits is sent for three seconds at most. A collector that cannot
 * be reached costs that and a warning, never the hub.
 */
import { Effect, Layer } from "effect"
import type { Variables } from "../protocol/SettingsDecode.ts"
import { Settings } from "./Settings.ts"
import { telemetryOptions } from "./TelemetryOptions.ts"

/** `env` is `process.env` unless given; `sampleRatio` is the share of new traces that are kept, by default all. */
export const layer = (
  options: { readonly env?: Variables | undefined; readonly sampleRatio?: number | undefined } = {}
): Layer.Layer<never> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const telemetry = telemetryOptions(options.env ?? process.env, options.sampleRatio ?? 1)
      yield* Effect.forEach(telemetry.warnings, (warning) => Effect.logWarning(warning), { discard: true })
      if (telemetry.traces === undefined && telemetry.metrics === undefined) return Layer.empty
      const exporting = yield* Effect.promise(() => import("./TelemetryExport.ts"))
      return exporting.layer(telemetry)
    })
  )

/** The same for a hub, sampling as its settings say. */
export const layerHub: Layer.Layer<never, never, Settings> = Layer.unwrap(
  Effect.map(Settings, ({ traceSampleRatio }) => layer({ sampleRatio: traceSampleRatio }))
)
