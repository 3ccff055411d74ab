/**
 * Looks over what a DELIVER holds, without reading its records: PUBLISH frames of one topic that have room for
 * the messages that it announces. The records are read, and checked, by whoever decodes them.
 *
 * The string of a topic's name that comes often is made once: a table of fixed size, in which names displace each
 * other, so a peer that sends many costs time, not memory.
 */
import { decodeText, readU32 } from "../../protocol/Bytes.ts"
import type { Deliver } from "../../protocol/Deliver.ts"
import { plainRecordBytes } from "../../protocol/Message.ts"
import { Op } from "../../protocol/Op.ts"
import { PublishHeader, readPublish } from "../../protocol/Publish.ts"

/** The shortest PUBLISH frame up to its topic. */
const publishHeaderBytes = 18

export class DeliveryReader {
  /** The topic's name is `bytes[topicStart, topicEnd)` of what was checked last. */
  private topicStart = 0
  private topicEnd = 0
  private readonly names = new TopicNames()
  /** Whether all its messages have a priority above 0, and so may have overtaken others. */
  urgent = false
  private readonly header = new PublishHeader()

  /** The topic of what was checked last, or `undefined` if its name is not UTF-8. */
  topicOf({ bytes }: Deliver): string | undefined {
    return this.names.nameOf(bytes, this.topicStart, this.topicEnd)
  }

  /** Answers `false` if it is not such a run. */
  check(deliver: Deliver): boolean {
    const { bytes, count, end, skip, start } = deliver
    if (count < 1 || !isPlaced(deliver)) return false
    const header = this.header
    let at = start
    let messages = 0
    this.urgent = true
    while (at < end) {
      if (end - at < publishHeaderBytes || bytes[at + 4] !== Op.Publish) return false
      const frameEnd = at + 4 + readU32(bytes, at)
      if (frameEnd > end || !readPublish(bytes, at, frameEnd, header)) return false
      if (header.count * plainRecordBytes > frameEnd - header.records) return false
      if (at === start) {
        this.topicStart = header.topicStart
        this.topicEnd = header.topicEnd
      } else if (
        !isSameText(bytes, this.topicStart, this.topicEnd, bytes, header.topicStart, header.topicEnd)
      )
        return false
      const isWanted = messages < skip + count && messages + header.count > skip
      if (isWanted && header.priority === 0) this.urgent = false
      messages += header.count
      at = frameEnd
    }
    return messages >= skip + count
  }
}

const isPlaced = ({ count, epoch, offset, timestamp }: Deliver): boolean =>
  Number.isSafeInteger(epoch) && Number.isSafeInteger(offset + count) && Number.isSafeInteger(timestamp)

const slots = 2048

interface Known {
  readonly bytes: Uint8Array
  readonly name: string
}

class TopicNames {
  private readonly known: Array<Known | undefined> = new Array(slots)

  /** The text of `bytes[start, end)`, or `undefined` if that is not UTF-8. */
  nameOf(bytes: Uint8Array, start: number, end: number): string | undefined {
    let hash = end - start
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0
    const slot = (hash ^ (hash >>> 15)) & (slots - 1)
    const entry = this.known[slot]
    if (entry !== undefined && isSameText(entry.bytes, 0, entry.bytes.length, bytes, start, end)) {
      return entry.name
    }
    const copy = bytes.slice(start, end)
    const name = decodeText(copy)
    if (name !== undefined) this.known[slot] = { bytes: copy, name }
    return name
  }
}

/** Whether `a[aStart, aEnd)` and `b[bStart, bEnd)` are the same bytes. */
const isSameText = (
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number
): boolean => {
  if (aEnd - aStart !== bEnd - bStart) return false
  for (let i = aStart, j = bStart; i < aEnd; i++, j++) if (a[i] !== b[j]) return false
  return true
}
