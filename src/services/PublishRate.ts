/**
 * How many messages one client may publish in a minute, by whatever it publishes: one count for all transports. It is
 * kept in this process, and asked in the turn in which the messages come.
 */
import { Clock, Effect } from "effect"
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
   * The same as `take` for messages that cannot be told apart, which may be more than the limit: they are taken if
   * nothing of the share is, and then as many minutes must pass as they are shares.
   */
  readonly takeWhole: (key: string, messages: number, limit: number) => number | undefined
}

/**
 * Clients that are remembered, which the library's limiter in memory does not bound. Beyond that, those that did not ask
 * while half as many others came are forgotten, and have their whole share again.
 */
const maxClients = 100_000

const minute = 60_000

interface Share {
  /** In the window. */
  taken: number
  /**
   * The end of the window, by a clock that nobody sets: a window ends when its debt is paid, which is what was taken in
   * it at the rate of the limit. Until then nothing comes back; then all of it does.
   */
  until: number
}

class Shares {
  private readonly clock: Clock.Clock
  private recent = new Map<string, Share>()
  private older = new Map<string, Share>()

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  of(key: string): Share {
    const now = this.now()
    const share = this.recent.get(key) ?? this.remembered(key)
    if (share.until > now) return share
    share.taken = 0
    share.until = now
    return share
  }

  take(share: Share, messages: number, limit: number): void {
    share.taken += messages
    share.until += (messages * minute) / limit
  }

  private remembered(key: string): Share {
    const share = this.older.get(key) ?? { taken: 0, until: 0 }
    if (this.recent.size >= maxClients / 2) {
      this.older = this.recent
      this.recent = new Map()
    }
    this.recent.set(key, share)
    return share
  }
}

export const makePublishRate: Effect.Effect<PublishRate> = Effect.map(Clock.Clock, (clock) => {
  const shares = new Shares(clock)
  /** `messages` are to fit in what is left, and `counted` are taken. */
  const takeIfLeft = (key: string, messages: number, limit: number, counted: number): number | undefined => {
    const share = shares.of(key)
    if (messages > limit) return minute
    if (share.taken + messages > limit) return share.until - shares.now()
    shares.take(share, counted, limit)
    return undefined
  }
  return {
    take: (key, messages, limit) => (limit === 0 ? undefined : takeIfLeft(key, messages, limit, messages)),
    takeSome: (key, messages, limit) => {
      if (limit === 0 || messages === 0) return { taken: messages, wait: undefined }
      const share = shares.of(key)
      const taken = Math.min(messages, Math.max(0, limit - share.taken))
      shares.take(share, taken, limit)
      return { taken, wait: taken === messages ? undefined : share.until - shares.now() }
    },
    takeWhole: (key, messages, limit) =>
      limit === 0 ? undefined : takeIfLeft(key, Math.min(messages, limit), limit, messages)
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
