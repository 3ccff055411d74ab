/** All metrics as Prometheus reads them: such that `promtool check metrics` has nothing to say. */
import { Effect } from "effect"
import { PrometheusMetrics } from "effect/observability"

/**
 * Its name, which is pulsar-proxy's, ends like a counter's, and it is a gauge. Prometheus takes samples of either type
 * alike, so here its type is not said, rather than said wrongly.
 */
const misnamed = "proxy_connections_total"

export const metricsText: Effect.Effect<string> = Effect.map(PrometheusMetrics.format(), (text) =>
  text.replace(`# TYPE ${misnamed} gauge\n`, `# TYPE ${misnamed} untyped\n`)
)
