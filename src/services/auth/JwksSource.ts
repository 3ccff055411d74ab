/**
 * A set of public keys (JWKS) by a file's path or a URL, kept and refreshed.
 *
 * Once a set has been loaded, it is answered at once while it is refreshed behind, and it outlives failures for
 * `staleLimit`. A key that is not in it is looked for again, but however many tokens name unknown keys, the source is
 * asked no more than once in its cooldown, and by one request at a time. What is loaded is bounded in size and time.
 */
import { Clock, Data, Deferred, Effect, FileSystem, Predicate, Result, type Scope } from "effect"
import { createLocalJWKSet, errors, type JWTHeaderParameters, type LocalJWKSet } from "jose"
import { type AuthError, authError } from "./AuthError.ts"

/** A key with which a signature can be checked. */
export type VerifyingKey = Awaited<ReturnType<LocalJWKSet>>

export interface JwksSource {
  /** The keys that may have signed a token with this header, at least one. Fails with `unknown-key` or `jwks-unavailable`. */
  readonly keysFor: (header: JWTHeaderParameters) => Effect.Effect<ReadonlyArray<VerifyingKey>, AuthError>
}

/** All in milliseconds. */
interface Pace {
  /** After which a set is refreshed. */
  readonly maxAge: number
  /** Between two loads, where the first one succeeded. */
  readonly cooldown: number
  /** Between two loads, where the first one failed. */
  readonly retry: number
}

const urlPace: Pace = { maxAge: 600_000, cooldown: 30_000, retry: 5_000 }
const filePace: Pace = { maxAge: 10_000, cooldown: 1_000, retry: 1_000 }

/** Milliseconds for which a set holds that could not be refreshed. */
export const staleLimit = 3_600_000
/** Milliseconds that one load may take. */
export const loadTimeout = 5_000
/** Bytes of a set, which is a few kilobytes. */
export const jwksLimit = 262_144
/** Keys without an id that are tried for one token; each costs a check of its signature. */
const triedKeys = 8

/** A set could not be loaded. The message has no secret in it: the source is a setting, and the keys are public. */
export class JwksError extends Data.TaggedError("JwksError")<{
  readonly message: string
  readonly cause?: unknown
}> {}

/** Whether a JWKS setting is a URL, and not the path of a file. */
export const isJwksUrl = (source: string): boolean => /^https?:\/\//i.test(source)

/**
 * Loads the set. A file must be there and be one, or this fails; a URL may be down, which is logged, and is asked again
 * when a token comes. Refreshing ends with the scope.
 */
export const makeJwksSource = (
  source: string
): Effect.Effect<JwksSource, JwksError, FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const files = yield* FileSystem.FileSystem
    const isUrl = isJwksUrl(source)
    const load = isUrl ? loadUrl(source) : loadFile(files, source)
    const cache = new JwksCache(load, isUrl ? urlPace : filePace, scope)
    const failure = yield* cache.refresh
    if (failure !== undefined && !isUrl) return yield* failure
    return { keysFor: (header) => cache.keysFor(header) }
  })

class JwksCache {
  private readonly load: Effect.Effect<LocalJWKSet, JwksError>
  private readonly pace: Pace
  private readonly scope: Scope.Scope
  private set: LocalJWKSet | undefined
  private loadedAt = 0
  private triedAt = Number.NEGATIVE_INFINITY
  private hasFailed = false
  private pending: Deferred.Deferred<JwksError | undefined> | undefined

  constructor(load: Effect.Effect<LocalJWKSet, JwksError>, pace: Pace, scope: Scope.Scope) {
    this.load = load
    this.pace = pace
    this.scope = scope
  }

  /** Loads, or waits for the load that is under way, and answers why it failed. Interrupting it leaves the load alone. */
  readonly refresh: Effect.Effect<JwksError | undefined> = Effect.suspend(() =>
    Effect.flatMap(this.start, Deferred.await)
  )

  private readonly start = Effect.suspend(() => {
    if (this.pending !== undefined) return Effect.succeed(this.pending)
    const pending = Deferred.makeUnsafe<JwksError | undefined>()
    this.pending = pending
    return this.attempt.pipe(
      Effect.onExit((exit) => {
        this.pending = undefined
        return Deferred.done(pending, exit)
      }),
      Effect.forkIn(this.scope),
      Effect.as(pending)
    )
    // Or nobody would load again, were it interrupted half-way.
  }).pipe(Effect.uninterruptible)

  private readonly attempt: Effect.Effect<JwksError | undefined> = Effect.gen({ self: this }, function* () {
    this.triedAt = yield* Clock.currentTimeMillis
    const loaded = yield* Effect.result(this.load)
    this.hasFailed = Result.isFailure(loaded)
    if (Result.isFailure(loaded)) {
      yield* Effect.logWarning(`the keys of tokens could not be loaded: ${loaded.failure.message}`)
      return loaded.failure
    }
    this.set = loaded.success
    this.loadedAt = yield* Clock.currentTimeMillis
    return undefined
  })

  keysFor(header: JWTHeaderParameters): Effect.Effect<ReadonlyArray<VerifyingKey>, AuthError> {
    return Effect.gen({ self: this }, function* () {
      const now = yield* Clock.currentTimeMillis
      const age = now - this.loadedAt
      if (this.set === undefined || age >= staleLimit) {
        if (this.mayTry(now)) yield* this.refresh
      } else if (age >= this.pace.maxAge && this.mayTry(now)) yield* this.start
      const set = this.set
      if (set === undefined || (yield* Clock.currentTimeMillis) - this.loadedAt >= staleLimit) {
        return yield* authError("jwks-unavailable")
      }
      const found = yield* keysIn(set, header)
      if (found.length > 0) return found
      if (!this.mayTry(now)) return yield* notInSet()
      const failure = yield* this.refresh
      const again = yield* keysIn(this.set ?? set, header)
      if (again.length > 0) return again
      return yield* failure === undefined ? notInSet() : authError("jwks-unavailable")
    })
  }

  /** A load that is under way may be joined, whenever it began. */
  private mayTry(now: number): boolean {
    return (
      this.pending !== undefined ||
      now - this.triedAt >= (this.hasFailed ? this.pace.retry : this.pace.cooldown)
    )
  }
}

const notInSet = (): AuthError => authError("unknown-key", "authJwks has no key for its kid and alg")

/** The keys of a set that fit a header: by its key's id, or all of its kind if it names none. */
const keysIn = (set: LocalJWKSet, header: JWTHeaderParameters): Effect.Effect<ReadonlyArray<VerifyingKey>> =>
  Effect.promise(async () => {
    try {
      return [await set(header)]
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) return []
      const keys: Array<VerifyingKey> = []
      for await (const key of error) {
        keys.push(key)
        if (keys.length === triedKeys) break
      }
      return keys
    }
  })

const parseSet = (source: string, text: string): Effect.Effect<LocalJWKSet, JwksError> =>
  Effect.try({
    try: () => createLocalJWKSet(JSON.parse(text)),
    catch: () => new JwksError({ message: `what is at ${source} is no JSON Web Key Set` })
  })

const loadFile = (files: FileSystem.FileSystem, path: string): Effect.Effect<LocalJWKSet, JwksError> =>
  Effect.gen(function* () {
    const { size } = yield* files.stat(path)
    if (size > jwksLimit) {
      return yield* new JwksError({ message: `${path} is larger than ${jwksLimit} bytes` })
    }
    return yield* parseSet(path, yield* files.readFileString(path))
  }).pipe(
    Effect.catchTag("PlatformError", (cause) =>
      Effect.fail(new JwksError({ message: `${path} cannot be read (${cause.reason._tag})`, cause }))
    )
  )

const loadUrl = (url: string): Effect.Effect<LocalJWKSet, JwksError> => {
  const shown = withoutQuery(url)
  return Effect.tryPromise({
    try: (signal) => fetchText(url, shown, signal),
    catch: (cause) =>
      cause instanceof JwksError
        ? cause
        : new JwksError({ message: `${shown} cannot be reached${codeOf(cause)}`, cause })
  }).pipe(
    Effect.timeoutOrElse({
      duration: loadTimeout,
      orElse: () =>
        Effect.fail(new JwksError({ message: `${shown} did not answer within ${loadTimeout} ms` }))
    }),
    Effect.flatMap((text) => parseSet(shown, text))
  )
}

/** A query may have a secret in it. */
const withoutQuery = (url: string): string => {
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`
}

/** What the system says, such as ECONNREFUSED: `fetch` hides it in the cause of its error. */
const codeOf = (error: unknown): string => {
  const cause = Predicate.hasProperty(error, "cause") ? error.cause : undefined
  return Predicate.hasProperty(cause, "code") ? ` (${String(cause.code)})` : ""
}

/** Redirects are refused: whoever controls the answer of the URL controls who may come in. */
const fetchText = async (url: string, shown: string, signal: AbortSignal): Promise<string> => {
  const response = await fetch(url, {
    signal,
    redirect: "error",
    headers: { accept: "application/json, application/jwk-set+json" }
  })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new JwksError({ message: `${shown} answered ${response.status}` })
  }
  const chunks: Array<Uint8Array> = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > jwksLimit) throw new JwksError({ message: `${shown} answered more than ${jwksLimit} bytes` })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString("utf8")
}
