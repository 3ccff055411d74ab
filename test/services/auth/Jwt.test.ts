import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import type { JWTPayload } from "jose"
import type { AuthReason } from "../../../src/services/auth/AuthError.ts"
import { tokenLength } from "../../../src/services/auth/JwtVerifier.ts"
import {
  ec,
  encode,
  forge,
  good,
  jwtOptions,
  makeFolder,
  open,
  otherEc,
  pemOf,
  reasonOf,
  rsa,
  secret,
  sign
} from "./Tokens.ts"

describe("jwt - identities", () => {
  it.effect("jwt - the claims say who it is, what it may do and until when", () =>
    Effect.gen(function* () {
      const auth = yield* open({ ...jwtOptions, authClockTolerance: 2000 })
      assert.isTrue(auth.isOn)
      const token = yield* sign({
        ...good,
        name: "Alice",
        publish: ["a.>", "$channel.*"],
        subscribe: "b.* c",
        consumerGroups: ["billing"],
        limits: { messagesPerMinute: 60, connections: 2, messageSize: 1024 }
      })
      const identity = yield* auth.authenticate(token)
      assert.deepInclude(identity, { kind: "jwt", id: "alice", name: "Alice", expiresAt: 62_000 })
      assert.deepStrictEqual(identity.publish.patterns, ["a.>", "$channel.*"])
      assert.deepStrictEqual(identity.subscribe.patterns, ["b.*", "c"])
      assert.isTrue(identity.groups?.allowsTopic("billing"))
      assert.isFalse(identity.groups?.allowsTopic("other"))
      assert.deepStrictEqual(identity.limits, { messagesPerMinute: 60, connections: 2, messageSize: 1024 })
    })
  )

  it.effect("jwt - a token that says nothing may do nothing, unless the settings say it", () =>
    Effect.gen(function* () {
      // Issuers put a person's own groups into `groups`.
      const token = yield* sign({ ...good, groups: ["/some admins"] })
      const nothing = yield* (yield* open(jwtOptions)).authenticate(token)
      assert.isFalse(nothing.publish.allowsTopic("a"))
      assert.isFalse(nothing.subscribe.allowsPattern("a"))
      assert.isUndefined(nothing.groups)
      const auth = yield* open({
        ...jwtOptions,
        authDefaultPublish: "in.>",
        authDefaultSubscribe: "out.>, x"
      })
      const some = yield* auth.authenticate(token)
      assert.isTrue(some.publish.allowsPattern("in.*"))
      assert.isTrue(some.subscribe.allowsTopic("x"))
      const own = yield* auth.authenticate(yield* sign({ ...good, publish: [] }))
      assert.isFalse(own.publish.allowsTopic("in.a"))
      assert.isTrue(own.subscribe.allowsTopic("out.a"))
    })
  )

  it.effect("jwt - RS256 and ES256 are checked by a public key or a certificate's", () =>
    Effect.gen(function* () {
      const { write } = yield* makeFolder
      for (const [alg, pair] of [["RS256", rsa] as const, ["ES256", ec] as const]) {
        const auth = yield* open({ authJwtPublicKey: yield* write(alg, pemOf(pair.publicKey)) })
        const token = yield* sign(good, pair.privateKey, { alg })
        assert.strictEqual((yield* auth.authenticate(token)).id, "alice")
      }
      const auth = yield* open({ authJwtPublicKey: yield* write("ec", pemOf(ec.publicKey)) })
      const forged = yield* sign(good, otherEc.privateKey, { alg: "ES256" })
      assert.strictEqual(yield* reasonOf(auth, forged), "bad-signature")
    })
  )
})

describe("jwt - times", () => {
  it.effect("jwt - a token holds until it expires, and no later than it says", () =>
    Effect.gen(function* () {
      const auth = yield* open({ ...jwtOptions, authClockTolerance: 5000 })
      const token = yield* sign(good)
      const { expiresAt } = yield* auth.authenticate(token)
      yield* TestClock.setTime(expiresAt - 1)
      yield* auth.authenticate(token)
      yield* TestClock.setTime(expiresAt)
      assert.strictEqual(yield* reasonOf(auth, token), "expired")
    })
  )

  it.effect("jwt - a token holds once it may, by the tolerance of clocks", () =>
    Effect.gen(function* () {
      const auth = yield* open({ ...jwtOptions, authClockTolerance: 5000 })
      const token = yield* sign({ ...good, nbf: 10 })
      assert.strictEqual(yield* reasonOf(auth, token), "not-yet-valid")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* auth.authenticate(token)).id, "alice")
    })
  )

  it.effect("jwt - a token that never expires is refused, unless the settings say otherwise", () =>
    Effect.gen(function* () {
      const token = yield* sign({ sub: "alice" })
      assert.strictEqual(yield* reasonOf(yield* open(jwtOptions), token), "malformed")
      const lenient = yield* open({ ...jwtOptions, authRequireExpiry: false })
      assert.strictEqual((yield* lenient.authenticate(token)).expiresAt, Number.POSITIVE_INFINITY)
    })
  )
})

describe("jwt - audience and issuer", () => {
  it.effect("jwt - one of the audiences and the issuer must be the hub's", () =>
    Effect.gen(function* () {
      const auth = yield* open({ ...jwtOptions, authAudience: ["hub", "hub2"], authIssuer: ["https://i"] })
      const reason = (claims: JWTPayload) =>
        Effect.flatMap(sign({ ...good, ...claims }), (token) => reasonOf(auth, token))
      assert.strictEqual(yield* reason({ iss: "https://i" }), "wrong-audience")
      assert.strictEqual(yield* reason({ iss: "https://i", aud: "other" }), "wrong-audience")
      assert.strictEqual(yield* reason({ iss: "https://i", aud: ["other", "HUB"] }), "wrong-audience")
      assert.strictEqual(yield* reason({ aud: "hub" }), "wrong-issuer")
      assert.strictEqual(yield* reason({ aud: "hub", iss: "https://i/" }), "wrong-issuer")
      const token = yield* sign({ ...good, iss: "https://i", aud: ["other", "hub2"] })
      assert.strictEqual((yield* auth.authenticate(token)).id, "alice")
    })
  )

  it.effect("jwt - a hub without an audience refuses tokens for others", () =>
    Effect.gen(function* () {
      const token = yield* sign({ ...good, aud: "billing" })
      assert.strictEqual(yield* reasonOf(yield* open(jwtOptions), token), "wrong-audience")
    })
  )
})

describe("jwt - algorithms", () => {
  it.effect("jwt - none is no algorithm, however it is written", () =>
    Effect.gen(function* () {
      const auth = yield* open(jwtOptions)
      const valid = yield* sign(good)
      for (const alg of [
        "none",
        "None",
        "NONE",
        "nOnE",
        "HS384",
        "RS256",
        "hs256",
        "__proto__",
        "constructor"
      ]) {
        const [, claims, signature] = valid.split(".")
        for (const end of ["", signature ?? ""]) {
          const token = `${encode({ alg })}.${claims}.${end}`
          assert.strictEqual(yield* reasonOf(auth, token), "unsupported-algorithm", alg)
        }
      }
      for (const header of [
        {},
        { alg: 1 },
        { alg: null },
        { alg: ["HS256"] },
        { alg: { toString: "HS256" } }
      ]) {
        assert.strictEqual(yield* reasonOf(auth, forge(header, good, secret)), "malformed")
      }
    })
  )

  it.effect("jwt - a public key is no secret of HS256", () =>
    Effect.gen(function* () {
      const { write } = yield* makeFolder
      const pem = pemOf(rsa.publicKey)
      const jwks = JSON.stringify({ keys: [rsa.publicKey.export({ format: "jwk" })] })
      const forged = [pem, pem.trim(), pem.replaceAll("\n", ""), jwks].map((key) =>
        forge({ alg: "HS256" }, good, key)
      )
      for (const auth of [
        yield* open({ authJwtPublicKey: yield* write("rsa.pem", pem) }),
        yield* open({ authJwks: yield* write("jwks.json", jwks) })
      ]) {
        for (const token of forged) assert.strictEqual(yield* reasonOf(auth, token), "unsupported-algorithm")
      }
      // Nor where there is a secret too.
      const both = yield* open({ ...jwtOptions, authJwtPublicKey: yield* write("rsa.pem", pem) })
      for (const token of forged) assert.strictEqual(yield* reasonOf(both, token), "bad-signature")
      assert.strictEqual((yield* both.authenticate(yield* sign(good))).id, "alice")
      const signed = yield* sign(good, rsa.privateKey, { alg: "RS256" })
      assert.strictEqual((yield* both.authenticate(signed)).id, "alice")
    })
  )

  it.effect("jwt - the settings may accept fewer algorithms than there are keys for", () =>
    Effect.gen(function* () {
      const { write } = yield* makeFolder
      const auth = yield* open({
        ...jwtOptions,
        authJwtPublicKey: yield* write("ec.pem", pemOf(ec.publicKey)),
        authJwtAlgorithms: ["ES256"]
      })
      assert.strictEqual(yield* reasonOf(auth, yield* sign(good)), "unsupported-algorithm")
      yield* auth.authenticate(yield* sign(good, ec.privateKey, { alg: "ES256" }))
    })
  )
})

describe("jwt - hostile tokens", () => {
  it.effect("jwt - a signature is of its own header and claims", () =>
    Effect.gen(function* () {
      const auth = yield* open(jwtOptions)
      const [header, , signature] = (yield* sign(good)).split(".")
      const changed = `${header}.${encode({ ...good, sub: "root" })}.${signature}`
      assert.strictEqual(yield* reasonOf(auth, changed), "bad-signature")
      assert.strictEqual(yield* reasonOf(auth, forge({ alg: "HS256" }, good, `${secret}x`)), "bad-signature")
      // What a forged token says decides nothing: it is not said to be expired.
      assert.strictEqual(yield* reasonOf(auth, forge({ alg: "HS256" }, { exp: -1 }, "x")), "bad-signature")
    })
  )

  it.effect("jwt - no part of a token is a token", () =>
    Effect.gen(function* () {
      const auth = yield* open(jwtOptions)
      const token = yield* sign(good)
      for (let length = 0; length < token.length; length++) {
        const reason = yield* reasonOf(auth, token.slice(0, length))
        assert.oneOf(reason, [
          "missing",
          "malformed",
          "bad-signature",
          "unsupported-algorithm"
        ] satisfies Array<AuthReason>)
      }
      assert.strictEqual((yield* auth.authenticate(token)).id, "alice")
    })
  )

  it.effect("jwt - what is huge, binary or nested is refused, and nothing throws", () =>
    Effect.gen(function* () {
      const auth = yield* open(jwtOptions)
      const token = yield* sign(good)
      const deep = `${"[".repeat(2000)}${"]".repeat(2000)}`
      const binary = Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256)).toString("latin1")
      const tokens = [
        "x".repeat(65_536),
        `${token}${".".repeat(65_536)}`,
        `${"A".repeat(30_000)}.${"A".repeat(30_000)}.A`,
        yield* sign({ ...good, padding: "x".repeat(tokenLength) }),
        binary,
        `${binary}.${binary}.${binary}`,
        "\u0000",
        "..",
        "a.b.c.d.e",
        "\ud800.\udc00.a",
        ` ${token}`,
        `${token}\n`,
        `Bearer ${token}`,
        `${encode(deep)}.${encode(deep)}.AAAA`,
        `${Buffer.from(deep).toString("base64url")}.${encode(good)}.AAAA`,
        `${encode([])}.${encode(good)}.AAAA`,
        `${encode({ alg: "HS256", crit: ["x"], x: 1 })}.${encode(good)}.AAAA`
      ]
      for (const each of tokens) assert.strictEqual(yield* reasonOf(auth, each), "malformed")
    })
  )

  it.effect("jwt - signed claims that cannot be read are refused, and never passed over", () =>
    Effect.gen(function* () {
      const auth = yield* open(jwtOptions)
      const wrong: ReadonlyArray<object> = [
        { sub: undefined },
        { sub: "" },
        { sub: "a\nb" },
        { sub: "x".repeat(300) },
        { exp: "60" },
        { nbf: "0" },
        { publish: ["a..b"] },
        { publish: [1] },
        { publish: { a: 1 } },
        { publish: null },
        { subscribe: "a >.b" },
        { subscribe: Array(2000).fill("a") },
        { consumerGroups: 5 },
        { limits: { messagesPerMinute: 0 } },
        { limits: { messagesPerMinute: "60" } },
        { limits: { messagesPerMinutes: 60 } },
        { limits: [60] },
        { limits: null }
      ]
      for (const claims of wrong) {
        const token = forge({ alg: "HS256" }, { ...good, ...claims }, secret)
        assert.strictEqual(yield* reasonOf(auth, token), "malformed", JSON.stringify(claims))
      }
    })
  )

  it.effect("jwt - an error says nothing of the token", () =>
    Effect.gen(function* () {
      const auth = yield* open({ ...jwtOptions, authAudience: ["hub"] })
      const token = yield* sign({ ...good, sub: "s3cret-name", aud: "s3cret-audience" })
      const error = yield* Effect.flip(auth.authenticate(token))
      assert.strictEqual(error.message, "the token is not accepted")
      assert.isFalse(error.isTransient)
      assert.isUndefined(error.cause)
      for (const shown of [JSON.stringify(error), String(error)]) {
        assert.notInclude(shown, "s3cret")
        assert.notInclude(shown, token.slice(0, 20))
      }
      assert.notInclude(JSON.stringify(Redacted.make(secret)), secret)
    })
  )
})
