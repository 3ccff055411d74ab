/** Nobody comes in by any door with what is no token of theirs, and all that is wrong is answered alike. */
import { createHmac } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { makeFolder, otherEc, pemOf, rsa, secret } from "../../services/auth/Tokens.ts"
import { ask, rawSocket } from "../http/WebHub.ts"
import {
  admitted,
  bearer,
  binaryClient,
  type Door,
  greet,
  inSeconds,
  keyFor,
  secureHub,
  tcpClient,
  tokenOf,
  upgrade
} from "./SecureHub.ts"

const rights = { publish: [">"], subscribe: [">"] }
const alice = keyFor("alice", rights)
const bob = keyFor("bob", rights)
const stranger = keyFor("stranger", rights)

const meant = { aud: "polestar", iss: "https://issuer.example", publish: [">"], subscribe: [">"] }

const hub = Layer.unwrap(
  Effect.gen(function* () {
    const { write } = yield* makeFolder
    return secureHub({
      authKeys: [alice.entry, bob.entry],
      authJwtSecret: Redacted.make(secret),
      authJwtPublicKey: yield* write("public.pem", pemOf(rsa.publicKey)),
      authAudience: ["polestar"],
      authIssuer: ["https://issuer.example"],
      authClockTolerance: 0
    })
  })
)

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")

/** Made by hand, since no library signs so. */
const forged = (header: object, claims: object, key?: string): string => {
  const body = `${part(header)}.${part({ sub: "alice", exp: inSeconds(60), ...meant, ...claims })}`
  return `${body}.${key === undefined ? "" : createHmac("sha256", key).update(body).digest("base64url")}`
}

const doors: ReadonlyArray<Door> = [tcpClient, binaryClient]

const good = tokenOf(meant)

/** Each with what is said to it, if it is not what is said to all others. */
const wrong: ReadonlyArray<readonly [what: string, token: Effect.Effect<string>, detail?: string]> = [
  ["empty", Effect.succeed(""), "a token is needed, and none was given"],
  ["no token at all", Effect.succeed("hello")],
  ["a key that there is not", Effect.succeed(stranger.key)],
  ["an id with another's secret", Effect.succeed(`ps_${alice.id}_${bob.key.slice(-43)}`)],
  ["a key cut short", Effect.succeed(alice.key.slice(0, -1))],
  ["a key with something behind it", Effect.succeed(`${alice.key}A`)],
  ["a key in capitals", Effect.succeed(alice.key.toUpperCase())],
  ["what the hub keeps of a key", Effect.succeed(String(alice.entry.hash))],
  ["not valid yet", tokenOf({ ...meant, nbf: inSeconds(30) }), "the token is not valid yet"],
  ["for another audience", tokenOf({ ...meant, aud: "somebody" })],
  ["for no audience", tokenOf({ iss: meant.iss })],
  ["of another issuer", tokenOf({ ...meant, iss: "https://issuer.example.evil.example" })],
  ["of no issuer", tokenOf({ aud: meant.aud })],
  ["that never expires", Effect.sync(() => forged({ alg: "HS256" }, { exp: null }, secret))],
  ["of another secret", tokenOf(meant, new TextEncoder().encode(`${secret}x`))],
  ["of another key", tokenOf(meant, otherEc.privateKey, { alg: "ES256" })],
  ["alg none", Effect.sync(() => forged({ alg: "none" }, {}))],
  ["alg None, with a signature", Effect.sync(() => forged({ alg: "None" }, {}, secret))],
  ["HS256 by the public key", Effect.sync(() => forged({ alg: "HS256" }, {}, pemOf(rsa.publicKey)))],
  [
    "HS256 by the public key, cut",
    Effect.sync(() => forged({ alg: "HS256" }, {}, pemOf(rsa.publicKey).trim()))
  ],
  ["HS512 by the right secret", Effect.sync(() => forged({ alg: "HS512" }, {}, secret))],
  ["of an unknown kid", tokenOf(meant, otherEc.privateKey, { alg: "ES256", kid: "nobody" })],
  [
    "with a header that must be understood and is not",
    Effect.sync(() => forged({ alg: "HS256", crit: ["x"], x: 1 }, {}, secret))
  ],
  [
    "with its key in the header",
    Effect.sync(() => forged({ alg: "HS256", jwk: { kty: "oct", k: part("k") } }, {}, "k"))
  ],
  ["of somebody without a name", tokenOf({ ...meant, sub: " " })],
  ["with a limit that is none", tokenOf({ ...meant, limits: { connections: 0 } })],
  ["longer than any token", Effect.succeed(`${"a".repeat(4000)}.${"b".repeat(4000)}.${"c".repeat(4000)}`)]
]

layer(hub, { excludeTestServices: true })("tokens at every door", (it) => {
  it.effect("tokens - what is good opens every door, in the header and, where a page may, in the query", () =>
    Effect.gen(function* () {
      const signed = yield* tokenOf(meant, rsa.privateKey, { alg: "RS256" })
      for (const token of [alice.key, yield* good, signed]) {
        assert.strictEqual((yield* ask("/topics", { headers: bearer(token) })).status, 200)
        assert.strictEqual((yield* upgrade("/ws", bearer(token))).status, 101)
        assert.strictEqual((yield* upgrade(`/ws?token=${token}`)).status, 101)
        for (const door of doors) yield* Effect.scoped(Effect.asVoid(admitted(door, token)))
      }
    })
  )

  it.effect.each(wrong)(
    "tokens - %s opens none, and all are answered alike",
    ([, making, detail = "the token is not accepted"]) =>
      Effect.gen(function* () {
        const token = yield* making
        const [http, stream, socket] = [
          yield* ask("/topics", { headers: { authorization: `Bearer ${token}` } }),
          yield* ask(`/api/v1/stream?topics=a&token=${encodeURIComponent(token)}`),
          yield* upgrade(`/ws?token=${encodeURIComponent(token)}`)
        ]
        for (const { json, status } of [http, stream, socket]) {
          assert.strictEqual(status, 401)
          assert.strictEqual(json.code, "UNAUTHORIZED")
          assert.isTrue(json.detail.startsWith(detail))
        }
        assert.strictEqual(http.headers["www-authenticate"], "Bearer")
        assert.strictEqual(socket.json.detail, detail)
        const place =
          ": it is given as `Authorization: Bearer <token>`; `?token=<token>` is for /ws and /api/v1/stream alone"
        const more = detail === "the token is not valid yet" ? "" : place
        for (const { json } of [http, stream]) assert.strictEqual(json.detail, `${detail}${more}`)
        for (const door of doors)
          assert.strictEqual(
            yield* Effect.scoped(Effect.flatMap(door, (to) => greet(to, token))),
            "unauthorized"
          )
      })
  )

  it.effect("tokens - none at all is asked for one", () =>
    Effect.gen(function* () {
      for (const path of [
        "/topics",
        "/stats",
        "/metrics",
        "/api/v1/poll?topics=a",
        "/api/v1/stream?topics=a"
      ])
        assert.strictEqual((yield* ask(path)).json.code, "UNAUTHORIZED", path)
      for (const path of ["/api/v1/messages", "/api/v1/messages/bulk", "/api/v1/ack", "/topics"])
        assert.strictEqual((yield* ask(path, { body: "{}" })).json.code, "UNAUTHORIZED", path)
      assert.strictEqual((yield* ask("/topics/a", { method: "DELETE" })).status, 401)
      assert.strictEqual((yield* upgrade("/ws")).status, 401)
    })
  )

  it.effect("tokens - of what nobody is asked for one, nothing says anything of topics or clients", () =>
    Effect.gen(function* () {
      yield* ask("/api/v1/messages?topic=very.secret", { headers: bearer(alice.key), body: "x" })
      for (const path of ["/health", "/ready", "/docs", "/openapi.json"]) {
        const { status, text } = yield* ask(path)
        assert.strictEqual(status, 200, path)
        assert.notInclude(text, "very.secret")
      }
      assert.notInclude((yield* ask("/metrics", { headers: bearer(bob.key) })).text, "very.secret")
    })
  )

  it.effect("tokens - one that has expired is told so, by every door, and nothing else is", () =>
    Effect.gen(function* () {
      const old = yield* tokenOf({ ...meant, exp: inSeconds(-1) })
      const answer = yield* ask("/topics", { headers: bearer(old) })
      assert.deepInclude(answer.json, { status: 401, code: "TOKEN_EXPIRED" })
      assert.include(String(answer.headers["www-authenticate"]), 'error="invalid_token"')
      assert.strictEqual((yield* upgrade(`/ws?token=${old}`)).json.code, "TOKEN_EXPIRED")
      for (const door of doors)
        assert.strictEqual(
          yield* Effect.scoped(Effect.flatMap(door, (to) => greet(to, old))),
          "token-expired"
        )
      // Whoever made it up learns nothing from its times.
      const fake = yield* tokenOf({ ...meant, exp: inSeconds(-1) }, new TextEncoder().encode(`${secret}x`))
      assert.strictEqual((yield* ask("/topics", { headers: bearer(fake) })).json.code, "UNAUTHORIZED")
    })
  )

  it.effect("tokens - an id that nobody has and a secret that is wrong are told apart by nothing", () =>
    Effect.gen(function* () {
      const answerTo = (token: string) =>
        Effect.map(ask("/topics", { headers: bearer(token) }), ({ headers, status, text }) => {
          const { date: _, ...others } = headers
          return { status, headers: others, text: text.replace(/urn:uuid:[0-9a-f-]{36}/, "urn:uuid:") }
        })
      const unknown = yield* answerTo(stranger.key)
      assert.include(unknown.text, "urn:uuid:")
      for (const token of [
        `ps_${alice.id}_${bob.key.slice(-43)}`,
        "ps_x_y",
        yield* tokenOf({ ...meant, aud: "x" })
      ])
        assert.deepStrictEqual(yield* answerTo(token), unknown)
    })
  )

  it.effect("tokens - one of 100 KB is refused before it is read", () =>
    Effect.gen(function* () {
      const huge = "x".repeat(100_000)
      const byHeader = yield* ask("/topics", { headers: bearer(huge) })
      assert.include([401, 422, 431], byHeader.status)
      const byQuery = yield* upgrade(`/ws?token=${huge}`)
      assert.notStrictEqual(byQuery.status, 101)
      for (const door of doors) {
        // As long as a hello can carry.
        const answer = yield* Effect.scoped(Effect.flatMap(door, (to) => greet(to, huge.slice(0, 65_000))))
        assert.strictEqual(answer, "unauthorized")
      }
      assert.strictEqual((yield* ask("/topics", { headers: bearer(alice.key) })).status, 200)
    })
  )

  it.effect("tokens - of two in one request neither is taken", () =>
    Effect.gen(function* () {
      for (const [first, second] of [
        [alice.key, "x"],
        ["x", alice.key],
        [alice.key, alice.key]
      ]) {
        const raw = yield* rawSocket
        raw.write(
          `GET /topics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${first}\r\nAuthorization: Bearer ${second}\r\n\r\n`
        )
        yield* raw.closed
        assert.match(raw.text, /^HTTP\/1\.1 401 /)
      }
      // What the header says is not made up for by the query.
      const both = yield* upgrade(`/ws?token=${alice.key}`, { authorization: "Basic YTpi" })
      assert.strictEqual(both.status, 401)
    })
  )
})
