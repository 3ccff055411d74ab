/** What a publisher stands on: the connection that it sends to, its limits, and the client that it is part of. */

import type { ConnectionWindow } from "./ConnectionWindow.ts"
import type { Counters } from "./Counters.ts"
import type { Timers } from "./Timers.ts"
import type { FrameLimits } from "./TopicLane.ts"

/** Where frames go: a connection on which the session was opened under the number `session`. */
export interface OutboundLink extends FrameLimits {
  readonly session: number
  /** Ends the connection if the hub has been silent for `limit` ms while it owed an answer; answers when to look again. */
  readonly endIfSilent: (since: number, limit: number) => number
  readonly sendBytes: (bytes: Uint8Array) => void
  /** Has `writeTo` called at the end of the turn, or when the connection takes more again. */
  readonly requestTurn: () => void
}

export interface OutboundOptions {
  readonly queueSize: number
  readonly queueBytes: number
  readonly whenFull: "wait" | "fail"
  readonly maxRetries: number
  /** Milliseconds that a silent hub is waited for. */
  readonly writeTimeout: number
  /** Shared by all sessions of the client. */
  readonly window: ConnectionWindow
  readonly timers: Timers
  readonly counters: Counters
}
