/** A hub process that keeps its log in a temporary folder, for tests of the command. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Layer, type Scope } from "effect"
import { Polestar } from "../../src/index.ts"
import { type Ended, type Running, run, start } from "./Commands.ts"

export interface HubAt {
  readonly process: Running
  readonly port: number
}

/** Starts a hub on any port, on the folder; killed with the scope. */
export const startHubAt = Effect.fnUntraced(function* (
  dataDir: string
): Effect.fn.Return<HubAt, Error, Scope.Scope> {
  const process = yield* start(["hub", "--port", "0"], { POLESTAR_DATA_DIR: dataDir })
  const [, port] = yield* process.stdout(/tcp=127\.0\.0\.1:(\d+)/)
  return { process, port: Number(port) }
})

/** An empty folder, removed with the scope. */
export const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "polestar-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

export class DurableHub extends Context.Service<
  DurableHub,
  {
    /** Runs `polestar` to its end, with this hub. */
    readonly run: (...args: ReadonlyArray<string>) => Effect.Effect<Ended, never, Scope.Scope>
    readonly start: (...args: ReadonlyArray<string>) => Effect.Effect<Running, never, Scope.Scope>
    /** Runs with a client of this hub. */
    readonly withClient: <A, E>(
      program: Effect.Effect<A, E, Polestar | Scope.Scope>
    ) => Effect.Effect<A, E | Error>
  }
>()("polestar/test/cli/DurableHub") {
  static readonly layer: Layer.Layer<DurableHub, Error> = Layer.effect(
    DurableHub,
    Effect.gen(function* () {
      const { port } = yield* startHubAt(yield* temporaryFolder)
      return hubOf(port)
    })
  )
}

/** The same of a hub that is there. */
export const hubOf = (port: number): DurableHub["Service"] => {
  const env = { POLESTAR_PORT: String(port) }
  return {
    run: (...args) => run(args, env),
    start: (...args) => start(args, env),
    withClient: (program) =>
      Effect.provide(Effect.scoped(program), Polestar.layerTcp({ host: "127.0.0.1", port }))
  }
}
