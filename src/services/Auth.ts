/**
 * Who a client is: a token in, an identity out. It decides by API keys and JSON Web Tokens, as the settings say, or lets
 * everybody in. What the identity may do is its own to say; asking it at connect, subscribe and publish is for those
 * who take the requests, and so is ending a session when its identity expires.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Context, Effect, type FileSystem, Layer, type Scope } from "effect"
import { PatternSet } from "../protocol/PatternSet.ts"
import { conflict, type SettingsError, settingsError } from "../protocol/SettingsError.ts"
import { parsePatterns } from "../protocol/TopicRules.ts"
import { type AuthSettingsValues, authSettings } from "./AuthSettings.ts"
import { keyIdOf, keyPrefix, verifyKey } from "./auth/ApiKey.ts"
import { type AuthError, authError } from "./auth/AuthError.ts"
import { anonymous, type Identity } from "./auth/Identity.ts"
import { rememberJwts } from "./auth/JwtCache.ts"
import { makeJwtKeys } from "./auth/JwtKeys.ts"
import { makeJwtVerifier } from "./auth/JwtVerifier.ts"
import { type KeyRing, type Keys, makeKeyRing } from "./auth/KeyRing.ts"
import { Settings } from "./Settings.ts"

/** What became of an identity: it holds, it may do something else now, or nobody has it any more. */
export type Holding = "holds" | "changed" | "removed"

/** The settings of `AuthSettings.ts` by their names; what is absent has its default. */
export type AuthOptions = { readonly [Key in keyof AuthSettingsValues]?: AuthSettingsValues[Key] | undefined }

export class Auth extends Context.Service<
  Auth,
  {
    /** Whether clients must say who they are. */
    readonly isOn: boolean
    /**
     * The identity of whoever shows this token. If `isOn` is false, everybody's is `anonymous`, whatever they show. It
     * never fails otherwise than with an `AuthError`, whatever the token is, and logs nothing of it.
     */
    readonly authenticate: (token: string | undefined) => Effect.Effect<Identity, AuthError>
    /**
     * Whether who came in with this identity still has it: a key may have been taken back since, or may do something
     * else now. A token of another kind holds until it expires. It costs a look in a map, and once a second at a file.
     */
    readonly holds: (identity: Identity) => Effect.Effect<Holding>
  }
>()("polestar/services/Auth") {
  /** Everybody is let in, and may do all that clients may. */
  static readonly layerOff: Layer.Layer<Auth> = Layer.sync(Auth, () => everybody)

  /** As the hub's settings say. */
  static readonly layer: Layer.Layer<Auth, SettingsError, Settings> = Layer.unwrap(
    Effect.map(Settings, (settings) => Auth.layerWith(settings))
  ).pipe(Layer.provide(NodeFileSystem.layer))

  /**
   * As these settings say. Fails with everything that is wrong with them and with the files that they name; a URL of a
   * key set that does not answer is logged, and asked again when a token comes.
   */
  static readonly layerWith = (
    options: AuthOptions
  ): Layer.Layer<Auth, SettingsError, FileSystem.FileSystem> =>
    Layer.effect(
      Auth,
      Effect.suspend(() => make(options))
    )
}

/** Lets everybody in, and lets them do all that clients may. */
export const everybody: Auth["Service"] = {
  isOn: false,
  authenticate: () => Effect.succeed(anonymous),
  holds: () => Effect.succeed("holds")
}

const keySettings = ["authKeys", "authKeysFile"] as const
const jwtSettings = ["authJwtSecret", "authJwtPublicKey", "authJwks"] as const

const make = Effect.fnUntraced(function* (options: AuthOptions) {
  const givenKeys = keySettings.filter((key) => options[key] !== undefined)
  const givenJwt = jwtSettings.filter((key) => options[key] !== undefined)
  const given = [...givenKeys, ...givenJwt]
  const type = options.authType ?? (given.length > 0 ? "any" : "none")
  const hasKeys = type === "api-key" || (type === "any" && givenKeys.length > 0)
  const hasJwt = type === "jwt" || (type === "any" && givenJwt.length > 0)
  for (const unused of [...(hasKeys ? [] : givenKeys), ...(hasJwt ? [] : givenJwt)]) {
    yield* Effect.logWarning(`${unused} has no effect: authType is ${type}`)
  }
  if (type === "none") return Auth.of(everybody)
  const wanted = { any: [...keySettings, ...jwtSettings], "api-key": keySettings, jwt: jwtSettings }[type]
  if (wanted.every((key) => options[key] === undefined)) {
    return yield* settingsError([
      conflict("authType", "given", `found ${type} without a key; allowed: with ${wanted.join(" or ")}`)
    ])
  }
  const ring = hasKeys
    ? yield* makeKeyRing({ entries: options.authKeys, file: options.authKeysFile })
    : undefined
  const verifyJwt = hasJwt ? rememberJwts(yield* makeJwt(options)) : undefined
  return Auth.of({
    isOn: true,
    authenticate: (token) => {
      if (token === undefined || token === "") return Effect.fail(authError("missing"))
      const isKey = token.startsWith(keyPrefix)
      if (isKey && ring !== undefined) return authenticateKey(ring, token)
      if (isKey) return Effect.fail(authError("malformed", "an API key, and no API keys are set"))
      return verifyJwt === undefined
        ? Effect.fail(authError("malformed", "no API key, and nothing else is accepted"))
        : verifyJwt(token)
    },
    holds: (identity) =>
      ring === undefined || identity.kind !== "api-key"
        ? Effect.succeed("holds")
        : Effect.map(ring.keys, (keys) => holdingOf(keys, identity))
  })
})

/** An id that nobody has and a secret that is wrong are the same to whoever asks, and take as long. */
const authenticateKey = (ring: KeyRing, key: string): Effect.Effect<Identity, AuthError> => {
  const id = keyIdOf(key)
  if (id === undefined) return Effect.fail(authError("malformed", "not of the form of an API key"))
  return Effect.flatMap(ring.keys, (keys) => {
    const identity = verifyKey(keys, key)
    if (identity !== undefined) return Effect.succeed(identity)
    const detail = keys.has(id) ? "the secret of its API key is another" : "no API key has its id"
    return Effect.fail(authError("unknown-key", detail))
  })
}

/** Another key under the same id is not the one that was shown. */
const holdingOf = (keys: Keys, { id, revision }: Identity): Holding => {
  const now = keys.get(id)?.identity.revision
  if (now === undefined || now.key !== revision?.key) return "removed"
  return now.rights === revision.rights ? "holds" : "changed"
}

const makeJwt = (
  options: AuthOptions
): Effect.Effect<
  (token: string) => Effect.Effect<Identity, AuthError>,
  SettingsError,
  FileSystem.FileSystem | Scope.Scope
> =>
  Effect.gen(function* () {
    const keys = yield* makeJwtKeys({
      authJwtSecret: options.authJwtSecret,
      authJwtPublicKey: options.authJwtPublicKey,
      authJwks: options.authJwks,
      authJwtAlgorithms: options.authJwtAlgorithms
    })
    return makeJwtVerifier(keys, {
      audience: options.authAudience,
      issuer: options.authIssuer,
      clockTolerance: options.authClockTolerance ?? authSettings.authClockTolerance.default ?? 0,
      requireExpiry: options.authRequireExpiry ?? authSettings.authRequireExpiry.default,
      publish: yield* defaultOf(options, "authDefaultPublish"),
      subscribe: yield* defaultOf(options, "authDefaultSubscribe")
    })
  })

const defaultOf = (options: AuthOptions, key: "authDefaultPublish" | "authDefaultSubscribe") => {
  const text = options[key]
  const set = text === undefined ? PatternSet.none : PatternSet.make(parsePatterns(text) ?? [""])
  return set instanceof PatternSet
    ? Effect.succeed(set)
    : Effect.fail(
        settingsError([conflict(key, "given", `found what is no list of patterns: ${set.message}`)])
      )
}
