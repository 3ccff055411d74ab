/**
 * What is known from outside of the messages of a group, and what must be so of each delivery. Where a test cannot know
 * (a save that a crash took, a failure that the hub counted) it forgives; what it does claim always holds.
 */
import { assert } from "@effect/vitest"
import type { Received } from "../WireClient.ts"

export interface ModelRules {
  readonly order: "any" | "key"
  readonly maxDeliveries: number
  readonly maxInFlight: number
  readonly ackWait: number
}

export interface ModelMessage {
  readonly topic: string
  readonly offset: number
  readonly text: string
  readonly key: string | undefined
  /** Whether nothing was said of it that may have made it done, dead or parked. */
  isOpen: boolean
  /** Whether its acknowledgement was confirmed. */
  isAcked: boolean
  /** Whether it was acknowledged after its last delivery, confirmed or not. */
  isSaidDone: boolean
  /** Whether a member said that it is dead. */
  isCondemned: boolean
  lastAttempt: number
  deliveries: number
  /** While it is with a member for sure: until when, and whose it is. */
  flyingUntil: number
  member: unknown
}

const idOf = (topic: string, offset: number) => `${topic}:${offset}`

export class GroupModel {
  readonly messages = new Map<string, ModelMessage>()
  /** What has a receipt, by its place. */
  readonly receipts = new Map<string, string>()
  /** Of each topic, before which offset everything was acknowledged together; and where that was confirmed. */
  readonly saidFloors = new Map<string, number>()
  private readonly floors = new Map<string, number>()
  private readonly rules: ModelRules
  /** Order is no more looked at when what was parked is released. */
  isOrderChecked: boolean

  constructor(rules: ModelRules) {
    this.rules = rules
    this.isOrderChecked = rules.order === "key"
  }

  stored(topic: string, offset: number, text: string): void {
    const id = idOf(topic, offset)
    const before = this.receipts.get(id) ?? this.messages.get(id)?.text ?? text
    assert.strictEqual(text, before, `two messages at ${id}`)
    this.receipts.set(id, text)
  }

  find({ offset, topic }: Pick<Received, "topic" | "offset">): ModelMessage | undefined {
    return this.messages.get(idOf(topic, offset))
  }

  acknowledgedUpTo(topic: string, to: number): void {
    this.floors.set(topic, Math.max(to, this.floors.get(topic) ?? 0))
  }

  /** Whether it was acknowledged, and that was confirmed; it need not have been delivered for that. */
  isAcked({ offset, topic }: Pick<Received, "topic" | "offset">): boolean {
    return offset < (this.floors.get(topic) ?? 0) || this.find({ offset, topic })?.isAcked === true
  }

  /** Whether it was acknowledged since it was delivered last, so that it need not have come again. */
  mayBeDone({ offset, topic }: Pick<Received, "topic" | "offset">): boolean {
    return offset < (this.saidFloors.get(topic) ?? 0) || this.find({ offset, topic })?.isSaidDone === true
  }

  /** `since` is when nothing of this had been delivered yet. */
  delivered(received: Received, member: unknown, since: number, now: number): void {
    const { attempt, key, offset, text, topic } = received
    const id = idOf(topic, offset)
    const known = this.receipts.get(id)
    assert.strictEqual(text, known ?? text, `${id} is another message`)
    const message: ModelMessage = this.messages.get(id) ?? {
      topic,
      offset,
      text,
      key,
      isOpen: true,
      isAcked: false,
      isSaidDone: false,
      isCondemned: false,
      lastAttempt: 0,
      deliveries: 0,
      flyingUntil: 0,
      member: undefined
    }
    this.messages.set(id, message)
    assert.isFalse(this.isAcked(message), `${text} came after its acknowledgement was confirmed`)
    const { maxDeliveries } = this.rules
    if (maxDeliveries > 0) assert.isAtMost(attempt, maxDeliveries, `${text} came too often`)
    assert.isAbove(attempt, 0)
    if (this.isOrderChecked && key !== undefined) this.checkOrder(message, now)
    assert.isTrue(message.flyingUntil <= now, `${text} is with a member already`)
    message.isOpen = true
    message.isSaidDone = false
    message.lastAttempt = Math.max(message.lastAttempt, attempt)
    message.deliveries++
    message.flyingUntil = since + this.rules.ackWait
    message.member = member
    const flying = [...this.messages.values()].filter(({ flyingUntil }) => flyingUntil > now).length
    assert.isAtMost(flying, this.rules.maxInFlight, "too many are in flight")
  }

  /** It is with nobody any more, for all that is known. */
  landed(message: ModelMessage): void {
    message.flyingUntil = 0
    message.member = undefined
  }

  /** A member is gone: whatever it had. */
  left(member: unknown): void {
    for (const message of this.messages.values()) if (message.member === member) this.landed(message)
  }

  crashed(): void {
    for (const message of this.messages.values()) this.landed(message)
  }

  mayBeDead({ isCondemned, lastAttempt }: ModelMessage): boolean {
    const { maxDeliveries } = this.rules
    return isCondemned || (maxDeliveries > 0 && lastAttempt >= maxDeliveries)
  }

  private checkOrder(message: ModelMessage, now: number): void {
    for (const other of this.messages.values()) {
      if (other === message || other.topic !== message.topic || other.key !== message.key) continue
      assert.isTrue(other.flyingUntil <= now, `${message.text} came while ${other.text} is with a member`)
      const isBefore = other.offset < message.offset
      if (isBefore && other.isOpen && !this.mayBeDead(other))
        assert.fail(`${message.text} came before ${other.text}, which is not done`)
    }
  }
}
