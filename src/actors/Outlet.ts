/** Where a session's deliveries go: what the actors need of a connection. */
import type { Batch } from "../protocol/Batch.ts"
import type { Frame } from "../protocol/Frame.ts"
import type { Session } from "./Session.ts"

/** What a connection delivers for: a live subscription, or a member of a group. */
export interface Receiver {
  /** The client's number for it in its session. */
  readonly id: number
  /** Writes what waits, as far as it may. Answers whether the connection is full, so that it must be called again. */
  readonly pump: () => boolean
}

export interface Outlet {
  /** Whether deliveries may be written; control frames always may. */
  readonly isWritable: boolean
  /** `attempt` is which delivery of these messages to a group this is; absent for a live subscription. */
  readonly deliver: (session: Session, receiver: Receiver, batch: Batch, attempt?: number) => void
  readonly control: (frame: Frame) => void
  /** Has the receiver pumped when the outlet can be written to again, or at the end of the turn. */
  readonly pumpLater: (receiver: Receiver) => void
  /** A group that delivers here has read all that it can give for now: see `Group.isReading`. */
  readonly groupRead?: () => void
}
