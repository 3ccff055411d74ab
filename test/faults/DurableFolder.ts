/** Folders of hubs that died: copies as a crash leaves them, made worse, and opened by the command. */
import { copyFileSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { type Running, start } from "../cli/Commands.ts"
import type { HubProcess } from "./HubProcess.ts"

export const dataFile = "data.mdb"

/** How the command took a folder. `code` is `null` if a signal ended it, which is never right. */
export type Opening =
  | { readonly _tag: "Ready"; readonly port: number; readonly process: Running }
  | {
      readonly _tag: "Refused"
      readonly code: number | null
      readonly stderr: string
      readonly millis: number
    }

/** Runs `polestar hub` on the folder until it listens or has ended. */
export const openFolder = Effect.fnUntraced(function* (
  dataDir: string,
  env: Readonly<Record<string, string>> = {}
): Effect.fn.Return<Opening, never, Scope.Scope> {
  const began = performance.now()
  const process = yield* start(["hub", "--port", "0"], { ...env, POLESTAR_DATA_DIR: dataDir })
  const ready = Effect.map(
    process.stdout(/tcp=127\.0\.0\.1:(\d+)/),
    ([, port]): Opening => ({ _tag: "Ready", port: Number(port), process })
  )
  return yield* Effect.catch(ready, () =>
    Effect.map(
      process.ended,
      ({ code, stderr }): Opening => ({ _tag: "Refused", code, stderr, millis: performance.now() - began })
    )
  )
})

/** Does `work` while the hub is stopped, so that nothing is written. */
export const whileStopped = <A>(hub: HubProcess, work: () => A): Effect.Effect<A> =>
  Effect.acquireUseRelease(
    Effect.sync(() => hub.child.process.kill("SIGSTOP")),
    () => Effect.sync(work),
    () => Effect.sync(() => hub.child.process.kill("SIGCONT"))
  )

/** What is in the folder's file now, in a folder of its own. */
export const copyTo = (dataDir: string, copy: string): string => {
  mkdirSync(copy, { recursive: true })
  copyFileSync(join(dataDir, dataFile), join(copy, dataFile))
  return copy
}
