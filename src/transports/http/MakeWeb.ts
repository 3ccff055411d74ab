/** Makes what all requests share; its clients of the hub, and what it does at intervals, end with the scope. */
import { Effect, FiberSet, Schedule } from "effect"
import { Hub } from "../../actors/Hub.ts"
import { defaultJsonLimits } from "../../protocol/json/JsonLimits.ts"
import { Auth } from "../../services/Auth.ts"
import { Settings } from "../../services/Settings.ts"
import { Afterwards } from "./Afterwards.ts"
import { makeDeadlines } from "./Deadlines.ts"
import { HttpPublisher } from "./HttpPublisher.ts"
import { PollBodies } from "./PollAnswer.ts"
import { PollClients } from "./PollClients.ts"
import { PolledTexts } from "./PolledTexts.ts"
import { PollMemory } from "./PollMemory.ts"
import { PublishGathering } from "./PublishGathering.ts"
import { UnreadAnswers } from "./UnreadAnswers.ts"
import { Web, WebState } from "./Web.ts"

/** Bytes that a body's JSON has around its payload. */
const envelope = 65_536
const sweepInterval = "5 seconds"

export const makeWeb = Effect.gen(function* () {
  const hub = yield* Hub
  const auth = yield* Auth
  const settings = yield* Settings
  const scope = yield* Effect.scope
  const now = Effect.clockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))
  const state = new WebState(yield* now)
  const texts = new PolledTexts()
  const bodies = new PollBodies()
  const unread = new UnreadAnswers()
  const deadlines = yield* makeDeadlines
  const fork = yield* FiberSet.makeRuntime<never>()
  const clients = new PollClients({ hub, settings, texts, bodies, unread, state, deadlines, scope, fork })
  const publisher = new HttpPublisher(hub, settings, scope, fork)
  yield* Effect.forkScoped(Effect.repeat(clients.sweep, Schedule.spaced(sweepInterval)))
  const failed = Effect.sync(() => {
    state.hasFailed = true
  })
  yield* Effect.forkScoped(Effect.catch(hub.failure, () => failed))
  return Web.of({
    hub,
    auth,
    settings,
    state,
    texts,
    bodies,
    unread,
    clients,
    memory: new PollMemory(() => deadlines.now(), settings.httpIdleTimeout),
    now,
    publisher,
    gathering: new PublishGathering(publisher, fork),
    deadlines,
    afterwards: new Afterwards(fork),
    limitsOf: ({ limits }) => {
      const maxPayload = Math.min(settings.maxMessageSize, limits.messageSize ?? settings.maxMessageSize)
      return { ...defaultJsonLimits, maxPayload, maxBytes: maxPayload + envelope }
    }
  })
})
