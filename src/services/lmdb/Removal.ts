/**
 * Removing topics. The name goes at once; the entries go in slices, so that nothing waits for a large topic. A mark
 * names what has still to be deleted, and is looked for when the folder is opened.
 */
import { Effect } from "effect"
import { decodeText, encodeText, readU64, writeU64 } from "../../protocol/Bytes.ts"
import type { MessageLogError } from "../MessageLog.ts"
import { keysBetween } from "./Entries.ts"
import { readBigU32, sizeOf, writeBigU32 } from "./EntryKey.ts"
import type { Environment } from "./Environment.ts"
import type { HeldMessages } from "./HeldMessages.ts"
import type { LmdbTopicLog } from "./LmdbTopicLog.ts"
import { sliceBytes } from "./Retention.ts"
import { bytesOf } from "./TopicPlace.ts"
import type { Writer } from "./Writer.ts"

const sliceKeys = 1000
const markPrefix = 0x72

/** A topic that is removed: by which its entries name it, and what was held for it then. */
interface Rest {
  readonly id: number
  readonly name: string
  /** What was held with a higher number is of a later topic of the same name. */
  readonly heldSequence: number
}

const markOf = (topic: number): Uint8Array => {
  const key = new Uint8Array(5)
  key[0] = markPrefix
  writeBigU32(key, 1, topic)
  return key
}

const encodeRest = ({ heldSequence, name }: Rest): Uint8Array => {
  const text = encodeText(name)
  const bytes = new Uint8Array(8 + text.length)
  writeU64(bytes, 0, heldSequence)
  bytes.set(text, 8)
  return bytes
}

const decodeRest = (key: Uint8Array, value: Uint8Array): Rest => ({
  id: readBigU32(key, 1),
  heldSequence: readU64(value, 0),
  name: decodeText(value.subarray(8)) ?? ""
})

/** As many of them as may go at once. */
const sliceOf = (keys: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  let bytes = 0
  const end = keys.findIndex((key) => {
    bytes += sizeOf(key)
    return bytes > sliceBytes
  })
  return end < 0 ? keys : keys.slice(0, Math.max(1, end))
}

/** Milliseconds before what could not be deleted is tried again. */
const retryAfter = 1000

export class Removal {
  private readonly environment: Environment
  private readonly writer: Writer
  private readonly held: HeldMessages

  constructor(environment: Environment, writer: Writer, held: HeldMessages) {
    this.environment = environment
    this.writer = writer
    this.held = held
  }

  /** Goes on with what was begun before the folder was closed. */
  resume(): void {
    const marks = this.environment.hub.getRange({
      start: new Uint8Array([markPrefix]),
      end: new Uint8Array([markPrefix + 1])
    })
    for (const { key, value } of [...marks]) this.deleteRest(decodeRest(key, value), () => undefined)
  }

  /** Ends when the topic and what was held for it is gone for good, though its bytes may still be there. */
  remove(log: LmdbTopicLog): Effect.Effect<void, MessageLogError> {
    return Effect.callback((resume) => {
      if (!log.isOpen || log.isRemoving) {
        resume(Effect.void)
        return
      }
      // What is queued is stored before it goes; what comes later is refused.
      log.isRemoving = true
      let rest: Rest | undefined
      log.add({
        size: 0,
        isRelief: true,
        isInOrder: true,
        prepare: (set) => {
          const numbers = log.leave(set)
          const { id } = numbers
          rest = { id, name: log.owner.name, heldSequence: set.folder.heldSequence }
          set.remove(this.environment.topics, log.name)
          set.put(this.environment.hub, markOf(id), encodeRest(rest))
          set.folder.bytes -= bytesOf(numbers)
          return undefined
        },
        done() {
          log.removed(this)
          if (rest === undefined) resume(Effect.void)
          else log.shared.removal.deleteRest(rest, () => resume(Effect.void))
        },
        failed(reason, cause) {
          log.isRemoving = false
          log.ended(this)
          resume(Effect.fail(log.error(reason, cause)))
        }
      })
    })
  }

  /** Of a topic whose name is gone; `held` is called when nothing is held for it any more. */
  deleteRest(rest: Rest, held: () => void): void {
    this.held.forgetTopic(rest.name, rest.heldSequence, () => {
      this.deleteEntries(rest.id)
      held()
    })
  }

  /** `undefined` if they cannot be read: then they stay. */
  private someKeys(topic: number): ReadonlyArray<Uint8Array> | undefined {
    try {
      return keysBetween(this.environment.messages, topic, 0, Number.POSITIVE_INFINITY, sliceKeys)
    } catch {
      return undefined
    }
  }

  private deleteEntries(topic: number): void {
    const found = this.someKeys(topic)
    if (found === undefined) return
    const keys = sliceOf(found)
    const isLast = found.length < sliceKeys && keys.length === found.length
    this.writer.add({
      size: 0,
      isRelief: true,
      prepare: (set) => {
        for (const key of keys) set.remove(this.environment.messages, key, sizeOf(key))
        if (isLast) set.remove(this.environment.hub, markOf(topic))
        return undefined
      },
      done: () => {
        if (!isLast) this.deleteEntries(topic)
      },
      // The mark stays, so that it goes on also if the folder is closed before.
      failed: (reason) => {
        if (reason !== "closed") setTimeout(() => this.deleteEntries(topic), retryAfter).unref()
      }
    })
  }
}
