/** What the handling of a client's frames needs of whoever carries them: a socket, or a transport in this process. */
import type { Deferred, Effect } from "effect"
import type { CloseReason } from "../protocol/CloseReason.ts"
import type { ErrorCode } from "../protocol/ErrorCode.ts"
import type { FrameOf } from "../protocol/Frame.ts"
import type { Auth } from "../services/Auth.ts"
import type { PublishRate } from "../services/PublishRate.ts"
import type { Connections } from "./Connections.ts"
import type { Groups } from "./groups/Groups.ts"
import type { Outlet } from "./Outlet.ts"
import type { Peer, Refusals } from "./Refusals.ts"
import type { Registry } from "./Registry.ts"
import type { Session, SessionOwner } from "./Session.ts"

export interface ConnectionOptions {
  readonly registry: Registry
  readonly groups: Groups
  readonly connections: Connections
  readonly refusals: Refusals
  readonly rate: PublishRate
  /** Says who a client is. */
  readonly auth: Auth["Service"]
  readonly hubId: string
  /** The longest frame that a client may send, and the largest payload in it, in bytes. */
  readonly maxFrame: number
  readonly maxMessage: number
  /** Answers a REQUEST with the bytes of JSON, or with what is wrong with it. */
  readonly answer: (method: string, body: Uint8Array, peer: Peer) => Effect.Effect<Uint8Array, ErrorCode>
}

/** A client as its hub sees it. */
export interface Served extends Peer {
  /** What the client calls itself; empty if it does not say. */
  readonly name: string
  /** Why it ended, once it has. */
  readonly reason: CloseReason
  readonly sessions: ReadonlyMap<number, Session>
  /** Whether something was delivered that the client has not taken. */
  readonly isWaiting: boolean
  /** While the hub drains, nothing is taken any more. */
  isDraining: boolean
  /** Done when nothing more goes out. */
  readonly gone: Deferred.Deferred<void>
  /** Says why, and ends. */
  readonly end: (reason: CloseReason) => void
  /** To be called at intervals: ends it if the peer neither took nor sent anything since the last time. */
  readonly checkWriting: () => void
}

export interface FrameHost extends Peer, SessionOwner {
  readonly options: ConnectionOptions
  readonly writer: Outlet
  readonly sessions: Map<number, Session>
  /** Whether the groups that it joins stand for a `client_id`. */
  readonly hasClientGroups: boolean
  /** Whether it has said hello. */
  readonly welcomed: boolean
  readonly isDraining: boolean
  /** Calls back with whose the token is, now or later; ends the connection if it is nobody's. */
  readonly authenticate: (token: string, accepted: () => void) => void
  readonly welcome: (name: string) => void
  readonly requests: { readonly take: (frame: FrameOf<"Request">) => void }
}
