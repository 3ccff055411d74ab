/** A log for the tests of lanes: batches whose messages say where they stand. */
import type { Entry, Lane } from "../../../src/actors/groups/Lane.ts"
import { Batch } from "../../../src/protocol/Batch.ts"
import { ByteWriter, decodeText, encodeText } from "../../../src/protocol/Bytes.ts"
import { encodePublish, forEachMessage } from "../../../src/protocol/Publish.ts"
import { ownerOf } from "../../contracts/TextBatches.ts"

/** What the lane buries next. */
export const firstDying = <M>(lane: Lane<M>): Entry<M> | undefined => [...lane.dyingEntries()][0]

const owner = ownerOf("weather.london")

export const textAt = (offset: number): string => `m${offset}`

/** A batch at `offset` with a frame for each list of keys; "" is no key. */
export const keyedBatch = (
  offset: number,
  frames: ReadonlyArray<ReadonlyArray<string>>,
  priority = 0
): Batch => {
  const writer = new ByteWriter()
  let at = offset
  frames.forEach((keys, index) => {
    const messages = keys.map((key) => ({
      payload: encodeText(textAt(at++)),
      key: key === "" ? undefined : key
    }))
    encodePublish(writer, { session: 1, sequence: index, topic: owner.name, priority }, messages)
  })
  const bytes = writer.written().slice()
  const batch = new Batch(owner, bytes, 0, bytes.length, at - offset, priority, "someone")
  batch.offset = offset
  batch.epoch = 1
  return batch
}

/** A batch of `count` messages without keys, in frames of `frame` messages. */
export const plainBatch = (offset: number, count: number, priority = 0, frame = 64): Batch => {
  const frames: Array<ReadonlyArray<string>> = []
  for (let left = count; left > 0; left -= frame)
    frames.push(new Array<string>(Math.min(left, frame)).fill(""))
  return keyedBatch(offset, frames, priority)
}

/** The texts of a batch; `undefined` if it is not what it says it is. */
export const textsOf = (batch: Batch): ReadonlyArray<string> | undefined => {
  const texts: Array<string> = []
  const { bytes, start, end, skip, count } = batch
  const isWhole = forEachMessage(bytes, start, end, skip, count, (message) => {
    texts.push(decodeText(message.payload) ?? "")
  })
  return isWhole ? texts : undefined
}
