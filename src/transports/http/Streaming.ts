/** GET /api/v1/stream: subscribes, and keeps the response open until its reader goes or the hub ends it. */
import type { ServerResponse } from "node:http"
import { Effect } from "effect"
import { unlimitedCredit } from "../../protocol/Op.ts"
import type { Overflow } from "../../protocol/Position.ts"
import type { Caller } from "./Caller.ts"
import { EventCursor } from "./EventCursor.ts"
import { EventStream } from "./EventStream.ts"
import { openSession, subscribeAll } from "./HubClient.ts"
import type { Beginning } from "./Reading.ts"
import { type Refusal, refusalOfClose } from "./Refusal.ts"
import type { Web } from "./Web.ts"

export interface StreamRequest {
  readonly caller: Caller
  readonly patterns: ReadonlyArray<string>
  readonly beginning: Beginning
  readonly overflow: Overflow
}

/** Writes the response itself; is done when that has ended. */
export const stream = (
  web: Web["Service"],
  { beginning, caller, overflow, patterns }: StreamRequest,
  response: ServerResponse
): Effect.Effect<void, Refusal> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { identity, peer, transport } = caller
      let end = () => {}
      const events = new EventStream({
        response,
        texts: web.texts,
        cursor: new EventCursor(beginning.cursor),
        isNow: beginning.isNow,
        patterns,
        onEnd: () => end()
      })
      const connection = yield* Effect.mapError(
        web.hub.connectLocal(events, { identity, peer, transport }),
        refusalOfClose
      )
      events.begin(connection)
      openSession(connection, "stream")
      subscribeAll(connection, patterns, {
        overflow,
        creditMessages: unlimitedCredit,
        creditBytes: unlimitedCredit,
        start: beginning.start
      })
      if (events.failure !== undefined) return yield* Effect.fail(events.failure)
      web.state.waiting.add(events)
      yield* Effect.addFinalizer(() => Effect.sync(() => web.state.waiting.delete(events)))
      const beats = Effect.forever(
        Effect.andThen(
          Effect.sleep(web.settings.pingInterval),
          Effect.sync(() => events.beat())
        )
      )
      yield* Effect.forkScoped(beats)
      yield* Effect.callback<void>((resume) => {
        end = () => resume(Effect.void)
        events.open()
        if (response.writableEnded || response.destroyed) end()
      })
    })
  )
