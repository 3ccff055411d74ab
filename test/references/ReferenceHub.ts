/**
 * A hub for the examples of other systems' documents, and what runs them. An example is run as it was written: only its
 * address and the words that stand for tokens are replaced.
 */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { createContext, runInContext } from "node:vm"
import { NodeFileSystem } from "@effect/platform-node"
import { Clock, Data, Effect, Layer, Queue, Redacted } from "effect"
import { SignJWT } from "jose"
import { Auth, type AuthOptions } from "../../src/services/Auth.ts"
import { generateKey } from "../../src/services/auth/ApiKey.ts"
import type { SettingsInput } from "../../src/services/Settings.ts"
import * as StateStoreMemory from "../../src/services/StateStoreMemory.ts"
import { WebServer } from "../../src/transports/WebServer.ts"
import { hubWith, memoryLog } from "../actors/TestHub.ts"

const secret = "a secret of the tests that is long enough"
const producer = generateKey()

/** What stands for `YOUR_API_KEY`. It may publish. */
export const apiKey = producer.key

/** What stands for `YOUR_TOKEN`, for five minutes. It may subscribe. */
export const makeToken = Effect.gen(function* () {
  const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  const claims = { sub: "consumer", exp: now + 300, subscribe: ["notifications", "alerts"] }
  const token = new SignJWT(claims).setProtectedHeader({ alg: "HS256" })
  return yield* Effect.promise(() => token.sign(new TextEncoder().encode(secret)))
})

const producersAndConsumers: AuthOptions = {
  authKeys: [{ id: producer.id, hash: producer.hash, publish: [">"] }],
  authJwtSecret: Redacted.make(secret)
}

/** The same for both kinds of hub, so that each example is run against both. */
export interface ReferenceHub {
  readonly name: string
  readonly isGuarded: boolean
  readonly layer: (input?: SettingsInput) => ReturnType<typeof hubLayer>
}

const hubLayer = (auth: Layer.Layer<Auth>, input: SettingsInput) =>
  WebServer.layer.pipe(
    Layer.provideMerge(
      hubWith({ port: 0, httpPort: 0, ip: "localhost", ...input }, memoryLog, StateStoreMemory.layer, auth)
    ),
    Layer.provideMerge(auth),
    Layer.provideMerge(NodeFileSystem.layer)
  )

/** Where nobody is asked, a token that nobody knows does no harm. */
export const openHub: ReferenceHub = {
  name: "nobody is asked who they are",
  isGuarded: false,
  layer: (input = {}) => hubLayer(Auth.layerOff, input)
}

export const guardedHub: ReferenceHub = {
  name: "keys and tokens are checked",
  isGuarded: true,
  layer: (input = {}) => {
    const auth = Layer.orDie(Auth.layerWith(producersAndConsumers)).pipe(Layer.provide(NodeFileSystem.layer))
    return hubLayer(auth, input)
  }
}

const fixture = (path: string): string =>
  readFileSync(new URL(`../fixtures/references/${path}`, import.meta.url), "utf8")

/** A file of `test/fixtures/references` with this hub's address; with tokens where the hub wants them. */
export const example = Effect.fnUntraced(function* (path: string, { isGuarded }: ReferenceHub) {
  const { port } = yield* WebServer
  const text = fixture(path).replaceAll("localhost:8080", `localhost:${port}`)
  if (!isGuarded) return text
  return text.replaceAll("YOUR_API_KEY", apiKey).replaceAll("YOUR_TOKEN", yield* makeToken)
})

export const message = (name: string): string => fixture(`inmem-pubsub/${name}.json`)

export class ShellFailed extends Data.TaggedError("ShellFailed")<{ readonly message: string }> {}

/** What lines of bash print, with `programs` before all else on the PATH. */
export const bash = (lines: string, programs: string): Effect.Effect<string, ShellFailed> =>
  Effect.callback((resume) => {
    const env = { ...process.env, PATH: `${programs}:${process.env.PATH ?? ""}` }
    const child = spawn("bash", ["-c", lines], { stdio: ["ignore", "pipe", "pipe"], env })
    let [out, errors] = ["", ""]
    child.stdout.on("data", (chunk) => {
      out += chunk
    })
    child.stderr.on("data", (chunk) => {
      errors += chunk
    })
    child.on("error", ({ message }) => resume(Effect.fail(new ShellFailed({ message }))))
    child.on("close", (code) =>
      resume(
        code === 0
          ? Effect.succeed(out)
          : Effect.fail(new ShellFailed({ message: `ended ${code}: ${errors}` }))
      )
    )
    return Effect.sync(() => child.kill())
  })

/** What a client in JavaScript finds in its world, besides the language and what it logs with. */
export interface World {
  readonly WebSocket?: typeof WebSocket
  readonly fetch?: typeof fetch
}

/** Runs a client's text in a world of its own. Answers what it logs, a list of values a line. */
export const runClient = Effect.fnUntraced(function* (text: string, world: World) {
  const logged = yield* Queue.unbounded<ReadonlyArray<unknown>>()
  const log = (...values: ReadonlyArray<unknown>) => {
    // Values of the other world have other prototypes.
    Queue.offerUnsafe(logged, JSON.parse(JSON.stringify(values)))
  }
  runInContext(text, createContext({ ...world, console: { log } }))
  return logged
})
