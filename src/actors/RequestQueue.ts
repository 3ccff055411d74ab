/** The requests of a connection: answered on a fiber of their own, one after the other. */
import { Effect, type Scope } from "effect"
import { Deque } from "../protocol/Deque.ts"
import { type ErrorCode, errorMessage } from "../protocol/ErrorCode.ts"
import type { FrameOf } from "../protocol/Frame.ts"
import type { ConnectionWriter } from "./ConnectionWriter.ts"
import type { ConnectionOptions } from "./FrameHost.ts"
import type { Peer } from "./Refusals.ts"

type Request = Pick<FrameOf<"Request">, "request" | "method" | "body">

/** Requests of one connection that wait for their answer. */
const maxRequests = 64

export class RequestQueue {
  private readonly options: Pick<ConnectionOptions, "answer" | "refusals" | "registry">
  private readonly host: Peer
  private readonly writer: ConnectionWriter
  private readonly scope: Scope.Scope
  private readonly requests = new Deque<Request>()

  /** Requests that are not answered when the scope closes never are. */
  constructor(
    options: Pick<ConnectionOptions, "answer" | "refusals" | "registry">,
    host: Peer,
    writer: ConnectionWriter,
    scope: Scope.Scope
  ) {
    this.options = options
    this.host = host
    this.writer = writer
    this.scope = scope
  }

  take({ body, method, request }: Request): void {
    if (this.requests.length >= maxRequests) {
      this.fail(request, "limit-reached", method)
      return
    }
    this.requests.push({ request, method, body: body.slice() })
    if (this.requests.length === 1) this.options.registry.system.fork(this.answerAll(), this.scope)
  }

  /** No faster than the peer reads the answers; others run in between. */
  private readonly answerAll = Effect.fnUntraced({ self: this }, function* (this: RequestQueue) {
    for (let next = this.requests.at(0); next !== undefined; next = this.requests.at(0)) {
      yield* Effect.yieldNow
      if (this.writer.isControlFull) yield* this.writer.peerReads
      // Whatever becomes of it, the others have their turn.
      yield* Effect.ensuring(
        this.answer(next),
        Effect.sync(() => this.requests.shift())
      )
    }
  })

  private answer({ body, method, request }: Request): Effect.Effect<void> {
    return Effect.suspend(() => this.options.answer(method, body, this.host)).pipe(
      Effect.match({
        onSuccess: (answer) => this.writer.control({ _tag: "Response", request, body: answer }),
        onFailure: (code) => this.fail(request, code, method)
      }),
      Effect.catchCause((cause) =>
        Effect.andThen(
          Effect.logError("a request failed", cause),
          Effect.sync(() => this.fail(request, "internal", method))
        )
      )
    )
  }

  private fail(request: number, code: ErrorCode, method: string): void {
    this.options.refusals.ofFrame(this.host, code, method)
    this.writer.control({ _tag: "Failure", session: 0, request, code, message: errorMessage(code) })
  }
}
