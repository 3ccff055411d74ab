/**
 * Gathers the PUBLISH frames that one connection reads in a turn into one batch for each topic. Frames of a topic
 * that follow each other in the same chunk become a batch without a copy.
 */
import { Batch, Slab } from "../protocol/Batch.ts"
import type { ErrorCode } from "../protocol/ErrorCode.ts"
import { checkRecords } from "../protocol/Message.ts"
import { PatternSet } from "../protocol/PatternSet.ts"
import { PublishFlags, PublishHeader, readPublish } from "../protocol/Publish.ts"
import { decodeTopicName } from "../protocol/TopicName.ts"
import type { Identity } from "../services/auth/Identity.ts"
import type { Registry } from "./Registry.ts"
import type { Session } from "./Session.ts"
import type { Topic } from "./Topic.ts"
import { isNamed } from "./TopicIndex.ts"

/** A batch is not gathered beyond this; a single frame may be larger. */
const largestBatch = 262_144
/** Frames that do not follow each other in the same bytes are copied together up to this size. */
const largestCopied = 4096
/** Topics of which it is remembered whether the client may publish to them. */
const maxKnown = 10_000

export class PublishGatherer {
  /** What was gathered, in the order in which the batches began. */
  readonly batches: Array<Batch> = []
  readonly topics: Array<Topic> = []
  readonly header = new PublishHeader()
  private readonly registry: Registry
  private maxMessage: number
  private lastTopic: Topic | undefined
  private readonly slab = new Slab()
  private lastRejected = -1
  private allowed: PatternSet = PatternSet.everything
  /** Which of the topics that were asked for may be published to, where not all may. */
  private readonly known = new Map<string, boolean>()

  constructor(registry: Registry, maxMessage: number) {
    this.registry = registry
    this.maxMessage = maxMessage
  }

  /** What is gathered from now on is this identity's. */
  identify(identity: Identity): void {
    this.allowed = identity.publish
    this.maxMessage = Math.min(this.maxMessage, identity.limits.messageSize ?? this.maxMessage)
    this.known.clear()
  }

  /** Reads the header of a frame into `header`; `false` if it is not a PUBLISH frame. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    return readPublish(bytes, start, end, this.header)
  }

  /** Adds the frame whose header was just read. Answers why not, and then the frame leaves no trace. */
  add(session: Session, bytes: Uint8Array, start: number, end: number): ErrorCode | undefined {
    const header = this.header
    const records = checkRecords(bytes, header.records, end, header.count, this.maxMessage)
    if (records < 0) return records === -1 ? "malformed-batch" : "message-too-large"
    if (header.deliverAt !== 0 && this.registry.isTooFarOff(header.deliverAt)) return "delay-too-long"
    const topic = this.topicOf(bytes)
    if (typeof topic === "string") return topic
    const batch = topic.gathering
    if (batch !== undefined && this.mayExtend(batch, session, bytes, start, end)) {
      batch.extend(this.slab, bytes, start, end, header.count)
      batch.lastSequence = header.sequence
      batch.records |= records
      return undefined
    }
    this.begin(topic, session, bytes, start, end, records)
    return undefined
  }

  /** The frame whose header was just read is refused: no receipt may stand for it. */
  rejected(): void {
    this.lastRejected = this.header.sequence
  }

  /** To be called when what was gathered has been taken. */
  clear(): void {
    for (const topic of this.topics) topic.gathering = undefined
    this.topics.length = 0
    this.batches.length = 0
    this.lastTopic = undefined
    this.lastRejected = -1
  }

  private topicOf(bytes: Uint8Array): Topic | ErrorCode {
    const { topicEnd, topicStart } = this.header
    const last = this.lastTopic
    if (last !== undefined && isNamed(last.nameBytes, bytes, topicStart, topicEnd)) return last
    if (!this.allowed.isEverything && !this.isAllowed(bytes, topicStart, topicEnd)) return "forbidden"
    const topic = this.registry.topicOfBytes(bytes, topicStart, topicEnd)
    if (typeof topic !== "string") this.lastTopic = topic
    return topic
  }

  private isAllowed(bytes: Uint8Array, start: number, end: number): boolean {
    const name = decodeTopicName(bytes, start, end)
    if (typeof name !== "string") return true
    let allowed = this.known.get(name)
    if (allowed === undefined) {
      allowed = this.allowed.allowsTopic(name)
      if (this.known.size >= maxKnown) this.known.clear()
      this.known.set(name, allowed)
    }
    return allowed
  }

  /** Only what shares all attributes of a batch may join it, and only if one receipt can stand for both. */
  private mayExtend(batch: Batch, session: Session, bytes: Uint8Array, start: number, end: number): boolean {
    const header = this.header
    const follows = batch.isFollowedBy(bytes, start)
    return (
      batch.publisher === session &&
      batch.priority === header.priority &&
      header.ttl === 0 &&
      batch.expires === 0 &&
      header.deliverAt === 0 &&
      batch.holdUntil === 0 &&
      !batch.resent &&
      (header.flags & PublishFlags.resent) === 0 &&
      batch.wantsReceipt === ((header.flags & PublishFlags.receipt) !== 0) &&
      header.sequence > batch.lastSequence &&
      this.lastRejected <= batch.lastSequence &&
      batch.end - batch.start + end - start <= (follows ? largestBatch : largestCopied)
    )
  }

  private begin(
    topic: Topic,
    session: Session,
    bytes: Uint8Array,
    start: number,
    end: number,
    records: number
  ): void {
    const header = this.header
    const batch = new Batch(topic, bytes, start, end, header.count, header.priority, session.id)
    batch.publisher = session
    batch.incarnation = session.incarnation
    batch.holdUntil = header.deliverAt
    batch.firstSequence = header.sequence
    batch.lastSequence = header.sequence
    batch.expires = header.ttl
    batch.wantsReceipt = (header.flags & PublishFlags.receipt) !== 0
    batch.resent = (header.flags & PublishFlags.resent) !== 0
    batch.records = records
    batch.receivedAt = this.registry.system.nowFine()
    topic.gathering = batch
    this.batches.push(batch)
    this.topics.push(topic)
  }
}
