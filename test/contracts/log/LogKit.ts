/** What the tests of a log's engines do with it, whether it keeps a batch at once or later. */
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import type { Batch } from "../../../src/protocol/Batch.ts"
import {
  type Held,
  MessageLog,
  type MessageLogError,
  type TopicLog
} from "../../../src/services/MessageLog.ts"
import { patience } from "../../Patience.ts"
import { messageBatch, ownerOf, placedTexts, type RecordingOwner, textBatch } from "../TextBatches.ts"

/** A log, and whatever else the layer brings. */
export type LogLayer = Layer.Layer<MessageLog, unknown>

export const everything = 1_000_000_000
export const year = 365 * 24 * 3_600_000

export const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

export interface Opened {
  readonly log: TopicLog
  readonly owner: RecordingOwner
}

export const opened = Effect.fnUntraced(function* (topic: string) {
  const service = yield* MessageLog
  const owner = ownerOf(topic)
  const open = service.open(topic, owner)
  const log = Effect.isEffect(open) ? yield* open : open
  return { log, owner }
})

/** Takes the batch to the log when there is room, and waits until it is kept. */
const settled = (
  { log, owner }: Opened,
  batch: Batch,
  begin: (batch: Batch) => boolean
): Effect.Effect<Batch, MessageLogError> =>
  Effect.andThen(
    log.room ?? Effect.void,
    Effect.suspend(() => (begin(batch) ? Effect.succeed(batch) : owner.outcome(batch)))
  )

export const appendBatch = (topic: Opened, batch: Batch) =>
  settled(topic, batch, (batch) => topic.log.append(batch))

/** Appends frames of texts. */
export const append = (topic: Opened, frames: ReadonlyArray<ReadonlyArray<string>>, timestamp = 0) =>
  appendBatch(topic, textBatch(topic.owner, frames, timestamp))

/** Appends a batch of empty messages with these keys. */
export const appendKeys = (topic: Opened, keys: ReadonlyArray<string>, timestamp: number) =>
  appendBatch(
    topic,
    messageBatch(topic.owner, [keys.map((key) => ({ key, payload: new Uint8Array(0) }))], timestamp)
  )

export const hold = (topic: Opened, texts: ReadonlyArray<string>, at: number) =>
  settled(topic, textBatch(topic.owner, [texts]), (batch) => topic.log.hold(batch, at))

/** All that is due. */
export const due = (now: number) => Effect.flatMap(MessageLog, (service) => service.due(now, everything))

export const nextDue = Effect.map(MessageLog, (service) => service.nextDue())

/** The texts of held batches. */
export const heldTexts = (held: ReadonlyArray<Held>): ReadonlyArray<string> =>
  held.flatMap((each) => placedTexts([each.batch(ownerOf(each.topic))]).map((text) => text.replace("0:", "")))

export const kept = ({ log }: Opened) => Effect.map(log.read(0, everything), placedTexts)

/** Lets what is under way in the process go on. */
export const turn: Effect.Effect<void> = Effect.callback((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Waits until it holds: an engine may tidy up when it likes. */
export const eventually = (what: string, holds: () => boolean): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const end = Date.now() + patience
    const look = (): void => {
      if (holds()) resume(Effect.void)
      else if (Date.now() > end) resume(Effect.die(new Error(`never: ${what}`)))
      else setImmediate(look)
    }
    look()
  })

/** Lets the engine tidy up until no more than so many messages are left. */
export const expire = ({ log, owner }: Opened, now: number, messages: number): Effect.Effect<void> =>
  Effect.andThen(
    Effect.sync(() => log.expire(now)),
    eventually(`${messages} messages of ${owner.name} are left`, () => log.messages <= messages)
  )
