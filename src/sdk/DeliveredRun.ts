/**
 * Looks over what a DELIVER holds, without reading its records: PUBLISH frames of one topic that have room for
 * the messages that it announces. The records are read, and checked, by whoever decodes them.
 */
import { readU32 } from "../protocol/Bytes.ts"
import type { Deliver } from "../protocol/Deliver.ts"
import { plainRecordBytes } from "../protocol/Message.ts"
import { Op } from "../protocol/Op.ts"
import { PublishHeader, readPublish } from "../protocol/Publish.ts"
import { isSameText } from "./TopicNames.ts"

/** The shortest PUBLISH frame up to its topic. */
const publishHeaderBytes = 18

export class DeliveredRun {
  /** The topic's name is `bytes[topicStart, topicEnd)` of what was checked last. */
  topicStart = 0
  topicEnd = 0
  /** Whether all its messages have a priority above 0, and so may have overtaken others. */
  urgent = false
  private readonly header = new PublishHeader()

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
