/** Ends a hub in order: nothing new, then empty mailboxes, then goodbye. */
import { Deferred, Effect, Schedule } from "effect"
import type { Connections } from "./Connections.ts"
import type { Groups } from "./groups/Groups.ts"
import type { Registry } from "./Registry.ts"

export const drainOf = (
  registry: Registry,
  groups: Groups,
  connections: Connections
): Effect.Effect<void> => {
  const { drainTimeout, writeTimeout } = registry.settings
  const isBusy = () => {
    let busy = false
    registry.topics.forEach((topic) => {
      busy ||= !topic.isSettled
    })
    return busy || !groups.isSaved || [...connections].some((connection) => connection.isWaiting)
  }
  // Mailboxes empty as their clients read and grant credit, and what waited for them comes after.
  const emptied = Effect.repeat(Effect.void, { schedule: Schedule.spaced("10 millis"), while: isBusy })
  const drain = Effect.gen(function* () {
    connections.isDraining = true
    for (const connection of connections) connection.isDraining = true
    yield* Effect.timeoutOption(emptied, drainTimeout)
    for (const connection of connections) connection.end("shutting-down")
    const gone = Effect.forEach(connections, (connection) => Deferred.await(connection.gone), {
      concurrency: "unbounded",
      discard: true
    })
    yield* Effect.timeoutOption(gone, writeTimeout)
  })
  return Effect.withSpan(drain, "Hub.drain")
}
