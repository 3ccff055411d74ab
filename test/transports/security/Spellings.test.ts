/** A path has one spelling: by any other nothing is reached, neither past the question who asks nor after it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { Api } from "../../../src/transports/http/Api.ts"
import { ask } from "../http/WebHub.ts"
import { bearer, keyFor, secureHub } from "./SecureHub.ts"

const alice = keyFor("alice", { publish: [">"], subscribe: [">"] })
const hub = () => secureHub({ authKeys: [alice.entry] })

const endpoints = Object.values(Api.groups).flatMap((group) =>
  Object.values(group.endpoints).map(({ method, path }) => ({
    method,
    path: path.replace(/:[^/]+/g, "news")
  }))
)
const open = new Set(["/", "/health", "/ready", "/docs"])

const encoded = (text: string) => `%${text.charCodeAt(0).toString(16)}`

/** Other spellings of a path, by which some server or other would find the same. */
const spellings = (path: string): ReadonlyArray<string> => {
  const last = path.lastIndexOf("/")
  return [
    path.toUpperCase(),
    path.replace(/\/(.)/, (_, first: string) => `/${first.toUpperCase()}`),
    path.replace(/\/(.)/, (_, first: string) => `/${encoded(first)}`),
    path.replace(/\/(.)/, (_, first: string) => `/${encoded(first).replace("%", "%25")}`),
    `/${path}`,
    `//${path}`,
    `${path}/`,
    `${path}//`,
    `${path}/.`,
    `${path};x`,
    `${path};token=${alice.key}`,
    `${path}%3Fx`,
    `${path}%00`,
    `${path}%20`,
    `${path}.`,
    `/.${path}`,
    `/x/..${path}`,
    `/%2e%2e${path}`,
    `/%2f${path.slice(1)}`,
    `${path.slice(0, last)}%2f${path.slice(last + 1)}`,
    `${path.slice(0, last)}\\${path.slice(last + 1)}`,
    `/health/..${path}`,
    `/docs;${path}`,
    `/health%23${path}`
  ].filter((spelling) => spelling !== path && spelling.startsWith("/"))
}

describe("spellings", () => {
  it.live("spellings - by no other path does anybody come past the question who asks", () =>
    Effect.gen(function* () {
      const asked = { topic: "news", payload: 1 }
      for (const { method, path } of endpoints) {
        if (open.has(path)) continue
        for (const spelling of [path, ...spellings(path)]) {
          const body = method === "POST" ? { body: JSON.stringify(asked) } : {}
          const { json, status } = yield* ask(spelling, { method, ...body })
          assert.deepInclude(json, { status: 401, code: "UNAUTHORIZED" }, `${method} ${spelling}`)
          assert.strictEqual(status, 401)
        }
      }
      assert.strictEqual((yield* (yield* Hub).metrics).messagesReceived, 0)
    }).pipe(Effect.provide(hub()))
  )

  it.live("spellings - and whoever may ask finds nothing there", () =>
    Effect.gen(function* () {
      const headers = bearer(alice.key)
      yield* ask("/api/v1/messages?topic=news", { headers, body: "x" })
      for (const { method, path } of endpoints) {
        if (path === "/") continue
        for (const spelling of spellings(path)) {
          const { status } = yield* ask(spelling, { method, headers })
          // What is spelt otherwise below `/topics/` is the name of another topic, or of none.
          assert.include(spelling.startsWith("/topics/") ? [400, 404, 405] : [404], status, spelling)
        }
      }
      assert.lengthOf((yield* ask("/topics", { headers })).json.topics, 1)
    }).pipe(Effect.provide(hub()))
  )

  it.live("spellings - with the hub's own address in front it is the same", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask("http://localhost/health")).status, 200)
      assert.strictEqual((yield* ask("http://localhost/topics")).status, 401)
      assert.strictEqual((yield* ask("HTTP://x/topics", { headers: bearer(alice.key) })).status, 200)
      assert.strictEqual((yield* ask("http://localhost//health")).status, 401)
    }).pipe(Effect.provide(hub()))
  )

  it.live("spellings - a topic's name may be as long as names are, and with every character escaped", () =>
    Effect.gen(function* () {
      const headers = bearer(alice.key)
      const name = "é;#/?".repeat(42)
      const at = encodeURIComponent(name)
      const published = yield* ask(`/api/v1/messages?topic=${at}`, { headers, body: "x" })
      assert.strictEqual(published.status, 202)
      const { json } = yield* ask(`/api/v1/topics/${at}/messages`, { headers })
      assert.lengthOf(json.messages, 1)
      const { json: tooLong } = yield* ask(`/api/v1/topics/${"x".repeat(256)}/messages`, { headers })
      assert.deepInclude(tooLong, { status: 400, code: "INVALID_TOPIC" })
      assert.strictEqual((yield* ask(`/topics/${at}`, { method: "DELETE", headers })).status, 200)
    }).pipe(Effect.provide(hub()))
  )
})
