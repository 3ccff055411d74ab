/** What the hub's log says of a token that is refused: which part of it, and nothing that stands in it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { AuthOptions } from "../../../src/services/Auth.ts"
import { generateKey } from "../../../src/services/auth/ApiKey.ts"
import {
  encode,
  forge,
  good,
  jwkOf,
  jwtOptions,
  makeFolder,
  open,
  otherEc,
  rsa,
  secret,
  sign
} from "./Tokens.ts"

const whyOf = (options: AuthOptions, token: string | undefined) =>
  Effect.gen(function* () {
    const auth = yield* open(options)
    return (yield* Effect.flip(auth.authenticate(token))).why
  })

const hs256 = (claims: object) => forge({ alg: "HS256" }, { ...good, ...claims }, secret)

describe("auth error - why", () => {
  const forHub = { ...jwtOptions, authAudience: ["hub"] }
  const byMe = { ...jwtOptions, authIssuer: ["me"] }
  for (const [what, claims, why, options = jwtOptions] of [
    ["no sub", { sub: undefined }, "malformed: no sub;"],
    ["a sub that is none", { sub: "s3cret\n" }, "malformed: sub cannot be read; allowed: one line"],
    ["no exp", { exp: undefined }, "malformed: no exp; authRequireExpiry is true"],
    ["an exp that is text", { exp: "s3cret" }, "malformed: exp is not a number of seconds"],
    ["one that has expired", { exp: -9 }, "expired"],
    ["one that does not hold yet", { nbf: 9 }, "not-yet-valid"],
    ["an aud that nobody set", { aud: "s3cret" }, "wrong-audience: it has aud, and authAudience is not set"],
    ["another aud", { aud: "s3cret" }, "wrong-audience: aud is none of authAudience", forHub],
    ["no aud", {}, "wrong-audience: no aud; authAudience is set", forHub],
    ["another iss", { iss: "s3cret" }, "wrong-issuer: iss is none of authIssuer", byMe],
    ["no iss", {}, "wrong-issuer: no iss; authIssuer is set", byMe],
    [
      "a bad pattern",
      { publish: ["s3cret..x"] },
      "malformed: publish cannot be read; allowed: a list of patterns"
    ],
    ["a bad pattern", { subscribe: 5 }, "malformed: subscribe cannot be read"],
    ["a bad group", { consumerGroups: [5] }, "malformed: consumerGroups cannot be read"],
    [
      "an unknown limit",
      { limits: { s3cret: 5 } },
      "malformed: limits cannot be read; allowed: messagesPerMinute,"
    ]
  ] satisfies ReadonlyArray<readonly [string, object, string, AuthOptions?]>) {
    it.effect(`auth error - ${what}: ${why}`, () =>
      Effect.gen(function* () {
        const said = yield* whyOf({ ...options, authClockTolerance: 0 }, hs256(claims))
        assert.isTrue(said.startsWith(why), said)
        assert.notInclude(said, "s3cret")
      })
    )
  }

  it.effect("auth error - of signatures, algorithms and forms", () =>
    Effect.gen(function* () {
      const { write } = yield* makeFolder
      const jwks = yield* write("jwks.json", JSON.stringify({ keys: [jwkOf(rsa.publicKey, "one")] }))
      const other = yield* sign(good, otherEc.privateKey, { alg: "ES256", kid: "s3cret" })
      for (const [token, why, options = jwtOptions] of [
        [forge({ alg: "HS256" }, good, "s3cret"), "bad-signature"],
        [`${encode({ alg: "s3cret" })}.${encode(good)}.`, "unsupported-algorithm: alg is none of HS256"],
        [`${encode({})}.${encode(good)}.AA`, "malformed: no alg in its header"],
        [`s3cret.${encode(good)}.AA`, "malformed: its header cannot be read"],
        ["s3cret", "malformed: neither an API key nor a JWT"],
        ["s3cret".repeat(9000), "malformed: longer than 8192 characters"],
        [generateKey().key, "malformed: an API key, and no API keys are set"],
        [other, "unknown-key: authJwks has no key for its kid and alg", { authJwks: jwks }],
        [undefined, "missing"]
      ] satisfies ReadonlyArray<readonly [string | undefined, string, AuthOptions?]>) {
        assert.strictEqual(yield* whyOf(options, token), why)
      }
    })
  )

  it.effect("auth error - of API keys", () =>
    Effect.gen(function* () {
      const [mine, other] = [generateKey(), generateKey()]
      const options = { authKeys: [{ id: mine.id, hash: mine.hash }] }
      for (const [token, why] of [
        [other.key, "unknown-key: no API key has its id"],
        [`ps_${mine.id}_${other.key.slice(-43)}`, "unknown-key: the secret of its API key is another"],
        [mine.key.slice(0, -1), "malformed: not of the form of an API key"],
        ["s3cret", "malformed: no API key, and nothing else is accepted"]
      ] as const)
        assert.strictEqual(yield* whyOf(options, token), why)
    })
  )
})
