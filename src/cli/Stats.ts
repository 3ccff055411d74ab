/** `polestar stats`: the hub's metrics, once or again and again. */
import { Clock, Effect, Predicate, Schedule } from "effect"
import { Command, Flag } from "effect/cli"
import { Polestar } from "../sdk/Polestar.ts"
import { UsageError } from "./ExitCode.ts"
import { present } from "./Flags.ts"
import { jsonFlag, Output } from "./Output.ts"
import { parseDuration } from "./StartAt.ts"
import { connect, targetFlags } from "./Target.ts"

const flags = {
  watch: present("watch", "Prints them again and again, with rates"),
  interval: Flag.String("interval").pipe(
    Flag.withMetavar("<duration>"),
    Flag.withDescription("How often, with --watch"),
    Flag.withDefault("1s")
  ),
  ...jsonFlag,
  ...targetFlags
}

type Stats = { readonly [name: string]: unknown }

export const stats = Command.make("stats", flags, (given) =>
  Effect.gen(function* () {
    const interval = parseDuration(given.interval)
    if (interval === undefined || interval < 1) {
      return yield* new UsageError({
        message: `--interval: found ${JSON.stringify(given.interval)}; allowed: a duration such as "1s"`
      })
    }
    yield* Effect.provide(
      given.watch ? watch(interval) : once,
      connect(given, { name: "polestar stats" })
    ).pipe(Effect.provide(Output.layerOf(given)))
  })
).pipe(
  Command.withDescription(
    "Print the hub's metrics by name. Counts are since the hub started; capacities are shares from 0 to 1; latencies " +
      "are milliseconds in the hub"
  ),
  Command.withShortDescription("Print the hub's metrics"),
  Command.withExamples([{ command: "polestar stats --watch", description: "A line each second" }])
)

const once = Effect.gen(function* () {
  const star = yield* Polestar
  const output = yield* Output
  const now = yield* star.stats
  if (output.isJson) return yield* output.write(`${JSON.stringify(now)}\n`)
  const rows = flatten("", now)
  const width = Math.max(0, ...rows.map(([name]) => name.length))
  yield* output.write(
    rows.map(([name, value]) => `${output.paint("cyan", name.padEnd(width))}  ${value}\n`).join("")
  )
})

/** `{ latency: { p50: 1 } }` is `latency.p50 1`. */
const flatten = (prefix: string, value: unknown): ReadonlyArray<readonly [name: string, value: string]> =>
  Predicate.isObject(value)
    ? Object.entries(value).flatMap(([key, member]) =>
        flatten(prefix === "" ? key : `${prefix}.${key}`, member)
      )
    : [[prefix, typeof value === "number" ? shown(value) : String(value)]]

/** For a person: without an exponent, and what is no whole number with four digits that count. */
const shown = (value: number): string =>
  Number.isInteger(value) || Math.abs(value) >= 10_000
    ? String(Math.round(value))
    : value.toLocaleString("en", { maximumSignificantDigits: 4, useGrouping: false })

/** Of a count, what it rose by in a second; of a gauge, what it is. */
const watched = [
  { name: "messagesReceived", head: "in/s", isCount: true },
  { name: "messagesDelivered", head: "out/s", isCount: true },
  { name: "connections", head: "connections", isCount: false },
  { name: "sessions", head: "sessions", isCount: false },
  { name: "subscriptions", head: "subscriptions", isCount: false },
  { name: "topics", head: "topics", isCount: false },
  { name: "queueDepth", head: "queued", isCount: false },
  { name: "clientQueueDepth", head: "waiting", isCount: false }
] as const

const headsEvery = 20

const watch = Effect.fnUntraced(function* (interval: number) {
  const star = yield* Polestar
  const output = yield* Output
  let before: { readonly stats: Stats; readonly at: number } | undefined
  let lines = 0
  const heads = watched.map(({ head }) => head.padStart(cellWidth(head))).join("  ")
  const step = Effect.gen(function* () {
    const stats = yield* star.stats
    const at = yield* Clock.currentTimeMillis
    const seconds = before === undefined ? 0 : (at - before.at) / 1000
    const cells = watched.map(({ head, isCount, name }) => {
      const value = numberOf(stats, name) - (isCount ? numberOf(before?.stats, name) : 0)
      const text = !isCount ? shown(value) : seconds > 0 ? String(Math.round(value / seconds)) : "-"
      return text.padStart(cellWidth(head))
    })
    before = { stats, at }
    if (output.isJson) return yield* output.write(`${JSON.stringify({ timestamp: at, ...stats })}\n`)
    const head = lines++ % headsEvery === 0 ? `${output.paint("dim", heads)}\n` : ""
    yield* output.write(`${head}${cells.join("  ")}\n`)
  })
  yield* Effect.repeat(step, Schedule.spaced(interval))
})

/** Rates are long where their heads are short. */
const cellWidth = (head: string): number => Math.max(head.length, 9)

const numberOf = (stats: Stats | undefined, name: string): number => {
  const value = stats?.[name]
  return typeof value === "number" ? value : 0
}
