/** What a client may publish in a minute, for requests: what is too much is refused with the time to wait. */
import { Effect } from "effect"
import type { Identity } from "../../services/auth/Identity.ts"
import { rateLimitOf } from "../../services/PublishRate.ts"
import { type Refusal, refusal } from "./Refusal.ts"
import type { Web } from "./Web.ts"

export interface PublishLimit {
  /** Takes so many messages of the client's share, or fails with the time to wait. */
  readonly take: (messages: number) => Effect.Effect<void, Refusal>
  /** Takes as many as are left, and answers how many, and why the rest is refused. */
  readonly takeSome: (
    messages: number
  ) => Effect.Effect<{ readonly taken: number; readonly refused: Refusal | undefined }>
}

/** Of the identity, whose share has the key that `limitKeyOf` answers; none where there is no limit. */
export const publishLimitOf = (
  { hub: { rate }, settings }: Web["Service"],
  identity: Identity,
  key: string
): PublishLimit | undefined => {
  const limit = rateLimitOf(identity, settings.rateLimitPerClient)
  if (limit === 0) return undefined
  const tooMany = (wait: number): Refusal =>
    refusal("RATE_LIMITED", `more than ${limit} messages in a minute`, wait / 1000)
  return {
    take: (messages) =>
      Effect.suspend(() => {
        const wait = rate.take(key, messages, limit)
        return wait === undefined ? Effect.void : Effect.fail(tooMany(wait))
      }),
    takeSome: (messages) =>
      Effect.sync(() => {
        const { taken, wait } = rate.takeSome(key, messages, limit)
        return { taken, refused: wait === undefined ? undefined : tooMany(wait) }
      })
  }
}
