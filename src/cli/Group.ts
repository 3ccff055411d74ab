/** `polestar group`: the hub's groups, their lag, and what may be done to them. */
import { Effect, Layer, Option } from "effect"
import { Command, Flag } from "effect/cli"
import type { GroupDetail, GroupInfo, LaneInfo } from "../sdk/Administration.ts"
import { Polestar } from "../sdk/Polestar.ts"
import { confirm, yesFlag } from "./Confirm.ts"
import { duration, durationOf, nameOf, pointOf } from "./Flags.ts"
import { groupStartOf, optionFlags, optionsOf } from "./GroupFlags.ts"
import { jsonFlag, Output } from "./Output.ts"
import { pointForms } from "./StartAt.ts"
import { columns } from "./Table.ts"
import { connect, type TargetFlags, targetFlags } from "./Target.ts"

const common = { ...jsonFlag, ...targetFlags }
const named = { name: nameOf("name", "Name of the group"), ...common }

/** What every command here needs. */
const layersOf = (given: TargetFlags & { readonly json: boolean }) =>
  Layer.merge(connect(given, { name: "polestar group" }), Output.layerOf(given))

const ls = Command.make("ls", common, (given) =>
  Effect.gen(function* () {
    const star = yield* Polestar
    const output = yield* Output
    const groups = yield* star.groups.list
    if (output.isJson)
      return yield* output.write(groups.map((group) => `${JSON.stringify(group)}\n`).join(""))
    yield* output.write(columns([heads, ...groups.map(cells)], output.paint))
  }).pipe(Effect.provide(layersOf(given)))
).pipe(
  Command.withDescription(
    "List the groups. lag: messages that are neither acknowledged nor dead letters; of those, in flight: with a " +
      "member; waiting: to be delivered again; parked: set aside until the group is resumed"
  ),
  Command.withShortDescription("List the groups")
)

const info = Command.make("info", named, (given) =>
  Effect.gen(function* () {
    const star = yield* Polestar
    const output = yield* Output
    const group = yield* star.groups.info(given.name)
    if (output.isJson) return yield* output.write(`${JSON.stringify(group)}\n`)
    const width = Math.max(...rowsOf(group).map(([name]) => name.length))
    for (const [name, value] of rowsOf(group)) {
      yield* output.write(`${output.paint("cyan", name.padEnd(width))}  ${value}\n`)
    }
    if (group.lanes.length === 0) return
    yield* output.write(`\n${columns([laneHeads, ...group.lanes.map(laneCells)], output.paint)}`)
  }).pipe(Effect.provide(layersOf(given)))
).pipe(
  Command.withDescription(
    "Show a group, and where it is in each of its topics: floor: all before it is done; next: the first that was not " +
      "taken from the log; end: the end of the log. Counts are since the hub started"
  ),
  Command.withShortDescription("Show a group and its places in its topics")
)

const createFlags = {
  ...named,
  pattern: Flag.String("pattern").pipe(
    Flag.withDescription("Its topics; * stands for one segment, a final > for one or more")
  ),
  from: Flag.String("from").pipe(
    Flag.withMetavar("<where>"),
    Flag.withDescription(`Starts there: now, ${pointForms}`),
    Flag.withDefault("now")
  ),
  inactiveThreshold: duration(
    "inactive-threshold",
    "The group is removed once it has had no member for this long; never, unless it is given"
  ),
  ...optionFlags
}

const create = Command.make("create", createFlags, (given) =>
  Effect.gen(function* () {
    const options = yield* optionsOf(given)
    const start = yield* groupStartOf("from", given.from)
    const inactiveThreshold = yield* durationOf("inactive-threshold", given.inactiveThreshold)
    yield* Effect.gen(function* () {
      const star = yield* Polestar
      yield* printGroup(
        yield* star.groups.create(given.name, given.pattern, { ...options, start, inactiveThreshold })
      )
    }).pipe(Effect.provide(layersOf(given)))
  })
).pipe(
  Command.withDescription(
    "Make a group that has no members yet. What is not given is the hub's default. A group of that name with the same " +
      "pattern and order stays where it is"
  ),
  Command.withShortDescription("Make a group"),
  Command.withExamples([
    {
      command: "polestar group create billing --pattern 'orders.>' --from first",
      description: "A group that begins with the oldest order kept"
    }
  ])
)

const resetFlags = {
  ...named,
  to: Flag.String("to").pipe(
    Flag.withMetavar("<where>"),
    Flag.withDescription(`Goes on there: now, ${pointForms}`)
  ),
  topic: Flag.String("topic").pipe(
    Flag.withDescription("Only in this topic; an offset of a group on several topics needs it"),
    Flag.optional
  )
}

const reset = Command.make("reset", resetFlags, (given) =>
  Effect.gen(function* () {
    const to = given.to.trim() === "now" ? "now" : yield* pointOf("to", given.to, "now, ")
    yield* Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Option.getOrUndefined(given.topic)
      yield* printGroup(yield* star.groups.reset(given.name, to, { topic }))
    }).pipe(Effect.provide(layersOf(given)))
  })
).pipe(
  Command.withDescription(
    "Set where a group goes on, back or ahead. What it has pending is forgotten: what is behind the new place comes " +
      "again, what was skipped does not come"
  ),
  Command.withShortDescription("Set where a group goes on"),
  Command.withExamples([
    { command: "polestar group reset billing --to first", description: "All that is kept, again" },
    { command: "polestar group reset billing --to 1h", description: "The last hour again" },
    {
      command: "polestar group reset billing --to 42 --topic orders.eu",
      description: "From one message of one topic on"
    }
  ])
)

const pause = Command.make("pause", named, (given) =>
  Effect.gen(function* () {
    yield* (yield* Polestar).groups.pause(given.name)
    yield* said(given.name, "paused")
  }).pipe(Effect.provide(layersOf(given)))
).pipe(
  Command.withDescription("Deliver nothing more to a group's members until it is resumed"),
  Command.withShortDescription("Stop delivering to a group")
)

const resume = Command.make("resume", named, (given) =>
  Effect.gen(function* () {
    yield* (yield* Polestar).groups.resume(given.name)
    yield* said(given.name, "resumed")
  }).pipe(Effect.provide(layersOf(given)))
).pipe(
  Command.withDescription("Deliver to a group again, also what was parked"),
  Command.withShortDescription("Deliver to a group again, also what was parked")
)

const rm = Command.make("rm", { ...named, ...yesFlag }, (given) =>
  Effect.gen(function* () {
    if (!(yield* confirm(given, `Remove the group ${given.name} and forget where it was?`))) return
    yield* Effect.gen(function* () {
      yield* (yield* Polestar).groups.remove(given.name)
      yield* said(given.name, "removed")
    }).pipe(Effect.provide(connect(given, { name: "polestar group" })))
  }).pipe(Effect.provide(Output.layerOf(given)))
).pipe(
  Command.withDescription(
    "Remove a group: where it was is forgotten, and its members are told. Its dead letters stay"
  ),
  Command.withShortDescription("Remove a group")
)

export const group = Command.make("group").pipe(
  Command.withDescription(
    "Groups: named, durable consumers, at least once, whose members share the work (polestar sub --group)"
  ),
  Command.withShortDescription("Look at groups, make, reset, pause and remove them"),
  Command.withSubcommands([ls, info, create, reset, pause, resume, rm])
)

const said = Effect.fnUntraced(function* (name: string, what: "paused" | "resumed" | "removed") {
  const output = yield* Output
  yield* output.print({
    text: (paint) => `${paint("cyan", name)} ${what}`,
    json: () => ({ name, [what]: true })
  })
})

/** The row of a list. */
const printGroup = Effect.fnUntraced(function* (group: GroupInfo) {
  const output = yield* Output
  yield* output.write(
    output.isJson ? `${JSON.stringify(group)}\n` : columns([heads, cells(group)], output.paint)
  )
})

const heads = ["group", "pattern", "state", "order", "members", "lag", "in flight", "waiting", "parked"]

const cells = (group: GroupInfo): ReadonlyArray<string> => [
  group.name,
  group.pattern,
  stateOf(group),
  group.order,
  String(group.members),
  String(group.lag),
  String(group.inFlight),
  String(group.waiting),
  String(group.parked)
]

const stateOf = ({ members, paused }: GroupInfo): string =>
  paused ? "paused" : members > 0 ? "active" : "idle"

const rowsOf = (group: GroupDetail): ReadonlyArray<readonly [name: string, value: string]> => [
  ["name", group.name],
  ["pattern", group.pattern],
  ["state", stateOf(group)],
  ["order", group.order],
  ["members", String(group.members)],
  ["topics", String(group.topics)],
  ["lag", String(group.lag)],
  ["in flight", String(group.inFlight)],
  ["waiting", String(group.waiting)],
  ["parked", String(group.parked)],
  ["acknowledged", String(group.acknowledged)],
  ["redelivered", String(group.redelivered)],
  ["dead-lettered", String(group.deadLettered)],
  ["lost", String(group.lost)],
  ["ack wait", `${group.ackWait} ms`],
  ["max deliveries", group.maxDeliveries === 0 ? "no limit" : String(group.maxDeliveries)],
  ["max in flight", String(group.maxInFlight)],
  ["backoff", `${group.backoff} ms, ${group.maxBackoff} ms at most`],
  ["removed if idle", group.inactiveThreshold === undefined ? "never" : `after ${group.inactiveThreshold} ms`]
]

const laneHeads = ["topic", "floor", "next", "end", "lag", "in flight", "waiting", "parked"]

const laneCells = ({ end, epoch, floor, inFlight, lag, next, parked, topic, waiting }: LaneInfo) => [
  topic,
  `${epoch}:${floor}`,
  `${epoch}:${next}`,
  `${epoch}:${end}`,
  ...[lag, inFlight, waiting, parked].map(String)
]
