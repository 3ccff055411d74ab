/** A lane as a map from offsets to states, to compare the real one with: nothing in it is fast, and nothing clever. */
import type { EntryState, LaneRules } from "../../../src/actors/groups/Lane.ts"
import type { Fate } from "../../../src/protocol/Position.ts"

export interface ModelMessage {
  state: EntryState
  failures: number
  until: number
  member: string | undefined
  error: string
  isAtHand: boolean
  isKeyKnown: boolean
  priority: number
}

/** What the log knows of a message. */
export interface LoggedMessage {
  readonly key: string | undefined
  readonly priority: number
}

export class LaneModel {
  readonly rules: LaneRules
  readonly log: ReadonlyMap<number, LoggedMessage>
  readonly messages = new Map<number, ModelMessage>()
  next = 0

  constructor(rules: LaneRules, log: ReadonlyMap<number, LoggedMessage>) {
    this.rules = rules
    this.log = log
  }

  get offsets(): ReadonlyArray<number> {
    return [...this.messages.keys()].sort((a, b) => a - b)
  }

  get floor(): number {
    return this.offsets[0] ?? this.next
  }

  get nextDue(): number {
    return Math.min(Infinity, ...[...this.messages.values()].filter(isTimed).map(({ until }) => until))
  }

  count(state: EntryState): number {
    return [...this.messages.values()].filter((each) => each.state === state).length
  }

  push(offset: number, count: number): void {
    for (let at = offset; at < offset + count; at++) {
      const message = this.fresh(at)
      message.isAtHand = true
      message.isKeyKnown = true
      message.priority = this.log.get(at)!.priority
    }
    this.next = offset + count
  }

  peek(): number | undefined {
    let best: number | undefined
    let unknown: number | undefined
    for (const offset of this.offsets) {
      const message = this.messages.get(offset)!
      if (message.state !== "ready") continue
      if (!message.isKeyKnown) unknown ??= offset
      else if (!this.isBlocked(offset, false)) {
        if (best === undefined || message.priority > this.messages.get(best)!.priority) best = offset
      }
    }
    return unknown !== undefined && (best === undefined || best > unknown) ? unknown : best
  }

  /** Whether the order of its key forbids to deliver it; `strictly`: also for keys that the lane cannot know. */
  isBlocked(offset: number, strictly: boolean): boolean {
    const key = this.log.get(offset)!.key
    if (this.rules.order === "any" || key === undefined) return false
    return [...this.messages].some(
      ([other, { state, isKeyKnown }]) =>
        other !== offset &&
        (strictly || isKeyKnown) &&
        this.log.get(other)!.key === key &&
        (state === "flying" || (other < offset && state !== "parked"))
    )
  }

  /** Messages of an entry that were given `from` to before `to` of the log. */
  supply(offset: number, count: number, from: number, to: number): number {
    if (to <= offset) return 0
    const lost = this.acknowledge(offset, Math.min(from, offset + count))
    this.each(Math.max(offset, from), to, (message, at) => {
      if (message.state !== "ready" || message.isAtHand) return
      message.isAtHand = true
      message.isKeyKnown = true
      message.priority = this.log.get(at)!.priority
    })
    return lost
  }

  give(offset: number, count: number, member: string, until: number): void {
    this.each(offset, offset + count, (message) => this.move(message, "flying", until, member))
  }

  acknowledge(from: number, to: number): number {
    return this.each(from, to, (_, offset) => this.messages.delete(offset))
  }

  refuse(
    from: number,
    to: number,
    member: string,
    fate: Fate,
    now: number,
    delay: number | undefined,
    error: string
  ): number {
    let refused = 0
    this.each(from, to, (message) => {
      if (message.state !== "flying" || message.member !== member) return
      refused++
      if (fate === "back") this.move(message, "ready")
      else if (fate === "hold") message.until = now + (delay ?? 0)
      else this.fail(message, fate, now, delay, error)
    })
    return refused
  }

  leave(member: string, now: number, isFailure: boolean, error: string): number {
    let left = 0
    this.each(0, this.next, (message) => {
      if (message.state !== "flying" || message.member !== member) return
      left++
      if (isFailure) this.fail(message, "again", now, 0, error)
      else this.move(message, "ready")
    })
    return left
  }

  expire(now: number): number {
    let changed = 0
    this.each(0, this.next, (message) => {
      if (!isTimed(message) || message.until > now) return
      changed++
      if (message.state === "flying")
        this.fail(message, "again", now, undefined, "the acknowledgement wait ran out")
      else this.move(message, "ready")
    })
    return changed
  }

  release(): number {
    let released = 0
    this.each(0, this.next, (message) => {
      if (message.state !== "parked") return
      released++
      this.move(message, "ready")
    })
    return released
  }

  requeue(offset: number): boolean {
    if (offset >= this.next || this.messages.has(offset)) return false
    this.fresh(offset)
    return true
  }

  crash(): void {
    for (const message of this.messages.values()) {
      if (message.state === "flying") this.move(message, "ready")
      message.isAtHand = false
      if (message.state === "ready") message.isKeyKnown = this.rules.order === "any"
    }
  }

  private fresh(offset: number): ModelMessage {
    const message: ModelMessage = {
      state: "ready",
      failures: 0,
      until: 0,
      member: undefined,
      error: "",
      isAtHand: false,
      isKeyKnown: this.rules.order === "any",
      priority: 0
    }
    this.messages.set(offset, message)
    return message
  }

  private each(from: number, to: number, f: (message: ModelMessage, offset: number) => void): number {
    const within = this.offsets.filter((offset) => from <= offset && offset < to)
    for (const offset of within) f(this.messages.get(offset)!, offset)
    return within.length
  }

  private move(message: ModelMessage, state: EntryState, until = 0, member?: string): void {
    message.state = state
    message.until = until
    message.member = member
    message.isAtHand = false
  }

  private fail(
    message: ModelMessage,
    fate: Fate,
    now: number,
    delay: number | undefined,
    error: string
  ): void {
    const { maxDeliveries, backoff, maxBackoff } = this.rules
    message.failures++
    message.error = error
    const wait = delay ?? Math.min(maxBackoff, backoff * 2 ** (message.failures - 1))
    if (fate === "dead" || (maxDeliveries > 0 && message.failures >= maxDeliveries))
      this.move(message, "dying", now)
    else if (fate === "park") this.move(message, "parked")
    else if (wait > 0) this.move(message, "waiting", now + wait)
    else this.move(message, "ready")
  }
}

const isTimed = ({ state }: ModelMessage): boolean => state === "flying" || state === "waiting"
