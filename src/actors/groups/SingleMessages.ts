/**
 * A batch as one batch for each of its messages. A frame of several records becomes a frame for each, so that a
 * message that is delivered alone does not bring its neighbours' bytes along.
 */
import { Batch } from "../../protocol/Batch.ts"
import { ByteWriter, copyBytes, readU32 } from "../../protocol/Bytes.ts"
import { decodeRecord } from "../../protocol/Message.ts"
import { endPublish, PublishHeader, readPublish } from "../../protocol/Publish.ts"

const batchOf = (
  batch: Batch,
  index: number,
  count: number,
  bytes: Uint8Array,
  start: number,
  end: number
): Batch => {
  const part = new Batch(batch.owner, bytes, start, end, count, batch.priority, batch.publisherId)
  part.epoch = batch.epoch
  part.offset = batch.offset + index
  part.timestamp = batch.timestamp
  part.receivedAt = batch.receivedAt
  part.expires = batch.expires
  part.records = batch.records
  return part
}

/**
 * Calls `f` for the messages of the batch in order, each with its key. What cannot be read comes last, together and
 * without a key.
 */
export const forEachSingle = (batch: Batch, f: (single: Batch, key: string | undefined) => void): void => {
  const { bytes, count } = batch
  const header = new PublishHeader()
  let index = -batch.skip
  let start = batch.start
  while (start < batch.end && index < count) {
    const end = start + 4 + readU32(bytes, start)
    if (end > batch.end || !readPublish(bytes, start, end, header)) break
    let at = header.records
    const isAlone = header.count === 1
    const writer = new ByteWriter(isAlone ? 0 : header.count * (at - start) + end - at)
    for (let left = header.count; left > 0 && index < count; left--, index++) {
      const next = at + 4 + readU32(bytes, at)
      if (next > end) break
      if (index >= 0) {
        const key = decodeRecord(bytes, at, next)?.key
        if (isAlone) {
          f(batchOf(batch, index, 1, bytes, start, end), key)
        } else {
          const from = writer.reserve(header.records - start + next - at)
          copyBytes(bytes, start, header.records, writer.bytes, from)
          copyBytes(bytes, at, next, writer.bytes, from + header.records - start)
          endPublish(writer, from, 1)
          f(batchOf(batch, index, 1, writer.bytes, from, writer.at), key)
        }
      }
      at = next
    }
    start = end
  }
  if (index >= count) return
  const from = Math.max(index, 0)
  const rest = batchOf(batch, from, count - from, bytes, start, batch.end)
  rest.skip = from - index
  f(rest, undefined)
}
