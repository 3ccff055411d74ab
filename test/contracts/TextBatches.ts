/** Batches of texts, and their owner, for the tests of what keeps them. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { Batch, type BatchOwner, Slab } from "../../src/protocol/Batch.ts"
import { ByteWriter, decodeText, encodeText } from "../../src/protocol/Bytes.ts"
import type { Message } from "../../src/protocol/Message.ts"
import { encodePublish, forEachMessage } from "../../src/protocol/Publish.ts"
import type { LogOwner, Lost, MessageLogError } from "../../src/services/MessageLog.ts"

export type Told =
  | { readonly _tag: "stored" | "held"; readonly batch: Batch }
  | { readonly _tag: "refused"; readonly batch: Batch; readonly error: MessageLogError }

/** A topic that writes down what its log tells it. */
export class RecordingOwner implements LogOwner {
  readonly name: string
  readonly slab = new Slab()
  delivered = 0
  dropped = 0
  /** In the order in which it was told. */
  readonly told = new Map<Batch, Told>()
  /** Called at each of them. */
  listener: (told: Told) => void = () => {}
  private readonly waiting = new Map<Batch, (outcome: Effect.Effect<Batch, MessageLogError>) => void>()

  constructor(name: string) {
    this.name = name
  }

  stored(batch: Batch): void {
    this.tell({ _tag: "stored", batch })
  }

  held(batch: Batch): void {
    this.tell({ _tag: "held", batch })
  }

  refused(batch: Batch, error: MessageLogError): void {
    this.tell({ _tag: "refused", batch, error })
  }

  /** Waits until the log has told what became of the batch. */
  outcome(batch: Batch): Effect.Effect<Batch, MessageLogError> {
    return Effect.callback((resume) => {
      const told = this.told.get(batch)
      if (told !== undefined) resume(outcomeOf(told))
      else this.waiting.set(batch, resume)
    })
  }

  private tell(told: Told): void {
    assert.isFalse(this.told.has(told.batch), "a batch is told of once")
    this.told.set(told.batch, told)
    this.listener(told)
    this.waiting.get(told.batch)?.(outcomeOf(told))
    this.waiting.delete(told.batch)
  }
}

const outcomeOf = (told: Told): Effect.Effect<Batch, MessageLogError> =>
  told._tag === "refused" ? Effect.fail(told.error) : Effect.succeed(told.batch)

export const ownerOf = (name: string): RecordingOwner => new RecordingOwner(name)

/** A batch of PUBLISH frames with these messages, not yet placed. */
export const messageBatch = (
  owner: BatchOwner,
  frames: ReadonlyArray<ReadonlyArray<Message>>,
  timestamp = 0
): Batch => {
  const writer = new ByteWriter()
  frames.forEach((messages, index) => {
    encodePublish(writer, { session: 1, sequence: index + 1, topic: owner.name }, messages)
  })
  const bytes = writer.written().slice()
  const batch = new Batch(owner, bytes, 0, bytes.length, frames.flat().length, 0, "someone")
  batch.timestamp = timestamp
  return batch
}

export const textBatch = (
  owner: BatchOwner,
  frames: ReadonlyArray<ReadonlyArray<string>>,
  timestamp = 0
): Batch =>
  messageBatch(
    owner,
    frames.map((texts) => texts.map((text) => ({ payload: encodeText(text) }))),
    timestamp
  )

/** What was read, of which nothing may be lost. */
export const whole = (read: ReadonlyArray<Batch | Lost>): ReadonlyArray<Batch> =>
  read.map((each) => {
    assert.instanceOf(each, Batch, "messages were lost")
    return each
  })

/** The texts of batches in their order, as `offset:text`; offsets may be left out. */
export const scatteredTexts = (read: ReadonlyArray<Batch | Lost>): ReadonlyArray<string> => {
  const texts: Array<string> = []
  for (const batch of whole(read)) {
    const isWhole = forEachMessage(
      batch.bytes,
      batch.start,
      batch.end,
      batch.skip,
      batch.count,
      (message, index) => {
        texts.push(`${batch.offset + index}:${decodeText(message.payload)}`)
      }
    )
    assert.isTrue(isWhole)
  }
  return texts
}

/** The same, checking that the offsets follow each other. */
export const placedTexts = (read: ReadonlyArray<Batch | Lost>): ReadonlyArray<string> => {
  let expected: number | undefined
  for (const batch of whole(read)) {
    assert.strictEqual(batch.offset, expected ?? batch.offset)
    expected = batch.offset + batch.count
  }
  return scatteredTexts(read)
}
