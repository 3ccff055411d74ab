/**
 * The memory of answers: what is gathered for them and what their readers have not taken yet, of all connections
 * together. Beyond a limit nothing more is gathered, so that whoever asks for much and reads nothing cannot fill the
 * hub's memory. Bytes that many answers share count once.
 */
import type { ServerResponse } from "node:http"

/** Bytes of an answer that is given whatever the others hold; as an answer on its way it is not counted. */
export const smallAnswer = 16_384
/** Bytes of all answers. */
const most = 128 * 1_048_576

export class UnreadAnswers {
  /** How many hold each. */
  private readonly holders = new Map<Uint8Array, number>()
  private bytes = 0

  /** Whether large answers are not to be begun. */
  get isFull(): boolean {
    return this.bytes >= most
  }

  /** Room for one answer, of which so many bytes are kept free until `read`; `undefined` if there is none. */
  room(reserved: number): AnswerRoom | undefined {
    if (reserved > 0 && !this.hasRoom(reserved)) return undefined
    this.bytes += reserved
    return new AnswerRoom(this, reserved)
  }

  hasRoom(bytes: number): boolean {
    return this.bytes + bytes <= most
  }

  unreserve(bytes: number): void {
    this.bytes -= bytes
  }

  isHeld(part: Uint8Array): boolean {
    return this.holders.has(part)
  }

  hold(part: Uint8Array): void {
    const holders = this.holders.get(part) ?? 0
    if (holders === 0) this.bytes += part.length
    this.holders.set(part, holders + 1)
  }

  drop(part: Uint8Array): void {
    const holders = this.holders.get(part)
    if (holders === undefined) return
    if (holders > 1) {
      this.holders.set(part, holders - 1)
      return
    }
    this.holders.delete(part)
    this.bytes -= part.length
  }

  /** It counts until it is out or its reader is gone. */
  answer(response: ServerResponse, body: Uint8Array): void {
    if (body.length <= smallAnswer || response.destroyed) return
    this.hold(body)
    response.once("close", () => this.drop(body))
  }
}

/** What one answer takes of the memory. */
export class AnswerRoom {
  private readonly unread: UnreadAnswers
  private reserved: number
  private readonly parts: Array<Uint8Array> = []
  private bytes = 0

  constructor(unread: UnreadAnswers, reserved: number) {
    this.unread = unread
    this.reserved = reserved
  }

  /** Whether there is room for the part, which then counts; once, if others hold it too. */
  take(part: Uint8Array): boolean {
    const { unread } = this
    this.bytes += part.length
    if (this.bytes > smallAnswer && !unread.isHeld(part) && !unread.hasRoom(part.length)) return false
    unread.hold(part)
    this.parts.push(part)
    return true
  }

  /** What was to be read has been: from now on no more counts than there is. */
  read(): void {
    this.unread.unreserve(this.reserved)
    this.reserved = 0
  }

  /** Nothing of it counts any more. */
  release(): void {
    this.read()
    for (const part of this.parts) this.unread.drop(part)
    this.parts.length = 0
  }
}
