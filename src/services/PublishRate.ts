/**
 * How many messages one client may publish in a minute, by whatever it publishes: one count for all transports. It is
 * kept in this process, and asked in the turn in which the messages come.
 */
import { Duration, Effect, Exit } from "effect"
import { RateLimiter } from "effect/persistence"
import { type Identity, identityKey } from "./auth/Identity.ts"

export interface PublishRate {
  /**
   * Takes so many messages of the client's share, or none, and answers the milliseconds to wait. `limit` is messages a
   * minute; 0 is none.
   */
  readonly take: (key: string, messages: number, limit: number) => number | undefined
  /** As many of so many messages as are left of the share, and, unless that is all, the milliseconds to wait for more. */
  readonly takeSome: (
    key: string,
    messages: number,
    limit: number
  ) => { readonly taken: number; readonly wait: number | undefined }
  /**
   * The same as `take` for messages that cannot be told apart, which may be more than the limit: they are taken if nothing of the
   * share is, and then as many minutes must pass as they are shares.
   */
  readonly takeWhole: (key: string, messages: number, limit: number) => number | undefined
}

/** Clients that are remembered; beyond that all begin anew, which is seldom and harmless. */
const maxClients = 100_000

const minute = 60_000

const makeLimiter = Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory)

export const makePublishRate: Effect.Effect<PublishRate> = Effect.gen(function* () {
  const context = yield* Effect.context<never>()
  // Neither making one nor asking it waits for anything.
  const runSync = Effect.runSyncExitWith(context)
  const begin = () => Effect.runSyncWith(context)(makeLimiter)
  let limiter = begin()
  const clients = new Set<string>()
  const remember = (key: string) => {
    if (clients.has(key)) return
    if (clients.size >= maxClients) {
      clients.clear()
      limiter = begin()
    }
    clients.add(key)
  }
  const consume = (
    key: string,
    tokens: number,
    limit: number,
    onExceeded: "fail" | "delay"
  ): { readonly wait: number | undefined; readonly left: number } => {
    const taking = limiter.consume({ key, limit, tokens, window: minute, onExceeded })
    const exit = runSync(
      Effect.match(taking, {
        onSuccess: ({ remaining }) => ({ wait: undefined, left: remaining }),
        onFailure: ({ reason }) => ({
          wait: reason._tag === "RateLimitExceeded" ? Duration.toMillis(reason.retryAfter) : minute,
          left: 0
        })
      })
    )
    return Exit.isSuccess(exit) ? exit.value : { wait: minute, left: 0 }
  }
  const take: PublishRate["take"] = (key, messages, limit) => {
    if (limit === 0) return undefined
    remember(key)
    return consume(key, messages, limit, "fail").wait
  }
  return {
    take,
    takeSome: (key, messages, limit) => {
      if (limit === 0 || messages === 0) return { taken: messages, wait: undefined }
      remember(key)
      // How many are left is only said to whoever takes one.
      const { left, wait } = consume(key, 1, limit, "fail")
      if (wait !== undefined) return { taken: 0, wait }
      const more = Math.min(messages - 1, left)
      if (more > 0) consume(key, more, limit, "fail")
      const isAll = more === messages - 1
      return { taken: more + 1, wait: isAll ? undefined : (consume(key, 1, limit, "fail").wait ?? minute) }
    },
    takeWhole: (key, messages, limit) => {
      const wait = take(key, Math.min(messages, limit), limit)
      if (wait === undefined && limit > 0 && messages > limit) consume(key, messages - limit, limit, "delay")
      return wait
    }
  }
})

/** What one connection may publish of its client's share, asked for each frame. */
export interface PublishShare {
  readonly isOver: (messages: number) => boolean
}

/** The share of whoever is at `peer` (`127.0.0.1:50312`); none where there is no limit. */
export const publishShareOf = (
  rate: PublishRate,
  identity: Identity,
  peer: string,
  rateLimitPerClient: number
): PublishShare | undefined => {
  const limit = rateLimitOf(identity, rateLimitPerClient)
  if (limit === 0) return undefined
  const key = limitKeyOf(identity, addressOf(peer))
  return { isOver: (messages) => rate.takeWhole(key, messages, limit) !== undefined }
}

/** Messages a minute that the identity may publish: as it says itself, else as the settings say of everybody. */
export const rateLimitOf = ({ limits }: Identity, rateLimitPerClient: number): number =>
  limits.messagesPerMinute ?? rateLimitPerClient

/** Whose share it is: the identity's, or everyone's at an address. Of IPv6 a network counts as one address. */
export const limitKeyOf = (identity: Identity, address: string | undefined): string => {
  if (identity.kind !== "anonymous") return identityKey(identity)
  if (address === undefined) return "ip:?"
  const isMapped = address.startsWith("::ffff:")
  if (isMapped || !address.includes(":")) return `ip:${isMapped ? address.slice(7) : address}`
  return `ip:${networkOf(address)}`
}

/** The address in `127.0.0.1:50312`. */
export const addressOf = (peer: string): string => peer.slice(0, peer.lastIndexOf(":"))

/** The first 64 bits, as text. */
const networkOf = (address: string): string => {
  const [left = "", right] = address.split("::")
  const head = left === "" ? [] : left.split(":")
  const tail = right === undefined || right === "" ? [] : right.split(":")
  const middle = new Array<string>(Math.max(0, 8 - head.length - tail.length)).fill("0")
  return [...head, ...(right === undefined ? [] : middle), ...tail].slice(0, 4).join(":")
}
