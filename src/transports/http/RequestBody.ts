/**
 * Reads bodies of requests. A body is bounded in bytes, and in time as long as it makes no progress: a peer that sends
 * a byte now and then holds a connection no longer than one that sends nothing.
 */
import type { IncomingMessage } from "node:http"
import { Effect } from "effect"
import { type Refusal, refusal } from "./Refusal.ts"

export interface BodyLimits {
  /** Bytes. */
  readonly maxBytes: number
  /** Milliseconds in which `progressBytes` must come, or the end. */
  readonly timeout: number
}

/** What a body must bring within the time, unless it ends. */
export const progressBytes = 65_536

const tooLarge = (maxBytes: number): Refusal =>
  refusal("MESSAGE_TOO_LARGE", `the body is larger than ${maxBytes} bytes`)

export const tooSlow = (): Refusal => refusal("REQUEST_TIMEOUT", "the body was too slow in coming")

/** The body's declared length; -1 if it has none. */
const declaredLength = (request: IncomingMessage): number => {
  const length = request.headers["content-length"]
  return length === undefined ? -1 : Number(length)
}

/** The whole body. What is refused is not read to its end; the server closes the connection. */
export const readBody = (
  request: IncomingMessage,
  { maxBytes, timeout }: BodyLimits
): Effect.Effect<Uint8Array, Refusal> =>
  Effect.callback((resume) => {
    if (declaredLength(request) > maxBytes) return resume(Effect.fail(tooLarge(maxBytes)))
    const chunks: Array<Buffer> = []
    let bytes = 0
    let due = progressBytes
    const end = (answer: Effect.Effect<Uint8Array, Refusal>) => {
      stop()
      resume(answer)
    }
    const timer = setTimeout(() => end(Effect.fail(tooSlow())), timeout)
    const onData = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > maxBytes) return end(Effect.fail(tooLarge(maxBytes)))
      chunks.push(chunk)
      if (bytes < due) return
      due = bytes + progressBytes
      timer.refresh()
    }
    const onEnd = () => end(Effect.succeed(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes)))
    // Nobody is left to be answered.
    const onClose = () => end(Effect.interrupt)
    const stop = () => {
      clearTimeout(timer)
      request.off("data", onData)
      request.off("end", onEnd)
      request.off("close", onClose)
      if (!request.complete) request.pause()
    }
    request.on("data", onData)
    request.once("end", onEnd)
    request.once("close", onClose)
    return Effect.sync(stop)
  })
