/** Where a session's deliveries go: what the actors need of a connection. */
import type { Batch } from "../protocol/Batch.ts"
import type { Frame } from "../protocol/Frame.ts"
import type { Session } from "./Session.ts"
import type { Subscription } from "./Subscription.ts"

export interface Outlet {
  /** Whether deliveries may be written; control frames always may. */
  readonly isWritable: boolean
  readonly deliver: (session: Session, subscription: Subscription, batch: Batch) => void
  readonly control: (frame: Frame) => void
  /** Has the subscription pumped when the outlet can be written to again, or at the end of the turn. */
  readonly pumpLater: (subscription: Subscription) => void
}
