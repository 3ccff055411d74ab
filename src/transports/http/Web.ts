/** What all requests share: the hub, its limits, and whether the web side is being closed. */
import { Context, type Effect } from "effect"
import type { Hub } from "../../actors/Hub.ts"
import type { JsonLimits } from "../../protocol/json/JsonLimits.ts"
import type { Auth } from "../../services/Auth.ts"
import type { Identity } from "../../services/auth/Identity.ts"
import type { Settings } from "../../services/Settings.ts"
import type { Afterwards } from "./Afterwards.ts"
import type { Deadlines } from "./Deadlines.ts"
import type { HttpPublisher } from "./HttpPublisher.ts"
import type { PollBodies } from "./PollAnswer.ts"
import type { PollClients } from "./PollClients.ts"
import type { PolledTexts } from "./PolledTexts.ts"
import type { PollMemory } from "./PollMemory.ts"
import type { PublishGathering } from "./PublishGathering.ts"
import type { UnreadAnswers } from "./UnreadAnswers.ts"

/** Who waits for something that may never come, and is told when the hub stops. */
export interface Waiting {
  readonly hubStops: () => void
}

export class WebState {
  /** From the moment at which the hub is to stop. */
  isDraining = false
  /** Whether the hub cannot go on. */
  hasFailed = false
  readonly startedAt: number
  readonly waiting = new Set<Waiting>()

  constructor(startedAt: number) {
    this.startedAt = startedAt
  }

  drain(): void {
    this.isDraining = true
    for (const each of [...this.waiting]) each.hubStops()
  }
}

export class Web extends Context.Service<
  Web,
  {
    readonly hub: Hub["Service"]
    readonly auth: Auth["Service"]
    readonly settings: Settings["Service"]
    readonly state: WebState
    /** Publishes many messages of one request. */
    readonly publisher: HttpPublisher
    /** Publishes single messages, of many requests together. */
    readonly gathering: PublishGathering
    readonly deadlines: Deadlines
    readonly afterwards: Afterwards
    readonly clients: PollClients
    readonly memory: PollMemory
    readonly texts: PolledTexts
    readonly bodies: PollBodies
    readonly unread: UnreadAnswers
    /** What a request of this identity may hold. */
    readonly limitsOf: (identity: Identity) => JsonLimits
    readonly now: Effect.Effect<number>
  }
>()("polestar/transports/http/Web") {}
