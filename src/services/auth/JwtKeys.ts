/**
 * Which key checks a token of which algorithm. That is fixed by the settings before any token is read: a token's header
 * only chooses among the algorithms that have a key here, HS256 has the secret alone, and RS256 and ES256 public keys
 * alone. So `alg: none` has no key, and a public key is never the secret of an HMAC.
 */
import { createPublicKey, createSecretKey } from "node:crypto"
import { Effect, FileSystem, Redacted, Result } from "effect"
import type { JWTHeaderParameters } from "jose"
import { conflict, type SettingsProblem, settingsError } from "../../protocol/SettingsError.ts"
import type { AuthError } from "./AuthError.ts"
import {
  isJwksUrl,
  type JwksError,
  type JwksSource,
  makeJwksSource,
  type VerifyingKey
} from "./JwksSource.ts"
import { type JwtAlgorithm, jwtAlgorithms, publicAlgorithms, rsaLimit, secretLimit } from "./JwtAlgorithm.ts"

export interface JwtKeysOptions {
  readonly authJwtSecret: Redacted.Redacted<string> | undefined
  /** The path of a PEM. */
  readonly authJwtPublicKey: string | undefined
  /** A path or a URL. */
  readonly authJwks: string | undefined
  /** Those that the keys are of, unless given. */
  readonly authJwtAlgorithms: ReadonlyArray<JwtAlgorithm> | undefined
}

export interface JwtKeys {
  readonly algorithms: ReadonlySet<string>
  /** The keys to try for a token with this header, whose algorithm is one of `algorithms`; at least one. */
  readonly keysFor: (header: JWTHeaderParameters) => Effect.Effect<ReadonlyArray<VerifyingKey>, AuthError>
}

/** Bytes of a PEM. */
const pemLimit = 65_536

/** Reads the keys, and fails with everything that is wrong with them. Without any, no token is accepted. */
export const makeJwtKeys = Effect.fnUntraced(function* (options: JwtKeysOptions) {
  const problems: Array<SettingsProblem> = []
  const refuse = (key: keyof JwtKeysOptions, text: string): void => {
    problems.push(conflict(key, "given", text))
  }
  const secret = options.authJwtSecret === undefined ? undefined : readSecret(options.authJwtSecret)
  if (typeof secret === "string") refuse("authJwtSecret", secret)
  const pem =
    options.authJwtPublicKey === undefined ? undefined : yield* readPublicKey(options.authJwtPublicKey)
  if (typeof pem === "string") refuse("authJwtPublicKey", pem)
  const jwks = options.authJwks === undefined ? undefined : yield* openJwks(options.authJwks)
  if (typeof jwks === "string") refuse("authJwks", jwks)
  if (options.authJwks !== undefined && options.authJwtPublicKey !== undefined) {
    refuse("authJwks", "found together with authJwtPublicKey; allowed: one of them")
  }
  const sources = new Map<JwtAlgorithm, JwksSource["keysFor"]>()
  for (const one of [secret, pem]) {
    if (typeof one === "object") sources.set(one.algorithm, () => Effect.succeed([one.key]))
  }
  if (typeof jwks === "object") for (const name of publicAlgorithms) sources.set(name, jwks.keysFor)

  if (problems.length === 0) {
    for (const name of options.authJwtAlgorithms ?? []) {
      if (!sources.has(name)) refuse("authJwtAlgorithms", `found ${name}, for which no key is given`)
    }
  }
  if (problems.length > 0) return yield* settingsError(problems)
  const algorithms: ReadonlySet<JwtAlgorithm> = new Set(options.authJwtAlgorithms ?? sources.keys())
  return {
    algorithms,
    keysFor: (header) => {
      const name = jwtAlgorithms.find((each) => each === header.alg && algorithms.has(each))
      const keysFor = name === undefined ? undefined : sources.get(name)
      return keysFor === undefined ? Effect.succeed([]) : keysFor(header)
    }
  } satisfies JwtKeys
})

interface Key {
  readonly key: VerifyingKey
  readonly algorithm: JwtAlgorithm
}

/** The secret's bytes in UTF-8, or what is wrong with it. */
const readSecret = (secret: Redacted.Redacted<string>): Key | string => {
  const text = Redacted.value(secret)
  // Were a public key a secret, everybody who has it could sign.
  if (text.includes("-----BEGIN"))
    return "it holds a PEM; allowed: a secret, or authJwtPublicKey for a public key"
  const bytes = Buffer.from(text, "utf8")
  if (bytes.length < secretLimit)
    return `it is too short; allowed: at least ${secretLimit} bytes, chosen at random`
  const key = createSecretKey(bytes).toCryptoKey({ name: "HMAC", hash: "SHA-256" }, false, ["verify"])
  return { key, algorithm: "HS256" }
}

const readPublicKey = Effect.fnUntraced(
  function* (path: string) {
    const files = yield* FileSystem.FileSystem
    const { size } = yield* files.stat(path)
    if (size > pemLimit) return `${path} is larger than ${pemLimit} bytes`
    return parsePublicKey(path, yield* files.readFileString(path))
  },
  (effect, path) =>
    Effect.catchTag(effect, "PlatformError", ({ reason }) =>
      Effect.succeed(`${path} cannot be read (${reason._tag})`)
    )
)

/** A public key, or the one of a certificate. */
const parsePublicKey = (path: string, pem: string): Key | string => {
  // Node would take the public half of it.
  if (pem.includes("PRIVATE KEY")) return `${path} holds a private key, which the hub is not to have`
  const read = Result.try(() => createPublicKey(pem))
  if (Result.isFailure(read)) return `${path} holds no public key (PEM)`
  const key = read.success
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === "ec" && details?.namedCurve === "prime256v1") {
    const usable = key.toCryptoKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["verify"])
    return { key: usable, algorithm: "ES256" }
  }
  if (type === "rsa" && (details?.modulusLength ?? 0) >= rsaLimit) {
    const usable = key.toCryptoKey({ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, false, ["verify"])
    return { key: usable, algorithm: "RS256" }
  }
  return `${path} holds a key of another kind; allowed: RSA of ${rsaLimit} bits or more, or EC P-256`
}

const openJwks = Effect.fnUntraced(
  function* (source: string) {
    if (isJwksUrl(source) && !URL.canParse(source)) return "it is no URL"
    if (/^http:/i.test(source) && !isLoopback(new URL(source).hostname)) {
      yield* Effect.logWarning(
        "authJwks is read by http: whoever can change what passes between can make tokens; use https"
      )
    }
    return yield* makeJwksSource(source)
  },
  (effect) => Effect.catchTag(effect, "JwksError", ({ message }: JwksError) => Effect.succeed(message))
)

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host)
