/**
 * Reads bodies of requests. A body is bounded in bytes, and in time as long as it makes no progress: a peer that sends
 * a byte now and then holds a connection no longer than one that sends nothing.
 */
import type { IncomingMessage } from "node:http"
import { Effect } from "effect"
import { type Refusal, refusal } from "./Refusal.ts"
import type { Web } from "./Web.ts"

/** What a body must bring within `httpReadTimeout`, unless it ends. */
export const progressBytes = 65_536

const tooLarge = (maxBytes: number): Refusal =>
  refusal("MESSAGE_TOO_LARGE", `the body is larger than ${maxBytes} bytes`)

export const tooSlow = (): Refusal => refusal("REQUEST_TIMEOUT", "the body was too slow in coming")

/** The body's declared length; -1 if it has none. */
const declaredLength = (request: IncomingMessage): number => {
  const length = request.headers["content-length"]
  return length === undefined ? -1 : Number(length)
}

/** Why a body cannot be read: it is taken as it comes, and nothing is unpacked. */
export const codingRefused = ({ headers }: IncomingMessage): Refusal | undefined => {
  const { "content-encoding": content = "identity", "transfer-encoding": transfer = "chunked" } = headers
  if (content.toLowerCase() !== "identity")
    return refusal("UNSUPPORTED_MEDIA_TYPE", "bodies are taken as they are: send it without Content-Encoding")
  return transfer.toLowerCase() === "chunked"
    ? undefined
    : refusal("UNSUPPORTED", "of transfer encodings there is chunked alone")
}

/** The whole body. What is refused is not read to its end; the server closes the connection. */
export const readBody = (
  { deadlines, settings: { httpReadTimeout } }: Web["Service"],
  request: IncomingMessage,
  maxBytes: number
): Effect.Effect<Uint8Array, Refusal> =>
  Effect.callback((resume) => {
    const refused = codingRefused(request)
    if (refused !== undefined) return resume(Effect.fail(refused))
    if (declaredLength(request) > maxBytes) return resume(Effect.fail(tooLarge(maxBytes)))
    const chunks: Array<Buffer> = []
    let bytes = 0
    let due = progressBytes
    const end = (answer: Effect.Effect<Uint8Array, Refusal>) => {
      stop()
      resume(answer)
    }
    const onTime = () => end(Effect.fail(tooSlow()))
    let deadline = deadlines.after(httpReadTimeout, onTime)
    const onData = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > maxBytes) return end(Effect.fail(tooLarge(maxBytes)))
      chunks.push(chunk)
      if (bytes < due) return
      due = bytes + progressBytes
      deadline.stop()
      deadline = deadlines.after(httpReadTimeout, onTime)
    }
    const onEnd = () => {
      const [only] = chunks
      end(Effect.succeed(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, bytes)))
    }
    // Nobody is left to be answered.
    const onClose = () => end(Effect.interrupt)
    const stop = () => {
      deadline.stop()
      request.off("data", onData)
      request.off("end", onEnd)
      request.off("close", onClose)
      if (!request.complete) request.pause()
    }
    request.on("data", onData)
    request.on("end", onEnd)
    request.on("close", onClose)
    return Effect.sync(stop)
  })
