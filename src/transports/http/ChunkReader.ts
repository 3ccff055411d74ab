/**
 * A request's body, chunk by chunk; what is not asked for is not read. It is bounded in time as long as nothing comes of
 * it: within `httpReadTimeout` there must be progress, in bytes or as its reader says. It ends when the hub is to stop.
 */
import type { IncomingMessage } from "node:http"
import { Effect } from "effect"
import { type Refusal, refuse } from "./Refusal.ts"
import { progressBytes, tooSlow } from "./RequestBody.ts"
import type { Waiting, Web } from "./Web.ts"

const shuttingDown: Effect.Effect<never, Refusal> = refuse("SHUTTING_DOWN")

export class ChunkReader {
  private readonly web: Web["Service"]
  private readonly request: IncomingMessage
  private received = 0
  private due = progressBytes
  /** When there must have been progress, by the time of the deadlines. */
  private until = 0

  constructor(web: Web["Service"], request: IncomingMessage) {
    this.web = web
    this.request = request
    request.pause()
    this.progressed()
  }

  /** Something came of what was read. */
  progressed(): void {
    this.until = this.web.deadlines.now() + this.web.settings.httpReadTimeout
  }

  /** `undefined` at the end. */
  readonly next: Effect.Effect<Uint8Array | undefined, Refusal> = Effect.callback((resume) => {
    const { request, web } = this
    if (request.complete && request.readableLength === 0) return resume(Effect.succeed(undefined))
    if (web.state.isDraining) return resume(shuttingDown)
    const end = (answer: Effect.Effect<Uint8Array | undefined, Refusal>) => {
      stop()
      resume(answer)
    }
    const left = Math.max(0, this.until - web.deadlines.now())
    const deadline = web.deadlines.after(left, () => end(Effect.fail(tooSlow())))
    const onData = (chunk: Buffer) => {
      request.pause()
      this.received += chunk.length
      if (this.received >= this.due) {
        this.due = this.received + progressBytes
        this.progressed()
      }
      end(Effect.succeed(chunk))
    }
    const stopped: Waiting = { hubStops: () => end(shuttingDown) }
    const onEnd = () => end(Effect.succeed(undefined))
    const onClose = () => end(Effect.interrupt)
    const stop = () => {
      deadline.stop()
      web.state.waiting.delete(stopped)
      request.off("data", onData)
      request.off("end", onEnd)
      request.off("close", onClose)
    }
    web.state.waiting.add(stopped)
    request.on("data", onData)
    request.on("end", onEnd)
    request.on("close", onClose)
    request.resume()
    return Effect.sync(stop)
  })

  close(): void {
    if (!this.request.complete) this.request.pause()
  }
}
