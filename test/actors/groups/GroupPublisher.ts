/** Who publishes in a run of a schedule: after each crash it sends again what has no answer, and it judges its receipts. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { encodeText } from "../../../src/protocol/Bytes.ts"
import type { WireClient, WireClientError } from "../WireClient.ts"
import type { GroupModel } from "./GroupModel.ts"

export interface Content {
  readonly topic: string
  readonly texts: ReadonlyArray<string>
  readonly key: string | undefined
  readonly id: string | undefined
  readonly priority: number
}

interface Frame extends Content {
  readonly sequence: number
  state: "sent" | "stored" | "duplicate" | "rejected"
  offset: number
}

export class GroupPublisher {
  wire: WireClient
  private readonly frames: Array<Frame> = []
  private readonly model: GroupModel

  constructor(wire: WireClient, model: GroupModel) {
    this.wire = wire
    this.model = model
  }

  get nextSequence(): number {
    return this.frames.length + 1
  }

  /** What was published and has an id. */
  get known(): ReadonlyArray<Content> {
    return this.frames.filter(({ id }) => id !== undefined)
  }

  publish({ id, key, priority, texts, topic }: Content): void {
    const frame: Frame = {
      sequence: this.nextSequence,
      topic,
      texts,
      key,
      id,
      priority,
      state: "sent",
      offset: -1
    }
    this.frames.push(frame)
    this.send(frame, false)
  }

  /** Goes on with another connection. */
  reconnected(wire: WireClient): Effect.Effect<void, WireClientError> {
    return Effect.gen({ self: this }, function* () {
      this.wire = wire
      // One at a time, so that each has its own receipt.
      for (const frame of this.frames) {
        if (frame.state !== "sent") continue
        this.send(frame, true)
        yield* wire.settled
      }
    })
  }

  readReceipts(): void {
    for (const receipt of this.wire.takeAll("Receipt")) {
      const { count, duplicate, firstSequence, lastSequence, position } = receipt
      assert.strictEqual(firstSequence, lastSequence)
      const frame = this.frames[firstSequence - 1]!
      if (frame.state !== "sent") continue
      frame.state = duplicate ? "duplicate" : "stored"
      if (duplicate) continue
      assert.strictEqual(count, frame.texts.length)
      frame.offset = position.offset
      for (const [index, text] of frame.texts.entries())
        this.model.stored(frame.topic, position.offset + index, text)
    }
    for (const { firstSequence } of this.wire.takeAll("Rejected"))
      this.frames[firstSequence - 1]!.state = "rejected"
  }

  /** What the topic's log must have, each text once, and how many frames have no answer. */
  texts(topic: string): { readonly stored: ReadonlySet<string>; readonly unsettled: number } {
    const own = this.frames.filter((frame) => frame.topic === topic)
    const stored = own.filter(({ state }) => state === "stored" || state === "duplicate")
    return {
      stored: new Set(stored.flatMap(({ texts }) => texts)),
      unsettled: own.filter(({ state }) => state === "sent").length
    }
  }

  /** Offsets of the frames that have one, in the order in which they were published. */
  offsets(topic: string): ReadonlyArray<number> {
    return this.frames
      .filter((frame) => frame.topic === topic && frame.state === "stored")
      .map(({ offset }) => offset)
  }

  private send({ id, key, priority, sequence, texts, topic }: Frame, resent: boolean): void {
    const messages = texts.map((text) => ({
      payload: encodeText(text),
      ...(key === undefined ? {} : { key }),
      ...(id === undefined ? {} : { id })
    }))
    this.wire.publish(topic, messages, { sequence, receipt: true, resent, priority })
  }
}
