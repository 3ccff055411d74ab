/**
 * What a connection does with a client's PUBLISH frames: they are gathered by topic, each topic is handed one batch,
 * and what a full topic does not take waits in a bounded backlog. What may not be published is answered by REJECTED.
 */
import type { Scope } from "effect"
import type { CloseReason } from "../protocol/CloseReason.ts"
import { type ErrorCode, errorMessage } from "../protocol/ErrorCode.ts"
import type { Identity } from "../services/auth/Identity.ts"
import { type PublishShare, publishShareOf } from "../services/PublishRate.ts"
import { Backlog } from "./Backlog.ts"
import type { FrameHost } from "./FrameHost.ts"
import { PublishGatherer } from "./PublishGatherer.ts"

export interface PublishHost extends FrameHost {
  /** What is refused before it has been read is of no topic that is known. */
  readonly rejected: (code: ErrorCode, messages: number, topic?: string) => void
}

export class PublishFrames {
  /** What waits for topics that are full. */
  readonly backlog: Backlog
  private readonly host: PublishHost
  private readonly gatherer: PublishGatherer
  /** What the client may publish in a minute; `undefined` where there is no limit. */
  private share: PublishShare | undefined

  /** What waits when the scope closes is let go of. */
  constructor(host: PublishHost, scope: Scope.Scope) {
    const { maxMessage, registry } = host.options
    this.host = host
    this.backlog = new Backlog(registry, scope)
    this.gatherer = new PublishGatherer(registry, maxMessage)
  }

  /** To be called before the first frame, once it is known who the client is. */
  identify(identity: Identity): void {
    this.gatherer.identify(identity)
    this.share = this.shareOf(identity)
  }

  /** Takes a frame; answers why the connection must end, if it must. */
  handle(bytes: Uint8Array, start: number, end: number): CloseReason | undefined {
    const { gatherer, host } = this
    if (!gatherer.read(bytes, start, end)) return "protocol-error"
    const { count, sequence, session: number } = gatherer.header
    const session = host.sessions.get(number)
    const code = host.isDraining
      ? "shutting-down"
      : session === undefined
        ? "unknown-session"
        : this.share?.isOver(count) === true
          ? "rate-limited"
          : gatherer.add(session, bytes, start, end)
    if (code === undefined) return undefined
    gatherer.rejected()
    host.rejected(code, count)
    host.writer.control({
      _tag: "Rejected",
      session: number,
      firstSequence: sequence,
      lastSequence: sequence,
      code,
      message: errorMessage(code)
    })
    return undefined
  }

  /** Gives the topics what was gathered. */
  handOver(): void {
    const { batches, topics } = this.gatherer
    if (batches.length === 0) return
    for (let i = 0; i < batches.length; i++) {
      const topic = topics[i]!
      topic.gathering = undefined
      this.backlog.hand(topic, batches[i]!)
    }
    this.gatherer.clear()
  }

  /** Whoever is in this process is not limited. */
  private shareOf(identity: Identity): PublishShare | undefined {
    const { options, peer, transport } = this.host
    if (transport === "memory") return undefined
    return publishShareOf(options.rate, identity, peer, options.registry.settings.rateLimitPerClient)
  }
}
