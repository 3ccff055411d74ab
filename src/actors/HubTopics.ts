/** What a hub is made of beside its clients: its topics, what is held until its time, its groups and their dead letters. */
import { Cause, type Context, Effect } from "effect"
import { errorMessage } from "../protocol/ErrorCode.ts"
import type { Counters } from "../services/Counters.ts"
import { MessageLog } from "../services/MessageLog.ts"
import { Settings } from "../services/Settings.ts"
import { StateStore } from "../services/StateStore.ts"
import type { ActorSystem } from "./ActorSystem.ts"
import { makeBatchTracer } from "./BatchTracer.ts"
import { Delays } from "./Delays.ts"
import { DeadLetters } from "./groups/DeadLetters.ts"
import { Groups } from "./groups/Groups.ts"
import { Registry } from "./Registry.ts"
import type { Supervisor } from "./Supervisor.ts"

export interface HubTopicsOptions {
  readonly hubId: string
  readonly system: ActorSystem
  readonly counters: Counters
  readonly supervisor: Supervisor
  /** Of the hub, for its tracer. */
  readonly context: Context.Context<never>
}

/** Fails if the groups that were there before cannot be read. */
export const makeHubTopics = Effect.fnUntraced(function* (options: HubTopicsOptions) {
  const { context, counters, hubId, supervisor, system } = options
  const messageLog = yield* MessageLog
  const store = yield* StateStore
  const registry = new Registry({
    system,
    counters,
    settings: yield* Settings,
    messageLog,
    tracer: makeBatchTracer(context, system, counters),
    failed: (topic, batch, cause) => {
      batch.publisher?.reject(batch, "topic-failed", errorMessage("topic-failed"))
      return supervisor.restart(`topic ${topic.name}`, Cause.squash(cause))
    },
    refused: (topic, batch, error) => {
      const code = error.reason === "full" ? "storage-full" : "topic-failed"
      batch.publisher?.reject(batch, code, errorMessage(code))
      // Its topic was removed: no failure either.
      if (error.reason === "closed") return undefined
      if (error.reason !== "full") return supervisor.restart(`topic ${topic.name}`, error)
      // No failure of the topic's: it takes messages again when there is room.
      counters.storageFull += batch.count
      return undefined
    },
    held: () => delays.check(),
    topicMade: (topic) => groups.forEachOf(topic.name, (group) => group.attach(topic)),
    topicLeaving: (topic) => groups.forEachOf(topic.name, (group) => group.topicLeaving(topic)),
    topicRemoved: (topic) => {
      groups.forEachOf(topic.name, (group) => group.topicRemoved(topic))
      deadLetters.topicRemoved(topic)
    },
    topicKept: (topic) => groups.forEachOf(topic.name, (group) => group.topicKept(topic))
  })
  const delays = new Delays(registry, messageLog)
  const groups = new Groups(registry, store, hubId)
  const deadLetters = new DeadLetters(registry, store, groups)
  yield* groups.load()
  yield* deadLetters.load
  delays.check()
  return { registry, groups, deadLetters }
})
