/**
 * A lane as the bytes that outlive the hub:
 *
 *     u8 version | epoch | next | entries | u32 checksum
 *     entry: u8 state, priority and what follows | gap since the entry before | count | failures | [time]
 *       | [error] | [key]
 *
 * with numbers of as many bytes as they need. Entries that differ in nothing that is written are written as one. What
 * flies is written as ready: the hub's end is nobody's failure. In order "key" what is ready is written without its
 * key, so that a backlog takes a few bytes; a lane that is read again does not know these keys.
 */
import { ByteReader, ByteWriter, decodeText, encodeText, readU32 } from "../../protocol/Bytes.ts"
import type { Order } from "../../protocol/Position.ts"
import { maxPriority } from "../../protocol/Publish.ts"
import { type EntryState, Slot } from "./Entry.ts"

const version = 1
const checksumBytes = 4
const written = ["ready", "waiting", "parked", "dying"] as const satisfies ReadonlyArray<EntryState>
/** Of the first byte of an entry: two bits of state, four of priority, and these. */
const hasError = 64
const hasKey = 128

/** FNV-1a: whichever byte changes, it does. */
export const checksum = (bytes: Uint8Array, end: number): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  return hash >>> 0
}

const writeNumber = (writer: ByteWriter, value: number): void => {
  let left = value
  while (left >= 128) {
    writer.u8((left % 128) + 128)
    left = Math.floor(left / 128)
  }
  writer.u8(left)
}

const readNumber = (reader: ByteReader): number => {
  let value = 0
  for (let unit = 1; ; unit *= 128) {
    const byte = reader.u8()
    value += (byte & 127) * unit
    if (!(value <= Number.MAX_SAFE_INTEGER)) reader.failed = true
    if (byte < 128 || reader.failed) return value
  }
}

const writeText = (writer: ByteWriter, text: string): void => {
  const bytes = encodeText(text)
  writeNumber(writer, bytes.length)
  writer.raw(bytes)
}

const readText = (reader: ByteReader): string => {
  const text = decodeText(reader.view(readNumber(reader)))
  if (text === undefined) reader.failed = true
  return text ?? ""
}

const stateOf = <M>(slot: Slot<M>): (typeof written)[number] =>
  slot.state === "flying" ? "ready" : slot.state

/** A dead letter is told from an earlier one of the same message by when it died. */
const hasTime = (state: EntryState): boolean => state === "waiting" || state === "dying"

/** A time as a whole number that can be written. */
const timeOf = (until: number): number => Math.min(Math.max(Math.ceil(until), 0), Number.MAX_SAFE_INTEGER)

export interface LaneState<M> {
  readonly epoch: number
  readonly next: number
  /** In order, none touching another. */
  readonly slots: Iterable<Slot<M>>
}

class StateWriter<M> {
  private readonly writer = new ByteWriter(64)
  /** Of the errors that were written, so that each is written once. */
  private readonly errors = new Map<string, number>()
  private end = 0
  private readonly shift: number

  constructor(epoch: number, next: number, shift: number) {
    this.shift = shift
    this.writer.u8(version)
    writeNumber(this.writer, epoch)
    writeNumber(this.writer, next)
  }

  entry(slot: Slot<M>, count: number): void {
    const { writer } = this
    const state = stateOf(slot)
    const key = state === "ready" ? undefined : slot.key
    writer.u8(
      written.indexOf(state) |
        (slot.priority << 2) |
        (slot.error === "" ? 0 : hasError) |
        (key === undefined ? 0 : hasKey)
    )
    writeNumber(writer, slot.offset - this.end)
    writeNumber(writer, count)
    writeNumber(writer, slot.failures)
    this.end = slot.offset + count
    if (state === "waiting") writeNumber(writer, timeOf(slot.until + this.shift))
    // It names the dead letter, and so stays as it is.
    if (state === "dying") writeNumber(writer, timeOf(slot.until))
    if (slot.error !== "") this.error(slot.error)
    if (key !== undefined) writeText(writer, key)
  }

  bytes(): Uint8Array {
    const { writer } = this
    writer.u32(checksum(writer.bytes, writer.at))
    return writer.written().slice()
  }

  /** 0 and the text the first time, its number from then on. */
  private error(text: string): void {
    const number = this.errors.get(text)
    writeNumber(this.writer, number ?? 0)
    if (number !== undefined) return
    this.errors.set(text, this.errors.size + 1)
    writeText(this.writer, text)
  }
}

const isSame = <M>(a: Slot<M>, b: Slot<M>): boolean => {
  const state = stateOf(a)
  return (
    state === stateOf(b) &&
    a.failures === b.failures &&
    a.priority === b.priority &&
    a.error === b.error &&
    (state === "ready" || (a.key === undefined && b.key === undefined)) &&
    (!hasTime(state) || timeOf(a.until) === timeOf(b.until))
  )
}

/** The times for which messages wait are moved by `shift`. */
export const encodeLane = <M>({ epoch, next, slots }: LaneState<M>, shift = 0): Uint8Array => {
  const state = new StateWriter<M>(epoch, next, shift)
  let first: Slot<M> | undefined
  let count = 0
  for (const slot of slots) {
    if (first !== undefined && first.offset + count === slot.offset && isSame(first, slot)) {
      count += slot.count
      continue
    }
    if (first !== undefined) state.entry(first, count)
    first = slot
    count = slot.count
  }
  if (first !== undefined) state.entry(first, count)
  return state.bytes()
}

const readSlot = <M>(reader: ByteReader, from: number, errors: Array<string>, order: Order): Slot<M> => {
  const flags = reader.u8()
  const offset = from + readNumber(reader)
  const count = readNumber(reader)
  const priority = (flags >> 2) & 15
  const slot = new Slot<M>(offset, count, priority, undefined)
  slot.state = written[flags & 3]!
  slot.failures = readNumber(reader)
  slot.isKeyKnown = order === "any" || slot.state !== "ready"
  if (hasTime(slot.state)) slot.until = readNumber(reader)
  if ((flags & hasError) !== 0) {
    const number = readNumber(reader)
    if (number === 0) errors.push(readText(reader))
    slot.error = errors[(number || errors.length) - 1] ?? ""
    if (number > errors.length) reader.failed = true
  }
  if ((flags & hasKey) !== 0) {
    slot.key = readText(reader)
    if (order === "any" || slot.state === "ready" || count !== 1) reader.failed = true
  }
  if (count === 0 || priority > maxPriority) reader.failed = true
  return slot
}

/** Answers `undefined` for anything that `encodeLane` does not write. */
export const decodeLane = <M>(bytes: Uint8Array, order: Order): LaneState<M> | undefined => {
  const end = bytes.length - checksumBytes
  if (end < 1 || bytes[0] !== version || readU32(bytes, end) !== checksum(bytes, end)) return undefined
  const reader = new ByteReader(bytes, 1, end)
  const epoch = readNumber(reader)
  const next = readNumber(reader)
  const slots: Array<Slot<M>> = []
  const errors: Array<string> = []
  let from = 0
  while (reader.at < end && !reader.failed) {
    const slot = readSlot<M>(reader, from, errors, order)
    from = slot.end
    if (from > next) return undefined
    slots.push(slot)
  }
  return reader.failed ? undefined : { epoch, next, slots }
}
