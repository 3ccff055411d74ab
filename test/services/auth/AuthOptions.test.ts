import { generateKeyPairSync } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema, Struct } from "effect"
import { decodeSettings, expandVariables, givenIn, schemaOf } from "../../../src/protocol/SettingsDecode.ts"
import { SettingsError, settingsError } from "../../../src/protocol/SettingsError.ts"
import { Auth, type AuthOptions } from "../../../src/services/Auth.ts"
import { AuthSettingsSchema, authSettings } from "../../../src/services/AuthSettings.ts"
import { generateKey } from "../../../src/services/auth/ApiKey.ts"
import { parseSettingsFile } from "../../../src/services/SettingsFile.ts"
import { ec, good, jwtOptions, makeFolder, open, pemOf, reasonOf, secret, sign } from "./Tokens.ts"

const { hash, id, key } = generateKey()
const authKeys = [{ id, hash, publish: [">"] }]

describe("auth - which tokens", () => {
  it.effect("auth - off, everybody may do all that clients may, whatever they show", () =>
    Effect.gen(function* () {
      const off = yield* Auth.pipe(Effect.provide(Auth.layerOff))
      for (const auth of [off, yield* open({}), yield* open({ authType: "none", authKeys })]) {
        assert.isFalse(auth.isOn)
        for (const token of [undefined, "", "x", key]) {
          const identity = yield* auth.authenticate(token)
          assert.deepInclude(identity, { kind: "anonymous", groups: undefined, limits: {} })
          assert.isTrue(identity.publish.isEverything && identity.subscribe.isEverything)
          assert.strictEqual(identity.expiresAt, Number.POSITIVE_INFINITY)
        }
      }
    })
  )

  it.effect("auth - a key that is given turns it on", () =>
    Effect.gen(function* () {
      for (const options of [{ authKeys }, { authJwtSecret: Redacted.make(secret) }, { authKeys: [] }]) {
        const auth = yield* open(options)
        assert.isTrue(auth.isOn)
        assert.strictEqual(yield* reasonOf(auth, undefined), "missing")
      }
    })
  )

  it.effect("auth - takes the tokens of its type alone", () =>
    Effect.gen(function* () {
      const jwt = yield* sign(good)
      const keys = { ...jwtOptions, authKeys }
      const both = yield* open({ ...keys, authType: "any" })
      assert.strictEqual((yield* both.authenticate(key)).kind, "api-key")
      assert.strictEqual((yield* both.authenticate(jwt)).kind, "jwt")
      const onlyKeys = yield* open({ ...keys, authType: "api-key" })
      assert.strictEqual(yield* reasonOf(onlyKeys, jwt), "malformed")
      yield* onlyKeys.authenticate(key)
      const onlyJwt = yield* open(keys)
      assert.strictEqual(yield* reasonOf(onlyJwt, key), "malformed")
      yield* onlyJwt.authenticate(jwt)
    })
  )
})

describe("auth - settings that cannot work", () => {
  it.effect("auth - do not let the hub start, and name the setting", () =>
    Effect.gen(function* () {
      const { folder, write } = yield* makeFolder
      const weak = generateKeyPairSync("rsa", { modulusLength: 1024 })
      const pss = generateKeyPairSync("ed25519")
      const publicKey = yield* write("ec.pem", pemOf(ec.publicKey))
      const privatePem = ec.privateKey.export({ type: "pkcs8", format: "pem" }).toString()
      const wrong: ReadonlyArray<readonly [string, AuthOptions]> = [
        ["authType", { authType: "any" }],
        ["authType", { authType: "api-key", authJwtSecret: Redacted.make(secret) }],
        ["authType", { authType: "jwt", authKeys }],
        ["authKeysFile", { authKeysFile: `${folder}/none.yaml` }],
        ["authKeysFile", { authKeysFile: yield* write("bad.yaml", "authKeys: [") }],
        ["authJwtSecret", { authJwtSecret: Redacted.make("x".repeat(31)) }],
        ["authJwtSecret", { authJwtSecret: Redacted.make(pemOf(ec.publicKey)) }],
        ["authJwtPublicKey", { authJwtPublicKey: `${folder}/none.pem` }],
        ["authJwtPublicKey", { authJwtPublicKey: yield* write("bad.pem", "x") }],
        ["authJwtPublicKey", { authJwtPublicKey: yield* write("private.pem", privatePem) }],
        ["authJwtPublicKey", { authJwtPublicKey: yield* write("weak.pem", pemOf(weak.publicKey)) }],
        ["authJwtPublicKey", { authJwtPublicKey: yield* write("ed.pem", pemOf(pss.publicKey)) }],
        ["authJwks", { authJwks: `${folder}/none.json` }],
        ["authJwks", { authJwks: yield* write("jwks.json", "{}") }],
        ["authJwks", { authJwks: "https://" }],
        ["authJwks", { authJwtPublicKey: publicKey, authJwks: yield* write("k.json", '{"keys":[]}') }],
        ["authJwtAlgorithms", { authJwtPublicKey: publicKey, authJwtAlgorithms: ["HS256"] }],
        ["authDefaultPublish", { ...jwtOptions, authDefaultPublish: "a..b" }],
        ["authKeys[0].hash", { authKeys: [{ id, hash: key }] }]
      ]
      for (const [name, options] of wrong) {
        const error = yield* Effect.flip(open(options))
        assert.instanceOf(error, SettingsError)
        assert.deepStrictEqual(
          error.problems.map((problem) => problem.key),
          [name],
          error.message
        )
        for (const hidden of ["x".repeat(31), key.slice(-43), "BEGIN"])
          assert.notInclude(error.message, hidden)
      }
    })
  )

  it.effect("auth - a layer is all that is needed to put it elsewhere", () =>
    Effect.gen(function* () {
      const auth = yield* Auth
      assert.strictEqual((yield* auth.authenticate("x")).id, "anonymous")
    }).pipe(Effect.provide(Layer.fresh(Auth.layerOff)))
  )
})

describe("auth settings", () => {
  const decode = (input: object, origin = "test") =>
    decodeSettings({
      table: authSettings,
      schema: AuthSettingsSchema,
      sources: [givenIn(input, origin)],
      earlier: [],
      owner: "test"
    })

  it("auth settings - are read from text, as the environment has it, and from lists", () => {
    const asText = decode({
      authType: "API-KEY",
      authKeys: JSON.stringify(authKeys),
      authJwtSecret: secret,
      authJwtAlgorithms: "RS256, ES256",
      authAudience: "a,b",
      authClockTolerance: "30s",
      authRequireExpiry: "no"
    })
    assert.isEmpty(asText.problems)
    const asLists = decode({
      authType: "api-key",
      authKeys,
      authJwtSecret: Redacted.make(secret),
      authJwtAlgorithms: ["RS256", "ES256"],
      authAudience: ["a", "b"],
      authClockTolerance: 30_000,
      authRequireExpiry: false
    })
    assert.deepStrictEqual(asText.values, asLists.values)
    assert.deepInclude(asText.values, { authType: "api-key", authJwtAlgorithms: ["RS256", "ES256"] })
    const { authJwtSecret } = asText.values ?? {}
    assert.isTrue(authJwtSecret !== undefined && Redacted.value(authJwtSecret) === secret)
    assert.deepInclude(decode({}).values, {
      authType: undefined,
      authClockTolerance: 5000,
      authRequireExpiry: true
    })
  })

  it("auth settings - what is wrong is refused", () => {
    const wrong: ReadonlyArray<object> = [
      { authType: "basic" },
      { authKeys: "[" },
      { authKeys: [1] },
      { authJwtAlgorithms: "none" },
      { authJwtAlgorithms: ["RS256", "HS512"] },
      { authJwtAlgorithms: [] },
      { authAudience: "a,,b" },
      { authClockTolerance: "1h" },
      { authDefaultPublish: "a b" }
    ]
    for (const input of wrong) assert.lengthOf(decode(input).problems, 1, JSON.stringify(input))
  })

  it("auth settings - a secret is shown nowhere, neither as a value nor where it is wrong", () => {
    const secrets = [
      "s3cret-text-of-this-test",
      { s3cret: 1 },
      53_637_374,
      `s3cret\${x`,
      "s3cret".repeat(1000)
    ]
    for (const given of secrets) {
      const { problems, values } = decode({ authJwtSecret: given, authKeys: given })
      const shown = [settingsError(problems).message, JSON.stringify(values), String(values?.authJwtSecret)]
      for (const text of shown) assert.notMatch(text, /s3cret|53637374/)
    }
    const broken = [{ key: "authJwtSecret", origin: "file", value: "s3cret${x" }]
    const { problems } = expandVariables(broken, {}, authSettings)
    assert.lengthOf(problems, 1)
    assert.notInclude(problems[0]?.message, "s3cret")
    assert.include(expandVariables(broken, {}).problems[0]?.message, "s3cret")
  })

  it("auth settings - a file's entries reach the service as they are", () => {
    const { given } = parseSettingsFile(
      "hub.yaml",
      `authKeys:\n  - {id: ${id}, hash: "${hash}", publish: [">"]}\n`
    )
    const table = Struct.pick(authSettings, ["authKeys"])
    const schema = Schema.Struct(Struct.map(table, schemaOf))
    const sources = [expandVariables(given, {}, table).given]
    const { values } = decodeSettings({ table, schema, sources, earlier: [], owner: "test" })
    assert.deepStrictEqual(values?.authKeys, authKeys)
  })
})
