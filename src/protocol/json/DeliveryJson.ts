/**
 * Deliveries in JSON: a batch of the hub to the texts that its readers get, once for each dialect and not once a reader.
 *
 * A payload whose content type is JSON is copied as it stands, checked on the way: a binary client may claim that
 * anything is JSON. What is text becomes a string; all else, and what is not what it claims to be, becomes base64 with
 * `encoding`. A `content_type` stands with all but plain JSON. Every text is one line, so it also fits an event stream.
 */
import { readU16 } from "../Bytes.ts"
import type { Placed } from "../Deliver.ts"
import { jsonContentType, octetsContentType, RecordFlags, textContentType } from "../Message.ts"
import { type ContentKind, contentKindOf } from "./ContentKind.ts"
import { JsonScan, maxJsonDepth } from "./JsonScan.ts"
import { JsonWriter, Piece } from "./JsonWriter.ts"
import { forEachSpans, RecordSpans } from "./RecordSpans.ts"
import { timeText } from "./StartText.ts"
import type { Texts } from "./Texts.ts"

/** A hub's `Batch`, or what is like one. */
export interface TopicBatch extends Placed {
  readonly topic: string
}

/** For the dialect of `topic`: `{"type":"event","topic","message":{"id","payload"},"offset","epoch","ts"}`. */
export const encodeEvents = (batch: TopicBatch): Texts => {
  const head = new Piece(`{"type":"event","topic":${JSON.stringify(batch.topic)},"message":{"id":`)
  const ownId = new Piece(`"${batch.epoch}-`)
  const tail = new Piece(`,"epoch":${batch.epoch},"ts":"${timeText(batch.timestamp)}"}`)
  const out = new Deliveries(batch, head.text.length + ownId.text.length + tail.text.length)
  return out.all((index) => {
    const { writer } = out
    writer.piece(head)
    if (!out.id()) {
      writer.piece(ownId)
      writer.decimal(batch.offset + index)
      writer.u8(quote)
    }
    out.content()
    writer.text('},"offset":')
    writer.decimal(batch.offset + index)
    writer.piece(tail)
  })
}

/**
 * For the dialect of `topics`: `{"type":"message","message_id","topic","timestamp","epoch","offset","payload"}`, with
 * the publisher's own `id` beside. `attempt` is how many times these messages were delivered to a group, this one
 * included; 0 for a live subscription, and from 2 on it is told.
 */
export const encodeMessages = (batch: TopicBatch, attempt = 0): Texts =>
  encodeNamed(batch, '{"type":"message","message_id":', attempt)

/** For polls, replays and event streams: as `encodeMessages`, without a `type`. */
export const encodePolled = (batch: TopicBatch, attempt = 0): Texts =>
  encodeNamed(batch, '{"message_id":', attempt)

const encodeNamed = (batch: TopicBatch, opening: string, attempt: number): Texts => {
  const name = JSON.stringify(batch.topic)
  const attempts = attempt > 1 ? `,"attempt":${attempt}` : ""
  const time = timeText(batch.timestamp)
  const head = new Piece(`${opening}${name.slice(0, -1)}@${batch.epoch}-`)
  const middle = new Piece(
    `","topic":${name},"timestamp":"${time}"${attempts},"epoch":${batch.epoch},"offset":`
  )
  const out = new Deliveries(batch, head.text.length + middle.text.length)
  return out.all((index) => {
    const { writer } = out
    writer.piece(head)
    writer.decimal(batch.offset + index)
    writer.piece(middle)
    writer.decimal(batch.offset + index)
    out.idField()
    out.content()
    writer.u8(closeObject)
  })
}

const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const closeObject = 0x7d

/** Of each text, beside its pieces and its payload: two offsets, names and quotes. */
const otherBytes = 50

/** The texts of one batch as they are written. */
class Deliveries {
  readonly writer: JsonWriter
  private readonly batch: TopicBatch
  private readonly spans = new RecordSpans()
  private readonly scan = new JsonScan(maxJsonDepth)
  private readonly ends: Array<number> = []

  /** `pieces` is how long the texts are, about, without their payloads; a guess too small only makes the buffer grow. */
  constructor(batch: TopicBatch, pieces: number) {
    this.batch = batch
    this.writer = new JsonWriter(batch.count * (pieces + otherBytes) + batch.end - batch.start)
  }

  /** Of a batch that is not whole, which the hub never has, the texts before the break. */
  all(write: (index: number) => void): Texts {
    forEachSpans(this.batch, this.spans, (index) => {
      write(index)
      this.ends.push(this.writer.at)
    })
    const written = this.writer.written()
    // What is shared waits in many queues: it does not hold much more than it says.
    const isRoomy = written.length < this.writer.bytes.length * 0.75
    return { bytes: isRoomy ? written.slice() : written, ends: this.ends }
  }

  /** The publisher's id, if the record has one. */
  id(): boolean {
    const { idStart, idEnd } = this.spans
    return idStart >= 0 && this.writer.string(this.batch.bytes, idStart, idEnd)
  }

  /** The same as a field of the text. */
  idField(): void {
    if (this.spans.idStart < 0) return
    const before = this.writer.at
    this.writer.text(',"id":')
    if (!this.id()) this.writer.at = before
  }

  /** Payload, content type, encoding, key and headers. */
  content(): void {
    this.payload()
    const { flags } = this.spans
    if ((flags & (RecordFlags.key | RecordFlags.headers)) !== 0) this.labels()
  }

  private payload(): void {
    const { spans, writer } = this
    const { bytes } = this.batch
    const { payloadStart, payloadEnd } = spans
    writer.text(',"payload":')
    const kind = this.kind()
    if (kind === "json" && this.json(payloadStart, payloadEnd)) {
      if (spans.typeStart >= 0) this.contentType()
    } else if (kind === "text" && writer.string(bytes, payloadStart, payloadEnd)) {
      this.contentType()
    } else {
      writer.base64(bytes, payloadStart, payloadEnd)
      this.contentType()
      writer.text(',"encoding":"base64"')
    }
  }

  private kind(): ContentKind {
    const { flags, typeStart, typeEnd } = this.spans
    if ((flags & RecordFlags.json) !== 0) return "json"
    if ((flags & RecordFlags.text) !== 0) return "text"
    return typeStart < 0 ? "bytes" : contentKindOf(this.textOf(typeStart, typeEnd))
  }

  private textOf(start: number, end: number): string {
    let text = ""
    for (let i = start; i < end; i++) text += String.fromCharCode(this.batch.bytes[i]!)
    return text
  }

  private json(start: number, end: number): boolean {
    const { writer } = this
    this.scan.sawLineBreak = false
    if (this.scan.whole(this.batch.bytes, start, end) < 0) return false
    const at = writer.at
    writer.range(this.batch.bytes, start, end)
    if (!this.scan.sawLineBreak) return true
    // It stands between tokens, where a space means the same.
    for (let i = at; i < writer.at; i++) {
      if (writer.bytes[i] === 0x0a || writer.bytes[i] === 0x0d) writer.bytes[i] = 0x20
    }
    return true
  }

  private contentType(): void {
    const { spans, writer } = this
    const { flags, typeStart, typeEnd } = spans
    const before = writer.at
    writer.text(',"content_type":')
    if (typeStart < 0) {
      const isText = (flags & RecordFlags.text) !== 0
      const type = isText
        ? textContentType
        : (flags & RecordFlags.json) !== 0
          ? jsonContentType
          : octetsContentType
      writer.text(`"${type}"`)
    } else if (!writer.string(this.batch.bytes, typeStart, typeEnd)) {
      writer.at = before
    }
  }

  private labels(): void {
    const { spans, writer } = this
    const before = writer.at
    if (spans.keyStart >= 0) {
      writer.text(',"key":')
      if (!writer.string(this.batch.bytes, spans.keyStart, spans.keyEnd)) writer.at = before
    }
    if (spans.headersStart < 0) return
    const headersAt = writer.at
    writer.text(',"headers":{')
    if (this.headers(spans.headersStart)) writer.u8(closeObject)
    else writer.at = headersAt
  }

  private headers(start: number): boolean {
    const { writer } = this
    const { bytes } = this.batch
    let at = start + 1
    for (let i = 0; i < bytes[start]!; i++) {
      const nameEnd = at + 1 + bytes[at]!
      const valueEnd = nameEnd + 2 + readU16(bytes, nameEnd)
      if (i > 0) writer.u8(comma)
      if (!writer.string(bytes, at + 1, nameEnd)) return false
      writer.u8(colon)
      if (!writer.string(bytes, nameEnd + 2, valueEnd)) return false
      at = valueEnd
    }
    return true
  }
}
