/** `polestar sub --group`: prints as a member of a group, and acknowledges what was written: at least once. */
import { Effect, Stream } from "effect"
import type { JoinOptions } from "../sdk/GroupSubscription.ts"
import { Polestar } from "../sdk/Polestar.ts"
import * as Topic from "../sdk/Topic.ts"
import { tellConnection } from "./ConnectionNotices.ts"
import { UsageError } from "./ExitCode.ts"
import { Output, type Printed } from "./Output.ts"
import { codecOf } from "./Payload.ts"
import { printEvents } from "./Printing.ts"

/** Ends after `count` messages. What it has and did not print is given back. */
export const member = Effect.fnUntraced(function* (
  patterns: ReadonlyArray<string>,
  count: number | undefined,
  options: JoinOptions
) {
  const [pattern, ...others] = patterns
  if (pattern === undefined || others.length > 0) {
    return yield* new UsageError({ message: "--group: a group has one pattern" })
  }
  const output = yield* Output
  const star = yield* Polestar
  const joined = yield* star.join(Topic.named<string, Uint8Array>(pattern, codecOf("binary")), options)
  yield* output.notice(joinedNotice(options.group, pattern))
  yield* Effect.forkScoped(tellConnection)
  let left = count ?? Number.POSITIVE_INFINITY
  const wanted = Stream.takeUntil(joined.events, (event) => event._tag === "Message" && --left === 0)
  yield* Stream.runForEachArray(
    wanted,
    Effect.fnUntraced(function* (events) {
      yield* printEvents(events)
      const printed = events.filter((event) => event._tag === "Message")
      if (printed.length > 0) yield* joined.acknowledge(printed)
    })
  )
}, Effect.scoped)

const joinedNotice = (group: string, pattern: string): Printed => ({
  text: (paint) => paint("dim", `joined ${group} on ${pattern}`),
  json: () => ({ notice: "Joined", group, pattern })
})
