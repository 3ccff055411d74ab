/**
 * The bytes of large answers that their readers have not taken yet, of all connections together: beyond a limit there
 * are no more of them, so that whoever asks for much and reads nothing cannot fill the hub's memory.
 */
import type { ServerResponse } from "node:http"

/** Bytes of an answer that is not counted. */
const small = 65_536
/** Bytes of all those that are. */
const most = 128 * 1_048_576
/** Of an answer that there is hardly room for; then what would fill it is not even gathered. */
const large = 8 * 1_048_576

export class UnreadAnswers {
  private bytes = 0

  get isFull(): boolean {
    return this.bytes + large > most
  }

  /** Whether there is room for the answer, which then counts until it is out or its reader is gone. */
  add(response: ServerResponse, bytes: number): boolean {
    if (bytes <= small) return true
    if (this.bytes > 0 && this.bytes + bytes > most) return false
    this.bytes += bytes
    response.once("close", () => {
      this.bytes -= bytes
    })
    return true
  }
}
