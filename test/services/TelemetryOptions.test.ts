import { assert, describe, it } from "@effect/vitest"
import type { Variables } from "../../src/protocol/SettingsDecode.ts"
import { telemetryOptions } from "../../src/services/TelemetryOptions.ts"

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }
const of = (env: Variables, ratio = 0.5) => telemetryOptions(env, ratio)
const samplingOf = (env: Variables) => of({ ...endpoint, ...env }).traces?.sampling

describe("telemetry options", () => {
  it("telemetry options - nothing is exported without an endpoint, or when it is disabled", () => {
    for (const env of [
      {},
      { OTEL_EXPORTER_OTLP_ENDPOINT: "" },
      { ...endpoint, OTEL_SDK_DISABLED: "true" },
      { ...endpoint, OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none" }
    ]) {
      assert.deepStrictEqual(of(env), {
        serviceName: "polestar",
        traces: undefined,
        metrics: undefined,
        warnings: []
      })
    }
  })

  it("telemetry options - each signal has its path under the common endpoint, and its own endpoint as it is", () => {
    const common = of({ OTEL_EXPORTER_OTLP_ENDPOINT: "https://host/base/" })
    assert.strictEqual(common.traces?.url, "https://host/base/v1/traces")
    assert.strictEqual(common.metrics?.url, "https://host/base/v1/metrics")
    const own = of({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://host:1/here" })
    assert.strictEqual(own.traces?.url, "http://host:1/here")
    assert.strictEqual(own.metrics, undefined)
  })

  it("telemetry options - new traces are sampled by the setting unless the environment says otherwise", () => {
    assert.deepStrictEqual(samplingOf({}), { parentBased: true, ratio: 0.5 })
    assert.deepStrictEqual(samplingOf({ OTEL_TRACES_SAMPLER: "always_on" }), { parentBased: false, ratio: 1 })
    assert.deepStrictEqual(samplingOf({ OTEL_TRACES_SAMPLER: "parentbased_always_off" }), {
      parentBased: true,
      ratio: 0
    })
    const ratio = { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.1" }
    assert.deepStrictEqual(samplingOf(ratio), { parentBased: true, ratio: 0.1 })
    assert.deepStrictEqual(samplingOf({ ...ratio, OTEL_TRACES_SAMPLER: "traceidratio" }), {
      parentBased: false,
      ratio: 0.1
    })
  })

  it("telemetry options - the service's name, the headers and the interval", () => {
    const attributes = { OTEL_RESOURCE_ATTRIBUTES: "a=b,service.name=other%20name" }
    assert.strictEqual(of(attributes).serviceName, "other name")
    assert.strictEqual(of({ ...attributes, OTEL_SERVICE_NAME: "mine" }).serviceName, "mine")
    const { metrics } = of({
      ...endpoint,
      OTEL_EXPORTER_OTLP_HEADERS: "key=a%20b,other=1",
      OTEL_EXPORTER_OTLP_METRICS_HEADERS: "other=2",
      OTEL_METRIC_EXPORT_INTERVAL: "5000"
    })
    assert.deepStrictEqual(metrics?.headers, { key: "a b", other: "2" })
    assert.strictEqual(metrics?.interval, 5000)
  })

  it.each<[string, Variables]>([
    ["OTEL_EXPORTER_OTLP_ENDPOINT", { OTEL_EXPORTER_OTLP_ENDPOINT: "localhost:4318" }],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", { OTEL_EXPORTER_OTLP_ENDPOINT: "nowhere" }],
    ["OTEL_EXPORTER_OTLP_PROTOCOL", { ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }],
    ["OTEL_TRACES_EXPORTER", { ...endpoint, OTEL_TRACES_EXPORTER: "zipkin" }],
    ["OTEL_TRACES_SAMPLER", { ...endpoint, OTEL_TRACES_SAMPLER: "jaeger_remote" }],
    [
      "OTEL_TRACES_SAMPLER_ARG",
      { ...endpoint, OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "2" }
    ],
    ["OTEL_EXPORTER_OTLP_TIMEOUT", { ...endpoint, OTEL_EXPORTER_OTLP_TIMEOUT: "-1" }],
    ["OTEL_METRIC_EXPORT_INTERVAL", { ...endpoint, OTEL_METRIC_EXPORT_INTERVAL: "soon" }]
  ])("telemetry options - a %s that cannot be used is a warning that names it", (name, env) => {
    const { warnings } = of(env)
    assert.isAbove(warnings.length, 0)
    for (const warning of warnings) assert.include(warning, `${name}: found "${env[name]}"`)
  })
})
