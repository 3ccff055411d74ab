/**
 * Many messages, one JSON object a line: published as they come, and answered line by line in the same order. What came
 * together is published together. While what was answered is not read, no more is read.
 */
import type { ServerResponse } from "node:http"
import { Effect } from "effect"
import { LineSplitter } from "../../protocol/json/LineSplitter.ts"
import { decodePublishBody } from "../../protocol/json/MessageJson.ts"
import type { Caller } from "./Caller.ts"
import { ChunkReader } from "./ChunkReader.ts"
import { closeAfter } from "./CloseSoon.ts"
import type { Deadlines } from "./Deadlines.ts"
import { countRefused, type Outcome, publishAll, tooLongLine } from "./Publishing.ts"
import type { Refusal } from "./Refusal.ts"
import { codingRefused } from "./RequestBody.ts"

export const linesContentType = "application/x-ndjson"

export const isLines = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/(x-ndjson|ndjson|jsonl|x-jsonlines)\s*(;|$)/i.test(contentType)

/** What became of the line of that number: a receipt, or an error and the id by which the log has it. */
const answerTo = (caller: Caller, outcome: Outcome, line: number | undefined): string =>
  JSON.stringify({ line, ...outcome, ...("error" in outcome ? { instance: caller.instance } : {}) })

/** Writes the response itself, from its first line on. */
export const publishLines = (caller: Caller, response: ServerResponse): Effect.Effect<void, Refusal> => {
  const unreadable = codingRefused(caller.request)
  if (unreadable !== undefined) return Effect.fail(unreadable)
  const { deadlines, limitsOf, settings } = caller.web
  const limits = limitsOf(caller.identity)
  const splitter = new LineSplitter(limits.maxBytes)
  const reader = new ChunkReader(caller.web, caller.request)
  const publish = (lines: ReadonlyArray<Uint8Array | "too-long">) => {
    if (lines.length === 0) return Effect.void
    reader.progressed()
    const { numbers } = splitter
    // A line may be a view of what the splitter uses again.
    const messages = lines.map((line) =>
      line === "too-long" ? tooLongLine : decodePublishBody(line.slice(), limits)
    )
    // The body may take longer than the token holds.
    const published = Effect.andThen(caller.holds, publishAll(caller, messages))
    return Effect.flatMap(published, (outcomes) => {
      if (!response.headersSent) response.writeHead(202, { "content-type": linesContentType })
      countRefused(caller, messages, outcomes)
      const answers = outcomes.map((outcome, index) => answerTo(caller, outcome, numbers[index]))
      response.write(`${answers.join("\n")}\n`)
      return response.writableLength > settings.maxRequestBody
        ? drained(response, deadlines, settings.httpReadTimeout)
        : Effect.void
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
      const { code, detail, instance } = caller.refused(refused.problem, refused)
      closeAfter(caller.request, response)
      response.end(`${JSON.stringify({ error: { code, message: detail }, instance, last: true })}\n`)
      return Effect.void
    }),
    Effect.ensuring(Effect.sync(() => reader.close()))
  )
}

/** Waits until the peer has read what was written; one that does not is cut off. */
const drained = (response: ServerResponse, deadlines: Deadlines, timeout: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const deadline = deadlines.after(timeout, () => response.destroy())
    const end = () => {
      stop()
      resume(response.destroyed ? Effect.interrupt : Effect.void)
    }
    const stop = () => {
      deadline.stop()
      response.off("drain", end)
      response.off("close", end)
    }
    response.once("drain", end)
    response.once("close", end)
    return Effect.sync(stop)
  })
