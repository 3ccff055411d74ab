/** `polestar sub`: prints the messages of patterns as they come, and tells what was lost on standard error. */
import { Clock, Effect, Option, Result, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Overflows } from "../protocol/Position.ts"
import { decodeConsumerSettings } from "../sdk/ClientSettings.ts"
import type { JoinOptions } from "../sdk/GroupSubscription.ts"
import { Polestar } from "../sdk/Polestar.ts"
import { reconnectSchedule } from "../sdk/ReconnectSchedule.ts"
import type { From, SubscribeOptions } from "../sdk/Subscribing.ts"
import { consumerOptions } from "../sdk/TcpSettings.ts"
import * as Topic from "../sdk/Topic.ts"
import { configFlag, readClientConfig } from "./ClientConfig.ts"
import { telemetry } from "./ClientLog.ts"
import { tellConnection } from "./ConnectionNotices.ts"
import { UsageError } from "./ExitCode.ts"
import { atLeast, present } from "./Flags.ts"
import { groupStartOf, optionFlags, optionsOf } from "./GroupFlags.ts"
import { member } from "./Member.ts"
import { jsonFlag, Output, type Printed } from "./Output.ts"
import { codecOf } from "./Payload.ts"
import { printEvents } from "./Printing.ts"
import { parseStart, startForms } from "./StartAt.ts"
import { connect, targetFlags } from "./Target.ts"

const flags = {
  pattern: Argument.String("pattern").pipe(
    Argument.withDescription("A topic; * stands for one segment, a final > for one or more"),
    Argument.optional
  ),
  last: atLeast("last", 0).pipe(
    Flag.withDescription("Starts with the last so many messages of each topic"),
    Flag.optional
  ),
  from: Flag.String("from").pipe(
    Flag.withMetavar("<where>"),
    Flag.withDescription(`Starts there: first, ${startForms}; a new --group also: now`),
    Flag.optional
  ),
  count: atLeast("count", 1).pipe(Flag.withDescription("Ends after so many messages"), Flag.optional),
  overflow: Flag.Literals("overflow", Overflows).pipe(
    Flag.withDescription(
      "What happens when this command is too slow (default drop-oldest); wait holds back the publishers"
    ),
    Flag.optional
  ),
  noEcho: present("no-echo", "Leaves out what this client publishes itself"),
  config: configFlag("a consumer; its topics are subscribed to"),
  group: Flag.String("group").pipe(
    Flag.withDescription(
      "As a member of this group, which is made if it is not there; acknowledges what it printed"
    ),
    Flag.optional
  ),
  ...optionFlags,
  ...jsonFlag,
  ...targetFlags
}

type Flags = Command.Command.Config.Infer<typeof flags>

export const sub = Command.make("sub", flags, (given) =>
  Effect.gen(function* () {
    const reading = yield* readingOf(given)
    const config = yield* readClientConfig(given.config, decodeConsumerSettings)
    const patterns = [...Option.toArray(given.pattern), ...(config?.topics ?? [])]
    if (patterns.length === 0) return yield* new UsageError({ message: "give a pattern, or --config" })
    // A follower waits for its hub, for however long.
    const reconnect = reconnectSchedule
    const base = { name: "polestar sub", reconnect, ...(config === undefined ? {} : consumerOptions(config)) }
    yield* reading(patterns, Option.getOrUndefined(given.count)).pipe(
      Effect.provide(connect(given, base)),
      Effect.provide(telemetry)
    )
  }).pipe(Effect.provide(Output.layerOf(given)))
).pipe(
  Command.withDescription(
    "Print messages as they come: topic and payload, or with --format json one object a line with topic, epoch, " +
      "offset, timestamp, id, headers and payload (base64 with encoding where it is neither JSON nor text). " +
      "Standard error says when it is subscribed, what was dropped and what a reconnection recovered or lost. With " +
      "--group each message goes to one member of the group, and comes again until it is acknowledged, which it is " +
      "when its line is written."
  ),
  Command.withShortDescription("Print messages as they come"),
  Command.withExamples([
    { command: "polestar sub 'weather.>'", description: "All topics below weather" },
    { command: "polestar sub orders.eu --last 10 --count 10", description: "The last ten, then end" },
    { command: "polestar sub orders.eu --from 5m --format json", description: "From five minutes ago" },
    {
      command: "polestar sub 'orders.>' --group billing --order key",
      description: "Share the work with others"
    }
  ])
)

/** What is to be done with the patterns; what is wrong with the flags together is said before a hub is looked for. */
const readingOf = Effect.fnUntraced(function* (given: Flags) {
  if (Option.isSome(given.group)) {
    const options = yield* joinOptionsOf(given, given.group.value)
    return (patterns: ReadonlyArray<string>, count: number | undefined) => member(patterns, count, options)
  }
  for (const [name, flag] of groupOnly) {
    const option: Option.Option<unknown> = given[name]
    if (Option.isSome(option)) return yield* new UsageError({ message: `--${flag}: only with --group` })
  }
  const options: SubscribeOptions = {
    from: yield* fromOf(given),
    overflow: Option.getOrUndefined(given.overflow),
    echo: !given.noEcho
  }
  return (patterns: ReadonlyArray<string>, count: number | undefined) => follow(patterns, count, options)
})

const groupOnly = [
  ["order", "order"],
  ["ackWait", "ack-wait"],
  ["maxDeliveries", "max-deliveries"],
  ["maxInFlight", "max-in-flight"],
  ["backoff", "backoff"],
  ["maxBackoff", "max-backoff"]
] as const

const joinOptionsOf = Effect.fnUntraced(function* (
  given: Flags,
  group: string
): Effect.fn.Return<JoinOptions, UsageError> {
  const wrong = Option.isSome(given.last)
    ? "last"
    : Option.isSome(given.overflow)
      ? "overflow"
      : given.noEcho
        ? "no-echo"
        : undefined
  if (wrong !== undefined) return yield* new UsageError({ message: `--${wrong}: not with --group` })
  const start = Option.isSome(given.from) ? yield* groupStartOf("from", given.from.value) : undefined
  return { ...(yield* optionsOf(given)), group, start }
})

const fromOf = Effect.fnUntraced(function* (given: Flags): Effect.fn.Return<From, UsageError> {
  const { from, last } = given
  if (Option.isSome(from) && Option.isSome(last)) {
    return yield* new UsageError({ message: "--last and --from: give one of them" })
  }
  if (Option.isSome(last)) return { last: last.value }
  if (Option.isNone(from)) return "now"
  if (from.value.trim() === "first") return "first"
  const start = parseStart(from.value, yield* Clock.currentTimeMillis)
  if (Result.isSuccess(start)) return start.success
  return yield* new UsageError({ message: `--from: ${start.failure}` })
})

/** Ends after `count` messages, of all patterns together. */
const follow = Effect.fnUntraced(function* (
  patterns: ReadonlyArray<string>,
  count: number | undefined,
  options: SubscribeOptions
) {
  const output = yield* Output
  const star = yield* Polestar
  const subscriptions = yield* Effect.forEach(patterns, (pattern) =>
    star.open(Topic.named<string, Uint8Array>(pattern, codecOf("binary")), options)
  )
  for (const pattern of patterns) yield* output.notice(subscribed(pattern))
  yield* Effect.forkScoped(tellConnection)
  const all = Stream.mergeAll(
    subscriptions.map(({ events }) => events),
    { concurrency: "unbounded" }
  )
  let left = count ?? Number.POSITIVE_INFINITY
  const wanted = Stream.takeUntil(all, (event) => event._tag === "Message" && --left === 0)
  yield* Stream.runForEachArray(wanted, printEvents)
}, Effect.scoped)

const subscribed = (pattern: string): Printed => ({
  text: (paint) => paint("dim", `subscribed to ${pattern}`),
  json: () => ({ notice: "Subscribed", pattern })
})
