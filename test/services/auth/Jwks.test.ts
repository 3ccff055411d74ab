import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { jwksLimit, loadTimeout, staleLimit } from "../../../src/services/auth/JwksSource.ts"
import { ec, good, jwkOf, makeFolder, open, otherEc, reasonOf, rsa, secretKey, sign } from "./Tokens.ts"

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const json =
  (body: unknown): Answer =>
  (_, response) =>
    response.setHeader("content-type", "application/json").end(JSON.stringify(body))

/** A server on the loopback whose answer can be changed; it counts what it was asked. */
const makeServer = (first: Answer) =>
  Effect.acquireRelease(
    Effect.callback<{ url: string; asked: number; answer: Answer; close: () => void }>((resume) => {
      const server = createServer((request, response) => {
        made.asked++
        made.answer(request, response)
      })
      const made = {
        url: "",
        asked: 0,
        answer: first,
        close: () => {
          server.close()
          server.closeAllConnections()
        }
      }
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" ? address?.port : undefined
        made.url = `http://127.0.0.1:${port}/jwks?key=s3cret`
        resume(Effect.succeed(made))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

/** A token that lives for as long as any test. */
const long = { ...good, exp: 1_000_000 }
const token = (kid: string | undefined, pair = ec) =>
  sign(long, pair.privateKey, { alg: "ES256", ...(kid === undefined ? {} : { kid }) })

const setOf = (...kids: ReadonlyArray<string>) => ({
  keys: kids.map((kid) => ({ ...jwkOf((kid === "other" ? otherEc : ec).publicKey, kid), use: "sig" }))
})

describe("jwks - a file", () => {
  it.effect("jwks - a key is found by its id, and among all that fit if there is none", () =>
    Effect.gen(function* () {
      const { write } = yield* makeFolder
      const keys = [
        jwkOf(otherEc.publicKey, "other"),
        jwkOf(ec.publicKey, "own"),
        jwkOf(rsa.publicKey, "rsa"),
        { kty: "oct", k: Buffer.from(secretKey).toString("base64url"), kid: "secret", alg: "HS256" }
      ]
      const auth = yield* open({ authJwks: yield* write("jwks.json", JSON.stringify({ keys })) })
      yield* auth.authenticate(yield* token("own"))
      yield* auth.authenticate(yield* token(undefined))
      yield* auth.authenticate(yield* sign(good, rsa.privateKey, { alg: "RS256" }))
      assert.strictEqual(yield* reasonOf(auth, yield* token("other")), "bad-signature")
      assert.strictEqual(yield* reasonOf(auth, yield* token("rsa")), "unknown-key")
      const symmetric = yield* sign(good, secretKey, { alg: "HS256", kid: "secret" })
      assert.strictEqual(yield* reasonOf(auth, symmetric), "unsupported-algorithm")
    })
  )

  it.effect("jwks - a token's own idea of where its key is means nothing", () =>
    Effect.gen(function* () {
      const server = yield* makeServer(json(setOf("other")))
      const { write } = yield* makeFolder
      const auth = yield* open({ authJwks: yield* write("jwks.json", JSON.stringify(setOf("own"))) })
      const forged = yield* sign(good, otherEc.privateKey, {
        alg: "ES256",
        jku: server.url,
        x5u: server.url,
        jwk: { kty: "EC", crv: "P-256", ...jwkOf(otherEc.publicKey) }
      })
      assert.strictEqual(yield* reasonOf(auth, forged), "bad-signature")
      assert.strictEqual(server.asked, 0)
    })
  )

  it.effect("jwks - a file that changed is read again", () =>
    Effect.gen(function* () {
      const { write } = yield* makeFolder
      const auth = yield* open({ authJwks: yield* write("jwks.json", JSON.stringify(setOf("one"))) })
      yield* auth.authenticate(yield* token("one"))
      yield* write("jwks.json", JSON.stringify(setOf("two")))
      assert.strictEqual(yield* reasonOf(auth, yield* token("two")), "unknown-key")
      yield* TestClock.adjust("1 second")
      yield* auth.authenticate(yield* token("two"))
      assert.strictEqual(yield* reasonOf(auth, yield* token("one")), "unknown-key")
    })
  )
})

describe("jwks - a URL", () => {
  it.effect("jwks - is loaded once, and again for a new key, but no more than once in its cooldown", () =>
    Effect.gen(function* () {
      const server = yield* makeServer(json(setOf("one")))
      const auth = yield* open({ authJwks: server.url })
      for (let times = 0; times < 5; times++) yield* auth.authenticate(yield* token("one"))
      assert.strictEqual(server.asked, 1)
      server.answer = json(setOf("one", "two"))
      for (let times = 0; times < 20; times++) {
        assert.strictEqual(yield* reasonOf(auth, yield* token(`unknown${times}`)), "unknown-key")
      }
      assert.strictEqual(server.asked, 1)
      yield* TestClock.adjust("30 seconds")
      const both = [token("two"), token("two"), token("unknown")]
      const results = yield* Effect.forEach(
        both,
        (made) => Effect.flatMap(made, (each) => Effect.result(auth.authenticate(each))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        results.map(({ _tag }) => _tag),
        ["Success", "Success", "Failure"]
      )
      assert.strictEqual(server.asked, 2)
    })
  )

  it.effect("jwks - an old set holds while it is refreshed and while it cannot be, and not for ever", () =>
    Effect.gen(function* () {
      const server = yield* makeServer(json(setOf("one")))
      const auth = yield* open({ authJwks: server.url })
      server.answer = (_, response) => response.writeHead(503).end("down")
      yield* TestClock.adjust("10 minutes")
      yield* auth.authenticate(yield* token("one"))
      yield* TestClock.setTime(staleLimit - 1)
      yield* auth.authenticate(yield* token("one"))
      yield* TestClock.setTime(staleLimit)
      assert.strictEqual(yield* reasonOf(auth, yield* token("one")), "jwks-unavailable")
      server.answer = json(setOf("one"))
      yield* TestClock.adjust("5 seconds")
      yield* auth.authenticate(yield* token("one"))
    })
  )

  it.effect("jwks - the hub starts while it is down, and tokens are refused for a reason that passes", () =>
    Effect.gen(function* () {
      const server = yield* makeServer((request) => request.socket.destroy())
      const auth = yield* open({ authJwks: server.url })
      const error = yield* Effect.flip(auth.authenticate(yield* token("one")))
      assert.strictEqual(error.reason, "jwks-unavailable")
      assert.isTrue(error.isTransient)
      assert.strictEqual(server.asked, 1)
      server.answer = json(setOf("one"))
      yield* TestClock.adjust("5 seconds")
      yield* auth.authenticate(yield* token("one"))
    })
  )

  it.effect("jwks - what is no set, is too large, redirects or fails is refused", () =>
    Effect.gen(function* () {
      const elsewhere = yield* makeServer(json(setOf("one")))
      const answers: ReadonlyArray<Answer> = [
        json({ keys: 5 }),
        json([]),
        (_, response) => response.end("<html>"),
        json({ ...setOf("one"), padding: "x".repeat(jwksLimit) }),
        (_, response) => response.writeHead(302, { location: elsewhere.url }).end(),
        (_, response) => response.writeHead(404).end(JSON.stringify(setOf("one")))
      ]
      for (const answer of answers) {
        const server = yield* makeServer(answer)
        const auth = yield* open({ authJwks: server.url })
        assert.strictEqual(yield* reasonOf(auth, yield* token("one")), "jwks-unavailable")
      }
      assert.strictEqual(elsewhere.asked, 0)
    })
  )

  it.effect("jwks - one that does not answer is given up, and who waits for it may go away", () =>
    Effect.gen(function* () {
      const server = yield* makeServer(json(setOf("one")))
      const auth = yield* open({ authJwks: server.url })
      yield* TestClock.adjust("30 seconds")
      const reached = Deferred.makeUnsafe<void>()
      server.answer = () => Deferred.doneUnsafe(reached, Effect.void)
      const asking = yield* Effect.forkChild(Effect.flatMap(token("two"), auth.authenticate), {
        startImmediately: true
      })
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(asking)
      const again = yield* Effect.forkChild(
        Effect.flatMap(token("two"), (made) => reasonOf(auth, made)),
        { startImmediately: true }
      )
      // Known keys do not wait.
      yield* auth.authenticate(yield* token("one"))
      yield* TestClock.adjust(loadTimeout)
      assert.strictEqual(yield* Fiber.join(again), "jwks-unavailable")
      assert.strictEqual(server.asked, 2)
    })
  )
})
