/**
 * The bodies of polls: made once for all who are answered with the same messages, and, if they are large, written from
 * the same bytes to each.
 */
import { Readable } from "node:stream"
import { HttpServerResponse } from "effect/http"
import { messagesBody } from "../../protocol/json/MessageJson.ts"
import type { Texts } from "../../protocol/json/Texts.ts"
import type { Polled } from "./Poll.ts"
import { smallAnswer } from "./UnreadAnswers.ts"

interface Body {
  readonly parts: ReadonlyArray<Texts>
  readonly count: number
  readonly bytes: Uint8Array
}

export class PollBodies {
  /** By the first texts of each, for as long as anybody has those. */
  private readonly bodies = new WeakMap<Texts, Body>()
  private readonly empty = messagesBody([])

  /** With the first `count` of the messages. */
  of(parts: ReadonlyArray<Texts>, count: number): Uint8Array {
    const [first] = parts
    if (first === undefined || count === 0) return this.empty
    const known = this.bodies.get(first)
    if (known !== undefined && known.count === count && isSame(known.parts, parts)) return known.bytes
    const bytes = messagesBody(parts, count)
    this.bodies.set(first, { parts, count, bytes })
    return bytes
  }
}

const isSame = (some: ReadonlyArray<Texts>, others: ReadonlyArray<Texts>): boolean =>
  some.length === others.length && some.every((texts, index) => texts === others[index])

const contentType = "application/json"

/** The messages, and where to go on. */
export const pollResponse = ({ body, cursor, gaps }: Polled): HttpServerResponse.HttpServerResponse => {
  const more = JSON.stringify({ next: String(cursor), ...(gaps.length === 0 ? {} : { gaps }) })
  // The object's end is replaced by what follows the messages.
  const messages = body.subarray(0, -1)
  const tail = Buffer.from(`,${more.slice(1)}`)
  const length = messages.length + tail.length
  if (body.length <= smallAnswer)
    return HttpServerResponse.uint8Array(Buffer.concat([messages, tail], length), { contentType })
  return HttpServerResponse.raw(Readable.from([messages, tail]), { contentType, contentLength: length })
}
