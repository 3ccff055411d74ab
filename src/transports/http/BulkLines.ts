/**
 * Many messages, one JSON object a line: published as they come, and answered line by line in the same order. What came
 * together is published together. While what was answered is not read, no more is read.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect } from "effect"
import { LineSplitter } from "../../protocol/json/LineSplitter.ts"
import { decodePublishBody } from "../../protocol/json/MessageJson.ts"
import { type PublishContext, publishAll, tooLongLine } from "./Publishing.ts"
import type { Refusal } from "./Refusal.ts"
import { progressBytes, tooSlow } from "./RequestBody.ts"

export const linesContentType = "application/x-ndjson"

export const isLines = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/(x-ndjson|ndjson|jsonl|x-jsonlines)\s*(;|$)/i.test(contentType)

/** Writes the response itself, from its first line on. */
export const publishLines = (
  context: PublishContext,
  response: ServerResponse
): Effect.Effect<void, Refusal> => {
  const { httpReadTimeout: timeout, maxRequestBody } = context.web.settings
  const limits = context.web.limitsOf(context.identity)
  const splitter = new LineSplitter(limits.maxBytes)
  const reader = new ChunkReader(context.request, timeout)
  const publish = (lines: ReadonlyArray<Uint8Array | "too-long">) => {
    if (lines.length === 0) return Effect.void
    reader.progressed()
    // A line may be a view of what the splitter uses again.
    const messages = lines.map((line) =>
      line === "too-long" ? tooLongLine : decodePublishBody(line.slice(), limits)
    )
    return Effect.flatMap(publishAll(context, messages), (outcomes) => {
      if (!response.headersSent) response.writeHead(202, { "content-type": linesContentType })
      response.write(`${outcomes.map((outcome) => JSON.stringify(outcome)).join("\n")}\n`)
      return response.writableLength > maxRequestBody ? drained(response, timeout) : Effect.void
    })
  }
  return Effect.gen(function* () {
    for (;;) {
      const chunk = yield* reader.next
      if (chunk === undefined) break
      yield* publish(splitter.push(chunk))
    }
    yield* publish(splitter.finish())
    if (!response.headersSent) response.writeHead(202, { "content-type": linesContentType })
    response.end()
  }).pipe(
    Effect.catch((refused) => {
      if (!response.headersSent) return Effect.fail(refused)
      // The status is said already, so the last line says why it ends here.
      const { code, detail } = refused.problem
      response.end(`${JSON.stringify({ error: { code, message: detail }, last: true })}\n`)
      context.request.socket.end()
      return Effect.void
    }),
    Effect.ensuring(Effect.sync(() => reader.close()))
  )
}

/** Waits until the peer has read what was written; one that does not is cut off. */
const drained = (response: ServerResponse, timeout: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const timer = setTimeout(() => response.destroy(), timeout)
    const end = () => {
      stop()
      resume(response.destroyed ? Effect.interrupt : Effect.void)
    }
    const stop = () => {
      clearTimeout(timer)
      response.off("drain", end)
      response.off("close", end)
    }
    response.once("drain", end)
    response.once("close", end)
    return Effect.sync(stop)
  })

/** A request's body, chunk by chunk; what is not asked for is not read. */
class ChunkReader {
  private readonly request: IncomingMessage
  private readonly timeout: number
  private received = 0
  private due = progressBytes
  private deadline: number

  constructor(request: IncomingMessage, timeout: number) {
    this.request = request
    this.timeout = timeout
    this.deadline = performance.now() + timeout
    request.pause()
  }

  /** Something came of what was read. */
  progressed(): void {
    this.deadline = performance.now() + this.timeout
  }

  /** `undefined` at the end. */
  readonly next: Effect.Effect<Uint8Array | undefined, Refusal> = Effect.callback((resume) => {
    const { request } = this
    if (request.complete && request.readableLength === 0) return resume(Effect.succeed(undefined))
    const end = (answer: Effect.Effect<Uint8Array | undefined, Refusal>) => {
      stop()
      resume(answer)
    }
    const timer = setTimeout(
      () => end(Effect.fail(tooSlow())),
      Math.max(0, this.deadline - performance.now())
    )
    const onData = (chunk: Buffer) => {
      request.pause()
      this.received += chunk.length
      if (this.received >= this.due) {
        this.due = this.received + progressBytes
        this.progressed()
      }
      end(Effect.succeed(chunk))
    }
    const onEnd = () => end(Effect.succeed(undefined))
    const onClose = () => end(Effect.interrupt)
    const stop = () => {
      clearTimeout(timer)
      request.off("data", onData)
      request.off("end", onEnd)
      request.off("close", onClose)
    }
    request.on("data", onData)
    request.once("end", onEnd)
    request.once("close", onClose)
    request.resume()
    return Effect.sync(stop)
  })

  close(): void {
    if (!this.request.complete) this.request.pause()
  }
}
