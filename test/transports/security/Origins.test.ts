/** What a page of somebody else's cannot do with the browser of somebody who may. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask, rawSocket } from "../http/WebHub.ts"
import { answerIn, bearer, keyFor, secureHub, upgrade } from "./SecureHub.ts"

const alice = keyFor("alice", { publish: [">"], subscribe: [">"] })
const hub = (allowedOrigins?: string) =>
  secureHub({ authKeys: [alice.entry] }, allowedOrigins === undefined ? {} : { allowedOrigins })

const local = { host: "localhost:1" }

/** Says this to the hub, and answers what it says until it closes. */
const say = (text: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write(text)
      yield* raw.closed
      return answerIn(raw.text)
    })
  )

const get = (...headers: ReadonlyArray<string>) =>
  say(
    `GET /topics HTTP/1.1\r\nAuthorization: Bearer ${alice.key}\r\nConnection: close\r\n${headers.map((each) => `${each}\r\n`).join("")}\r\n`
  )

const elsewhere = [
  "https://evil.example",
  "null",
  "http://localhost.evil.example",
  "http://localhost",
  "https://app.example.evil.example",
  "https://evil-app.example",
  "http://app.example",
  "https://app.example:8443",
  "https://app.example@evil.example",
  "https://app.example, https://evil.example",
  "file://",
  "chrome-extension://abc",
  ""
]

describe("origins", () => {
  it.live(
    "origins - with a token that is good, in the header or in the query, a page from elsewhere has nothing",
    () =>
      Effect.gen(function* () {
        for (const origin of elsewhere) {
          const headers = { ...local, origin, ...bearer(alice.key) }
          const shown = { ...local, origin }
          for (const answer of [
            yield* ask("/topics", { headers }),
            yield* ask("/api/v1/messages", {
              headers: { ...headers, "content-type": "text/plain" },
              body: "x"
            }),
            yield* ask(`/api/v1/stream?topics=a&token=${alice.key}`, { headers: shown }),
            yield* ask("/health", { headers: shown })
          ]) {
            assert.strictEqual(answer.json.code, "ORIGIN_NOT_ALLOWED", origin)
            assert.strictEqual(answer.status, 403)
            assert.isUndefined(answer.headers["access-control-allow-origin"])
          }
          const socket = yield* upgrade(`/ws?token=${alice.key}`, { ...shown })
          assert.deepInclude(socket.json, { status: 403, code: "ORIGIN_NOT_ALLOWED" })
          // Nothing was published by it.
          assert.lengthOf(
            (yield* ask("/topics", { headers: { ...local, ...bearer(alice.key) } })).json.topics,
            0
          )
        }
      }).pipe(Effect.provide(hub("https://app.example")))
  )

  it.live(
    "origins - a preflight is answered to pages that are allowed alone, and never with credentials",
    () =>
      Effect.gen(function* () {
        const preflight = (origin: string) =>
          ask("/api/v1/messages", {
            method: "OPTIONS",
            headers: {
              ...local,
              origin,
              "access-control-request-method": "POST",
              "access-control-request-headers": "authorization"
            }
          })
        for (const origin of elsewhere) {
          const { headers, status } = yield* preflight(origin)
          assert.strictEqual(status, 403, origin)
          assert.notProperty(headers, "access-control-allow-origin")
          assert.notProperty(headers, "access-control-allow-methods")
        }
        const { headers, status } = yield* preflight("https://app.example")
        assert.strictEqual(status, 204)
        assert.strictEqual(headers["access-control-allow-origin"], "https://app.example")
        assert.notProperty(headers, "access-control-allow-credentials")
        assert.strictEqual(headers.vary, "origin")
      }).pipe(Effect.provide(hub("https://app.example")))
  )

  it.live("origins - null is no origin that a list names, and every page's where all are", () =>
    Effect.gen(function* () {
      const headers = { ...local, origin: "null" }
      assert.strictEqual((yield* ask("/health", { headers })).status, 200)
      assert.strictEqual((yield* ask("/topics", { headers })).status, 401)
    }).pipe(Effect.provide(hub("*")))
  )

  it.live("origins - a token in the query counts where a browser can set no header, and nowhere else", () =>
    Effect.gen(function* () {
      for (const path of [
        "/topics",
        "/stats",
        "/metrics",
        "/api/v1/poll?topics=a",
        "/api/v1/topics/a/messages",
        "/WS",
        "/ws/",
        "/api/v1/stream/",
        "//ws"
      ]) {
        const { status } = yield* ask(`${path}${path.includes("?") ? "&" : "?"}token=${alice.key}`, {
          headers: local
        })
        assert.include([401, 404], status, path)
      }
      const publish = yield* ask(`/api/v1/messages?topic=a&token=${alice.key}`, { headers: local, body: "x" })
      assert.strictEqual(publish.status, 401)
      assert.strictEqual((yield* upgrade(`/ws/?token=${alice.key}`)).status, 404)
      assert.strictEqual((yield* upgrade(`/ws?token=x&token=${alice.key}`)).status, 401)
      assert.strictEqual((yield* upgrade(`/ws?token=${alice.key}`)).status, 101)
    }).pipe(Effect.provide(hub()))
  )

  it.live(
    "origins - a name that was pointed at this machine is not this machine, however it is written",
    () =>
      Effect.gen(function* () {
        for (const host of [
          "evil.example",
          "evil.example:8080",
          "127.0.0.1.evil.example",
          "localhost.evil.example",
          "localhost.",
          "127.0.0.1@evil.example",
          "localhost:80:80",
          "[::1].evil.example",
          "0.0.0.0",
          "127.1",
          "2130706433",
          "127.0.0.1, evil.example",
          ""
        ])
          for (const more of [[], [`Origin: http://${host}`]]) {
            const { status } = yield* get(`Host: ${host}`, ...more)
            assert.include([400, 403], status, host)
          }
        for (const host of ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:1", "[::1]:8080"])
          assert.strictEqual((yield* get(`Host: ${host}`)).status, 200, host)
        // A browser always sends one. Of two the first counts, or neither.
        assert.strictEqual((yield* get()).status, 400)
        assert.include([400, 403], (yield* get("Host: evil.example", "Host: localhost")).status)
        const absolute = yield* say(
          `GET http://localhost/topics HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer ${alice.key}\r\nConnection: close\r\n\r\n`
        )
        assert.strictEqual(absolute.status, 403)
        assert.strictEqual((yield* upgrade(`/ws?token=${alice.key}`, { host: "evil.example" })).status, 403)
      }).pipe(Effect.provide(hub()))
  )

  it.live("origins - a hub that asks nobody who they are answers by no name that a page's could be", () =>
    Effect.gen(function* () {
      const body = { body: '{"topic":"a","payload":1}', method: "POST" }
      for (const host of ["evil.example", "evil.example:8080", "hub.local.evil.example"]) {
        for (const headers of [{ host }, { host, origin: `http://${host}` }]) {
          for (const answer of [
            yield* ask("/topics", { headers }),
            yield* ask("/api/v1/messages", { headers, ...body }),
            yield* upgrade("/ws", headers)
          ])
            assert.deepInclude(answer.json, { status: 403, code: "ORIGIN_NOT_ALLOWED" }, host)
        }
      }
      for (const host of [
        "hub",
        "hub:8080",
        "10.0.0.7:8080",
        "[fd00::7]:1",
        "hub.local",
        "hub.example:8080"
      ]) {
        const headers = { host, origin: `http://${host}` }
        assert.strictEqual((yield* ask("/topics", { headers })).status, 200, host)
        assert.strictEqual((yield* upgrade("/ws", headers)).status, 101, host)
      }
    }).pipe(Effect.provide(secureHub({}, { ip: "0.0.0.0", allowedOrigins: "http://hub.example:8080" })))
  )

  it.live("origins - one that asks is called what it likes", () =>
    Effect.gen(function* () {
      const headers = { host: "hub.example", ...bearer(alice.key) }
      assert.strictEqual((yield* ask("/topics", { headers })).status, 200)
      assert.strictEqual((yield* ask("/topics", { headers: { host: "hub.example" } })).status, 401)
    }).pipe(Effect.provide(secureHub({ authKeys: [alice.entry] }, { ip: "0.0.0.0" })))
  )

  it.live(
    "origins - whoever is refused is told which header it is and what lets it in; the log says which one it was",
    () => {
      const lines: Array<string> = []
      return Effect.gen(function* () {
        const why = () =>
          lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line).annotations?.why)
        const behind = yield* ask("/topics", { headers: { ...bearer(alice.key), host: "hub.example" } })
        assert.strictEqual(why().at(-1), "host hub.example")
        assert.deepInclude(behind.json, { status: 403, code: "ORIGIN_NOT_ALLOWED" })
        assert.include(behind.json.detail, "Host")
        assert.include(behind.json.detail, "add `http://hub.example` to the setting `allowedOrigins`")
        const elsewhere = yield* ask("/topics", { headers: { host: "hub.example:28122" } })
        assert.include(elsewhere.json.detail, "add `http://hub.example:28122` to")
        for (const host of ["*.hub.example", "hub`<b>", `${"a".repeat(300)}.example`]) {
          const { json } = yield* ask("/topics", { headers: { host } })
          assert.notInclude(json.detail, host)
          assert.include(json.detail, "`allowedOrigins`")
        }
        const page = yield* ask("/api/v1/messages", {
          headers: { ...local, origin: "https://evil.example" },
          body: "x"
        })
        assert.notInclude(page.json.detail, "Host")
        for (const text of ["Origin", "`allowedOrigins`"]) assert.include(page.json.detail, text)
        assert.strictEqual(why().at(-1), "origin https://evil.example")
        const socket = yield* upgrade("/ws", { host: "hub.example", origin: "https://hub.example" })
        assert.include(socket.json.detail, "Host")
        assert.strictEqual(why().at(-1), "host hub.example")
      }).pipe(Effect.provide(secureHub({ authKeys: [alice.entry] }, {}, lines)))
    }
  )

  it.live("origins - what a page has a browser ask blindly, as a picture or by a link, is not done", () =>
    Effect.gen(function* () {
      const from = (site: string) => ({ headers: { ...local, ...bearer(alice.key), "sec-fetch-site": site } })
      for (const site of ["cross-site", "same-site"]) {
        for (const path of [
          "/api/v1/poll?topics=a&client_id=x&timeout=0",
          "/api/v1/stream?topics=a",
          "/topics"
        ])
          assert.strictEqual((yield* ask(path, from(site))).json.code, "ORIGIN_NOT_ALLOWED")
        const publish = yield* ask("/api/v1/messages?topic=a", { ...from(site), body: "x" })
        assert.strictEqual(publish.status, 403)
        // What a link may lead to.
        assert.strictEqual((yield* ask("/docs", from(site))).status, 200)
      }
      for (const site of ["same-origin", "none"])
        assert.strictEqual((yield* ask("/topics", from(site))).status, 200)
      const allowed = { ...from("cross-site").headers, origin: "https://app.example" }
      assert.strictEqual((yield* ask("/topics", { headers: allowed })).status, 200)
    }).pipe(Effect.provide(hub("https://app.example")))
  )
})
