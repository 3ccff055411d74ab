/**
 * The messages of a batch as events of an event stream, the same bytes for all its readers. What differs is the `id`,
 * how far each reader has come: it stands last in an event, so the events lie in parts, each of which ends where the id
 * and an empty line, or the empty line alone, are still to follow. Pure.
 */
import { allocateBytes, copyBytes, encodeText } from "../../protocol/Bytes.ts"
import { type Texts, textStart } from "../../protocol/json/Texts.ts"

export interface EventPart {
  readonly bytes: Uint8Array
  /** Of the batch, up to the end of this part. */
  readonly messages: number
}

export type EventRun = ReadonlyArray<EventPart>

/** Bytes of events after which there is to be an `id`: what a reader is given again at most, but for the one event. */
export const idInterval = 4096

const field = encodeText("data: ")
const lineEnd = 0x0a

/** Each text is one line of UTF-8. */
export const eventRun = (texts: Texts): EventRun => {
  const { bytes, ends } = texts
  const parts: Array<EventPart> = []
  const all = allocateBytes(bytes.length + ends.length * (field.length + 2))
  let start = 0
  let at = 0
  for (let index = 0; index < ends.length; index++) {
    const end = ends[index]!
    const from = textStart(texts, index)
    copyBytes(field, 0, field.length, all, at)
    copyBytes(bytes, from, end, all, at + field.length)
    at += field.length + end - from
    all[at++] = lineEnd
    if (index + 1 < ends.length && at - start < idInterval) {
      all[at++] = lineEnd
      continue
    }
    parts.push({ bytes: all.subarray(start, at), messages: index + 1 })
    start = at
  }
  return parts
}
