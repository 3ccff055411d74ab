/** How many messages one client may publish in a minute, and when it may again. */
import { Duration, Effect } from "effect"
import { RateLimiter } from "effect/persistence"
import { type Refusal, refusal } from "./Refusal.ts"

export interface PublishRate {
  /** Takes so many messages of the client's share, or fails with the time to wait. `limit` is messages a minute; 0 is none. */
  readonly take: (key: string, messages: number, limit: number) => Effect.Effect<void, Refusal>
}

/** Clients that are remembered; beyond that all begin anew, which is seldom and harmless. */
const maxClients = 100_000

const makeLimiter = Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory)

export const makePublishRate: Effect.Effect<PublishRate> = Effect.gen(function* () {
  let limiter = yield* makeLimiter
  const clients = new Set<string>()
  const remember = Effect.fnUntraced(function* (key: string) {
    if (clients.has(key)) return
    if (clients.size >= maxClients) {
      clients.clear()
      limiter = yield* makeLimiter
    }
    clients.add(key)
  })
  const take = Effect.fnUntraced(function* (key: string, messages: number, limit: number) {
    yield* remember(key)
    yield* limiter.consume({ key, limit, tokens: messages, window: "1 minute", onExceeded: "fail" }).pipe(
      Effect.mapError(({ reason }) => {
        const seconds =
          reason._tag === "RateLimitExceeded" ? Duration.toMillis(reason.retryAfter) / 1000 : undefined
        return refusal("RATE_LIMITED", `more than ${limit} messages in a minute`, seconds)
      })
    )
  })
  return { take: (key, messages, limit) => (limit === 0 ? Effect.void : take(key, messages, limit)) }
})
