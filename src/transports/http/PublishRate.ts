/** The hub's count of what a client publishes, for requests: what is too much is refused with the time to wait. */
import { Effect } from "effect"
import type { PublishRate as HubRate } from "../../services/PublishRate.ts"
import { type Refusal, refusal } from "./Refusal.ts"

export interface PublishRate {
  /** Takes so many messages of the client's share, or fails with the time to wait. `limit` is messages a minute; 0 is none. */
  readonly take: (key: string, messages: number, limit: number) => Effect.Effect<void, Refusal>
  /** Takes as many as are left, and answers how many, and why the rest is refused. */
  readonly takeSome: (
    key: string,
    messages: number,
    limit: number
  ) => Effect.Effect<{ readonly taken: number; readonly refused: Refusal | undefined }>
}

const tooMany = (limit: number, wait: number): Refusal =>
  refusal("RATE_LIMITED", `more than ${limit} messages in a minute`, wait / 1000)

export const publishRate = (rate: HubRate): PublishRate => ({
  take: (key, messages, limit) =>
    Effect.suspend(() => {
      const wait = rate.take(key, messages, limit)
      return wait === undefined ? Effect.void : Effect.fail(tooMany(limit, wait))
    }),
  takeSome: (key, messages, limit) =>
    Effect.sync(() => {
      const { taken, wait } = rate.takeSome(key, messages, limit)
      return { taken, refused: wait === undefined ? undefined : tooMany(limit, wait) }
    })
})
