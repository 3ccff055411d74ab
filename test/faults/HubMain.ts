/**
 * A hub as a process of its own for tests: settings come as `key=value` arguments. It tells its parent where it
 * listens, answers `memory`, ends by a signal as the command does, and never outlives its parent.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, References } from "effect"
import { Hub, TcpServer, WebServer } from "../../src/hub.ts"
import * as HubServer from "../../src/transports/HubServer.ts"

const flags: Record<string, string> = Object.fromEntries(
  process.argv.slice(2).map((argument): [string, string] => {
    const at = argument.indexOf("=")
    return [argument.slice(0, at), argument.slice(at + 1)]
  })
)

// Nothing on disk unless a test asks for it.
if (flags.dataDir === undefined) flags.durability = "> = memory"

// Any free port unless a test asks for one.
flags.httpPort ??= "0"

const tellParent = Effect.gen(function* () {
  const { port } = yield* TcpServer
  const web = yield* WebServer
  let peak = 0
  const look = () => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }
  setInterval(look, 20).unref()
  process.on("message", () => {
    look()
    globalThis.gc?.()
    process.send?.({ memory: { ...process.memoryUsage(), peak } })
  })
  process.send?.({ port, webPort: web.port ?? 0, wsPort: web.wsPort ?? 0 })
})

process.on("disconnect", () => process.exit(0))

const serve = Effect.andThen(
  tellParent,
  Effect.flatMap(Hub, (hub) => hub.failure)
)
NodeRuntime.runMain(
  serve.pipe(
    Effect.provide(HubServer.layer({ flags, env: {} })),
    Effect.provide(Layer.succeed(References.MinimumLogLevel, "Error"))
  )
)
