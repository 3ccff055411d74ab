/** Batches of texts, for the tests of what keeps them. */
import { assert } from "@effect/vitest"
import { Batch, type BatchOwner, Slab } from "../../src/protocol/Batch.ts"
import { ByteWriter, decodeText, encodeText } from "../../src/protocol/Bytes.ts"
import { encodePublish, forEachMessage } from "../../src/protocol/Publish.ts"

export const ownerOf = (name: string): BatchOwner => ({ name, slab: new Slab(), delivered: 0, dropped: 0 })

/** A batch of PUBLISH frames with these texts, not yet placed. */
export const textBatch = (
  owner: BatchOwner,
  frames: ReadonlyArray<ReadonlyArray<string>>,
  timestamp = 0
): Batch => {
  const writer = new ByteWriter()
  frames.forEach((texts, index) => {
    const messages = texts.map((text) => ({ payload: encodeText(text) }))
    encodePublish(writer, { session: 1, sequence: index + 1, topic: owner.name }, messages)
  })
  const bytes = writer.written().slice()
  const batch = new Batch(owner, bytes, 0, bytes.length, frames.flat().length, 0, "someone")
  batch.timestamp = timestamp
  return batch
}

/** The texts of placed batches as `offset:text`, checking that the offsets follow each other. */
export const placedTexts = (batches: ReadonlyArray<Batch>): ReadonlyArray<string> => {
  const texts: Array<string> = []
  let expected = batches[0]?.offset
  for (const batch of batches) {
    assert.strictEqual(batch.offset, expected)
    expected = batch.offset + batch.count
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
