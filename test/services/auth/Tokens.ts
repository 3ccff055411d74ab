/** Keys, tokens and files for the tests of authentication. The clock of the tests starts at 0, and so do the tokens. */
import { createHmac, generateKeyPairSync, type KeyObject } from "node:crypto"
import { NodeFileSystem } from "@effect/platform-node"
import { assert } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Redacted } from "effect"
import { type JWTHeaderParameters, type JWTPayload, SignJWT } from "jose"
import { Auth, type AuthOptions } from "../../../src/services/Auth.ts"
import { AuthError } from "../../../src/services/auth/AuthError.ts"

export const secret = "0123456789abcdef0123456789abcdef"
export const secretKey = new TextEncoder().encode(secret)

export const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 })
export const ec = generateKeyPairSync("ec", { namedCurve: "P-256" })
export const otherEc = generateKeyPairSync("ec", { namedCurve: "P-256" })

export const pemOf = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString()

export const jwkOf = (key: KeyObject, kid?: string): object => ({
  ...key.export({ format: "jwk" }),
  ...(kid === undefined ? {} : { kid })
})

/** Claims that are in order at time 0. */
export const good = { sub: "alice", exp: 60 }

/** A token that is signed by a key; HS256 unless the header says otherwise. */
export const sign = (
  claims: JWTPayload,
  key: KeyObject | Uint8Array = secretKey,
  header: JWTHeaderParameters = { alg: "HS256" }
): Effect.Effect<string> => Effect.promise(() => new SignJWT(claims).setProtectedHeader(header).sign(key))

export const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString("base64url")

/** A token made by hand: `jose` refuses to sign what an attacker would. */
export const forge = (header: object, claims: object, key?: string): string => {
  const body = `${encode(header)}.${encode(claims)}`
  return `${body}.${key === undefined ? "" : createHmac("sha256", key).update(body).digest("base64url")}`
}

/** The service with these settings, for as long as the scope. */
export const open = (options: AuthOptions) =>
  Layer.build(Layer.provide(Auth.layerWith(options), NodeFileSystem.layer)).pipe(
    Effect.map((context) => Context.get(context, Auth))
  )

/** Why the service with these settings refuses a token. */
export const reasonOf = (auth: Auth["Service"], token: string | undefined) =>
  Effect.map(Effect.flip(auth.authenticate(token)), (error) => {
    assert.instanceOf(error, AuthError)
    return error.reason
  })

export const jwtOptions: AuthOptions = { authType: "jwt", authJwtSecret: Redacted.make(secret) }

/** A folder that goes with the test, and a way to write a file into it, which answers its path. */
export const makeFolder = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  const folder = yield* Effect.orDie(files.makeTempDirectoryScoped())
  const write = (name: string, content: string) =>
    Effect.as(Effect.orDie(files.writeFileString(`${folder}/${name}`, content)), `${folder}/${name}`)
  const remove = (name: string) => Effect.orDie(files.remove(`${folder}/${name}`))
  return { folder, write, remove }
}).pipe(Effect.provide(NodeFileSystem.layer))
