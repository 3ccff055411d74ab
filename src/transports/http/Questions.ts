/** What a client of the hub's has asked and has no answer to yet, each by the number of its request. */
import { Deferred, Effect } from "effect"
import type { Frame } from "../../protocol/Frame.ts"
import type { Refusal } from "./Refusal.ts"

export class Questions {
  private readonly asked = new Map<number, Deferred.Deferred<Frame, Refusal>>()
  private last: number
  private ended: Refusal | undefined

  /** Numbers up to `last` are somebody else's. */
  constructor(last: number) {
    this.last = last
  }

  /** A number for what is answered elsewhere. */
  number(): number {
    return ++this.last
  }

  /** Has `send` say the frame of that number, and waits for its answer. */
  ask(send: (request: number) => void): Effect.Effect<Frame, Refusal> {
    return Effect.suspend(() => {
      if (this.ended !== undefined) return Effect.fail(this.ended)
      const request = this.number()
      const answer = Deferred.makeUnsafe<Frame, Refusal>()
      this.asked.set(request, answer)
      send(request)
      return Effect.ensuring(
        Deferred.await(answer),
        Effect.sync(() => this.asked.delete(request))
      )
    })
  }

  answer(request: number, frame: Frame): void {
    const asked = this.asked.get(request)
    if (asked !== undefined) Deferred.doneUnsafe(asked, Effect.succeed(frame))
  }

  refuse(request: number, refusal: Refusal): void {
    const asked = this.asked.get(request)
    if (asked !== undefined) Deferred.doneUnsafe(asked, Effect.fail(refusal))
  }

  /** Nothing is answered any more. */
  end(refusal: Refusal): void {
    this.ended = refusal
    for (const asked of this.asked.values()) Deferred.doneUnsafe(asked, Effect.fail(refusal))
    this.asked.clear()
  }
}
