/** `polestar sub`: prints the messages of patterns as they come, and tells what was lost on standard error. */
import { Clock, Effect, Option, Result, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Overflows } from "../protocol/Position.ts"
import { decodeConsumerSettings } from "../sdk/ClientSettings.ts"
import type { Delivery, SubscriptionEvent } from "../sdk/Delivery.ts"
import { Polestar } from "../sdk/Polestar.ts"
import { reconnectSchedule } from "../sdk/ReconnectSchedule.ts"
import type { From, SubscribeOptions } from "../sdk/Subscribing.ts"
import { consumerOptions } from "../sdk/TcpSettings.ts"
import * as Topic from "../sdk/Topic.ts"
import { configFlag, readClientConfig } from "./ClientConfig.ts"
import { telemetry } from "./ClientLog.ts"
import { UsageError } from "./ExitCode.ts"
import { atLeast, present } from "./Flags.ts"
import { Output, type Printed } from "./Output.ts"
import { codecOf, payloadMembers, payloadText } from "./Payload.ts"
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
    Flag.withDescription(`Starts there: ${startForms}`),
    Flag.optional
  ),
  count: atLeast("count", 1).pipe(Flag.withDescription("Ends after so many messages"), Flag.optional),
  overflow: Flag.Literals("overflow", Overflows).pipe(
    Flag.withDescription("What happens when this command is too slow; wait holds back the publishers"),
    Flag.withDefault("drop-oldest")
  ),
  noEcho: present("no-echo", "Leaves out what this client publishes itself"),
  config: configFlag("a consumer; its topics are subscribed to"),
  ...targetFlags
}

type Flags = Command.Command.Config.Infer<typeof flags>

export const sub = Command.make("sub", flags, (given) =>
  Effect.gen(function* () {
    const from = yield* fromOf(given)
    const config = yield* readClientConfig(given.config, decodeConsumerSettings)
    const patterns = [...Option.toArray(given.pattern), ...(config?.topics ?? [])]
    if (patterns.length === 0) return yield* new UsageError({ message: "give a pattern, or --config" })
    // A follower waits for its hub, for however long.
    const reconnect = reconnectSchedule
    const base = { name: "polestar sub", reconnect, ...(config === undefined ? {} : consumerOptions(config)) }
    yield* follow(patterns, Option.getOrUndefined(given.count), {
      from,
      overflow: given.overflow,
      echo: !given.noEcho
    }).pipe(Effect.provide(connect(given, base)), Effect.provide(telemetry))
  }).pipe(Effect.provide(Output.layer))
).pipe(
  Command.withDescription(
    "Print messages as they come: topic and payload, or with --format json one object a line with topic, epoch, " +
      "offset, timestamp, id, headers and payload (base64 with encoding where it is neither JSON nor text). " +
      "Standard error says when it is subscribed, what was dropped and what a reconnection recovered or lost."
  ),
  Command.withShortDescription("Print messages as they come"),
  Command.withExamples([
    { command: "polestar sub 'weather.>'", description: "All topics below weather" },
    { command: "polestar sub orders.eu --last 10 --count 10", description: "The last ten, then end" },
    { command: "polestar sub orders.eu --from 5m --format json", description: "From five minutes ago" }
  ])
)

const fromOf = Effect.fnUntraced(function* (given: Flags): Effect.fn.Return<From, UsageError> {
  const { from, last } = given
  if (Option.isSome(from) && Option.isSome(last)) {
    return yield* new UsageError({ message: "--last and --from: give one of them" })
  }
  if (Option.isSome(last)) return { last: last.value }
  if (Option.isNone(from)) return "now"
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

/** What came together is written together. */
const printEvents = Effect.fnUntraced(function* (events: ReadonlyArray<SubscriptionEvent<Uint8Array>>) {
  const output = yield* Output
  let lines = ""
  for (const event of events) {
    if (event._tag === "Message") {
      lines += output.isJson
        ? `${jsonLine(event)}\n`
        : `${output.paint("cyan", event.topic)} ${payloadText(event.value, output.isTerminal, output.paint)}\n`
    } else {
      const notice = noticeOf(event)
      if (notice !== undefined) yield* output.notice(notice)
    }
  }
  if (lines !== "") yield* output.write(lines)
})

const jsonLine = (message: Delivery<Uint8Array>): string => {
  const { contentType, headers, id, key, position, timestamp, topic, value } = message
  const { epoch, offset } = position
  const members = { topic, epoch, offset, timestamp, id: id ?? null, key, headers, contentType }
  return `${JSON.stringify(members).slice(0, -1)},${payloadMembers(value, contentType)}}`
}

const noticeOf = (event: SubscriptionEvent<Uint8Array>): Printed | undefined => {
  switch (event._tag) {
    case "Dropped": {
      const { count, from, to, topic } = event
      return {
        text: (paint) =>
          paint(
            "yellow",
            `dropped ${count} of ${topic}, from ${from.offset} to before ${to.offset}: too slow`
          ),
        json: () => ({ notice: "Dropped", topic, from, to, count })
      }
    }
    case "Gap": {
      const { from, to, topic } = event
      return {
        text: (paint) =>
          paint("red", `gap in ${topic}, from ${from.epoch}:${from.offset} to ${to.epoch}:${to.offset}`),
        json: () => ({ notice: "Gap", topic, from, to })
      }
    }
    case "Recovered": {
      const { messages } = event
      return {
        text: (paint) => paint("green", `recovered: nothing was missed, ${messages} came again`),
        json: () => ({ notice: "Recovered", messages })
      }
    }
    default:
      return undefined
  }
}

const subscribed = (pattern: string): Printed => ({
  text: (paint) => paint("dim", `subscribed to ${pattern}`),
  json: () => ({ notice: "Subscribed", pattern })
})

/** Says when the connection is lost, and when there is one again. */
const tellConnection = Effect.gen(function* () {
  const output = yield* Output
  const star = yield* Polestar
  let isLost = false
  yield* Stream.runForEach(star.states, (state) => {
    if (state._tag === "Reconnecting" && !isLost) {
      isLost = true
      const { message } = state.cause
      return output.notice({
        text: (paint) => paint("yellow", `${message}; connecting again`),
        json: () => ({ notice: "Reconnecting", message })
      })
    }
    if (state._tag !== "Connected" || !isLost) return Effect.void
    isLost = false
    return output.notice({
      text: (paint) => paint("green", "connected again"),
      json: () => ({ notice: "Connected", hub: state.hub })
    })
  })
})
