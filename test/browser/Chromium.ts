/** A browser and the example's page for tests: Chromium without a window, and `serve.ts` as a process. */
import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Context, Effect, Layer, type Scope } from "effect"
import { chromium, type Page } from "playwright-core"
import { type Running, start } from "../cli/Commands.ts"
import { CutProxy } from "../faults/CutProxy.ts"
import { patience } from "../Patience.ts"

const server = fileURLToPath(new URL("../../examples/browser/serve.ts", import.meta.url))

/** Where the example is, until the scope closes. */
const servePage: Effect.Effect<URL, Error, Scope.Scope> = Effect.gen(function* () {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, [server, "0"], { stdio: ["ignore", "pipe", "inherit"] })),
    (spawned) =>
      Effect.sync(() => {
        spawned.kill("SIGKILL")
      })
  )
  return yield* Effect.callback<URL, Error>((resume) => {
    child.stdout.once("data", (line: Buffer) => resume(Effect.succeed(new URL(line.toString().trim()))))
    child.once("exit", () => resume(Effect.fail(new Error("the page's server has ended"))))
  })
})

export class Chromium extends Context.Service<
  Chromium,
  {
    /** Where pages come from that a hub lets in, and where others come from that it does not. */
    readonly origin: string
    readonly otherOrigin: string
    /** A page in a profile of its own, closed with the scope; `prepare` comes before it is loaded. */
    readonly open: (
      url: string,
      prepare?: (page: Page) => Promise<void>
    ) => Effect.Effect<Page, never, Scope.Scope>
  }
>()("polestar/test/Chromium") {
  /** The browser in this file. */
  static readonly layer = (executablePath: string): Layer.Layer<Chromium, Error> =>
    Layer.effect(
      Chromium,
      Effect.gen(function* () {
        const chromiumSandbox = process.getuid?.() !== 0
        const browser = yield* Effect.acquireRelease(
          ask(() => chromium.launch({ executablePath, chromiumSandbox })),
          (launched) => ask(() => launched.close())
        )
        const { origin, port } = yield* servePage
        const open = Effect.fnUntraced(function* (url: string, prepare?: (page: Page) => Promise<void>) {
          const context = yield* Effect.acquireRelease(
            ask(() => browser.newContext()),
            (opened) => ask(() => opened.close())
          )
          context.setDefaultTimeout(patience)
          return yield* ask(async () => {
            const page = await context.newPage()
            await prepare?.(page)
            await page.goto(url)
            return page
          })
        })
        return Chromium.of({ origin, otherOrigin: `http://localhost:${port}`, open })
      })
    )
}

export const ask = <A>(promise: () => Promise<A>): Effect.Effect<A> => Effect.promise(promise)

/** For a hub that is to keep what it has; gone with the scope. */
export const dataFolder = Effect.acquireRelease(
  ask(() => mkdtemp(join(tmpdir(), "polestar-browser-"))),
  (folder) => ask(() => rm(folder, { recursive: true, force: true }))
)

export interface WebHub extends Running {
  /** Of HTTP and WebSocket. */
  readonly port: number
}

/** The command `polestar hub`, which lets pages of the example in. */
export const startHub = Effect.fnUntraced(function* (env: Readonly<Record<string, string>> = {}) {
  const { origin } = yield* Chromium
  const hub = yield* start(["hub", "--port", "0"], { POLESTAR_ALLOWED_ORIGINS: origin, ...env })
  const [, port] = yield* hub.stdout(/ http=127\.0\.0\.1:(\d+)/)
  return { ...hub, port: Number(port) } satisfies WebHub
})

/** Ends a hub as a crash would. */
export const crash = (hub: Running) => Effect.andThen(hub.signal("SIGKILL"), hub.ended)

/** A hub behind a proxy, whose port stays when hubs come and go. */
export const startBehindProxy = Effect.fnUntraced(function* (env: Readonly<Record<string, string>> = {}) {
  const hub = yield* startHub(env)
  const proxy = yield* CutProxy.make(hub.port)
  return { hub, proxy }
})

/** A hub in the place of one that has ended. Nobody reaches it through the proxy before `up`. */
export const replaceHub = Effect.fnUntraced(function* (
  proxy: CutProxy,
  env: Readonly<Record<string, string>> = {}
) {
  proxy.down()
  const hub = yield* startHub(env)
  proxy.targetPort = hub.port
  return hub
})

/** Publishes by HTTP, which needs no client; answers the status. */
export const publish = (
  { port }: WebHub,
  topic: string,
  payloads: ReadonlyArray<unknown>,
  token?: string
): Effect.Effect<number> =>
  ask(async () => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/messages/bulk`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
      },
      body: JSON.stringify({ messages: payloads.map((payload) => ({ topic, payload })) })
    })
    await response.body?.cancel()
    return response.status
  })
