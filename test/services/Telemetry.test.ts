/** Telemetry as it leaves the process: over real sockets, to what stands for a collector. */
import { execFile } from "node:child_process"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Metric, Schema } from "effect"
import { Settings } from "../../src/services/Settings.ts"
import * as Telemetry from "../../src/services/Telemetry.ts"
import { hubWith } from "../actors/TestHub.ts"
import { traced, traceIdOf } from "../actors/TracedMessages.ts"
import { greeted } from "../actors/WireClient.ts"

interface Posted {
  readonly url: string
  readonly contentType: string
  readonly body: string
}

/** What a collector is as far as a sender can tell, on a real socket. */
const collector = Effect.acquireRelease(
  Effect.callback<{ server: Server; port: number; posted: Array<Posted> }>((resume) => {
    const posted: Array<Posted> = []
    const server = createServer((request, response) => {
      let body = ""
      request.setEncoding("utf8")
      request.on("data", (chunk) => {
        body += chunk
      })
      request.on("end", () => {
        posted.push({ url: request.url ?? "", contentType: request.headers["content-type"] ?? "", body })
        response.writeHead(200, { "content-type": "application/json" }).end("{}")
      })
    })
    server.listen(0, "127.0.0.1", () => {
      resume(Effect.succeed({ server, port: (server.address() as AddressInfo).port, posted }))
    })
  }),
  ({ server }) =>
    Effect.callback<void>((resume) => {
      server.closeAllConnections()
      server.close(() => resume(Effect.void))
    })
)

const OtlpTraces = Schema.fromJsonString(
  Schema.Struct({
    resourceSpans: Schema.Array(
      Schema.Struct({
        resource: Schema.Struct({
          attributes: Schema.Array(Schema.Struct({ key: Schema.String, value: Schema.Unknown }))
        }),
        scopeSpans: Schema.Array(
          Schema.Struct({
            spans: Schema.Array(Schema.Struct({ name: Schema.String, traceId: Schema.String }))
          })
        )
      })
    )
  })
)

const Attributes = Schema.Array(Schema.Struct({ value: Schema.Struct({ stringValue: Schema.String }) }))
const Sum = Schema.Struct({
  dataPoints: Schema.Array(Schema.Struct({ asDouble: Schema.Number, attributes: Attributes }))
})
const OtlpMetric = Schema.Struct({ name: Schema.String, sum: Schema.optionalKey(Sum) })
const OtlpMetrics = Schema.fromJsonString(
  Schema.Struct({
    resourceMetrics: Schema.Array(
      Schema.Struct({ scopeMetrics: Schema.Tuple([Schema.Struct({ metrics: Schema.Array(OtlpMetric) })]) })
    )
  })
)

const environment = (port: number) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` })

const publishTraced = Effect.gen(function* () {
  const client = yield* greeted()
  yield* client.subscribe("a")
  client.publish("a", [traced(1)])
  yield* client.messages(1, 1)
})

const ownRegistry = Layer.sync(Metric.MetricRegistry, () => new Map())

describe("telemetry", () => {
  it.live("telemetry - spans and the last metrics reach the collector when the hub shuts down", () =>
    Effect.gen(function* () {
      const { port, posted } = yield* collector
      const telemetry = Telemetry.layer({ env: environment(port) })
      yield* Effect.provide(
        publishTraced,
        hubWith().pipe(Layer.provide(telemetry), Layer.provide(ownRegistry))
      )

      const traces = posted.filter(({ url }) => url === "/v1/traces")
      const spans: Array<{ readonly name: string; readonly traceId: string }> = []
      for (const { body, contentType } of traces) {
        assert.include(contentType, "application/json")
        const { resourceSpans } = yield* Schema.decodeEffect(OtlpTraces)(body)
        for (const { resource, scopeSpans } of resourceSpans) {
          assert.deepInclude(resource.attributes, { key: "service.name", value: { stringValue: "polestar" } })
          spans.push(...scopeSpans.flatMap((scope) => scope.spans))
        }
      }
      const namesOf = (traceId: string) =>
        spans.filter((span) => span.traceId === traceId).map(({ name }) => name)
      assert.sameMembers(namesOf(traceIdOf(1)), ["polestar.route", "polestar.deliver"])
      assert.include(
        spans.map(({ name }) => name),
        "Hub.drain"
      )

      const metrics = posted.filter(({ url }) => url === "/v1/metrics")
      const values = new Map<string, number>()
      for (const { body } of metrics) {
        const { resourceMetrics } = yield* Schema.decodeEffect(OtlpMetrics)(body)
        for (const { name, sum } of resourceMetrics.flatMap((resource) => resource.scopeMetrics[0].metrics)) {
          for (const { asDouble, attributes } of sum?.dataPoints ?? []) {
            values.set([name, ...attributes.map(({ value }) => value.stringValue)].join(" "), asDouble)
          }
        }
      }
      assert.strictEqual(values.get("proxy_messages_delivered_total"), 1)
      assert.strictEqual(values.get("polestar_connections_closed_total shutting-down"), 1)
    }).pipe(Effect.scoped)
  )

  it.live("telemetry - a collector that is not there costs a warning and not the hub", () =>
    Effect.gen(function* () {
      const port = yield* Effect.scoped(Effect.map(collector, (server) => server.port))
      const warnings: Array<string> = []
      const logger = Logger.layer([
        Logger.make(({ message }) => {
          warnings.push(String(message))
        })
      ])
      const telemetry = Telemetry.layer({
        env: { ...environment(port), OTEL_METRICS_EXPORTER: "none" }
      }).pipe(Layer.provide(logger))
      yield* Effect.provide(publishTraced, Layer.provide(hubWith(), telemetry))
      assert.isAbove(warnings.length, 0)
      for (const warning of warnings) assert.include(warning, `127.0.0.1:${port}`)
    })
  )

  it.live("telemetry - a variable that cannot be used is a warning, and nothing is exported", () =>
    Effect.gen(function* () {
      const warnings: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => warnings.push(String(message)))])
      const telemetry = Telemetry.layer({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: "localhost:4318" } })
      yield* Effect.provide(publishTraced, Layer.provide(hubWith(), Layer.provide(telemetry, logger)))
      assert.strictEqual(warnings.length, 2)
      for (const warning of warnings)
        assert.include(warning, 'OTEL_EXPORTER_OTLP_ENDPOINT: found "localhost:4318"')
    })
  )

  it.live("telemetry - OpenTelemetry is loaded only where something is exported", () =>
    Effect.gen(function* () {
      const loaded = (endpoint: string) =>
        Effect.promise(() =>
          promisify(execFile)(process.execPath, ["--input-type=module", "--eval", loadedModules(endpoint)])
        ).pipe(Effect.map(({ stdout }) => Number(stdout)))
      assert.strictEqual(yield* loaded(""), 0)
      assert.isAbove(yield* loaded("http://127.0.0.1:9"), 10)
    })
  )

  it.effect("telemetry - a hub's layer needs only its settings", () =>
    Effect.provide(Effect.void, Layer.provide(Telemetry.layerHub, Settings.layerDefaults))
  )
})

/** A program that builds the layer and prints how many of OpenTelemetry's modules it has loaded. */
const loadedModules = (endpoint: string): string => `
  import { createRequire } from "node:module"
  import { Effect, Layer } from ${JSON.stringify(import.meta.resolve("effect"))}
  import * as Telemetry from ${JSON.stringify(new URL("../../src/services/Telemetry.ts", import.meta.url).href)}
  const env = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ${JSON.stringify(endpoint)} }
  await Effect.runPromise(Effect.scoped(Layer.build(Telemetry.layer({ env }))))
  const files = Object.keys(createRequire(import.meta.url).cache)
  console.log(files.filter((file) => file.includes("@opentelemetry")).length)
`
