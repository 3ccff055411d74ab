/** `polestar dead`: what groups gave up on, to look at, to give to its group again, or to drop. */
import { Effect, Layer, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { octetsContentType } from "../protocol/Message.ts"
import { deadLetterPrefix } from "../protocol/TopicName.ts"
import type { DeadLetter } from "../sdk/Administration.ts"
import { Polestar } from "../sdk/Polestar.ts"
import { atLeast, nameOf } from "./Flags.ts"
import { jsonFlag, Output } from "./Output.ts"
import { payloadText } from "./Payload.ts"
import { lineOf } from "./Printing.ts"
import { columns } from "./Table.ts"
import { connect, type TargetFlags, targetFlags } from "./Target.ts"

const common = { ...jsonFlag, ...targetFlags }
const topic = nameOf("topic", "A topic of dead letters, as ls shows it: $dead.<group>.<topic>").pipe(
  Argument.filter(
    (name) => name.startsWith(deadLetterPrefix),
    (name) => `allowed: $dead.<group>.<topic>, as polestar dead ls lists them; found ${JSON.stringify(name)}`
  )
)

const layersOf = (given: TargetFlags & { readonly json: boolean }) =>
  Layer.merge(connect(given, { name: "polestar dead" }), Output.layerOf(given))

const lsFlags = {
  group: Flag.String("group").pipe(Flag.withDescription("Only those of this group"), Flag.optional),
  ...common
}

const heads = ["topic", "group", "origin", "messages"]

const ls = Command.make("ls", lsFlags, (given) =>
  Effect.gen(function* () {
    const star = yield* Polestar
    const output = yield* Output
    const found = yield* star.deadLetters.list({ group: Option.getOrUndefined(given.group) })
    if (output.isJson) return yield* output.write(found.map((each) => `${JSON.stringify(each)}\n`).join(""))
    const rows = found.map(({ group, messages, origin, topic }) => [topic, group, origin, String(messages)])
    yield* output.write(columns([heads, ...rows], output.paint))
  }).pipe(Effect.provide(layersOf(given)))
).pipe(
  Command.withDescription("List the topics of dead letters that were neither requeued nor dropped"),
  Command.withShortDescription("List the topics of dead letters")
)

const showFlags = {
  topic,
  limit: atLeast("limit", 1).pipe(
    Flag.withDescription("At most so many, the oldest first (default 100)"),
    Flag.optional
  ),
  ...common
}

const show = Command.make("show", showFlags, (given) =>
  Effect.gen(function* () {
    const star = yield* Polestar
    const output = yield* Output
    const limit = Option.getOrUndefined(given.limit)
    const letters = yield* star.deadLetters.show(given.topic, { limit })
    yield* output.write(letters.map((letter) => letterText(output, given.topic, letter)).join(""))
  }).pipe(Effect.provide(layersOf(given)))
).pipe(
  Command.withDescription(
    "Print dead letters: the offset, where the message came from, its attempts and the last error; then the payload. " +
      "With --json one object a line, as polestar sub prints it, with all that in the headers polestar-…"
  ),
  Command.withShortDescription("Print dead letters"),
  Command.withExamples([
    { command: "polestar dead show '$dead.billing.orders.eu' --limit 10", description: "The ten oldest" }
  ])
)

const letterText = (output: Output["Service"], topic: string, letter: DeadLetter): string => {
  const { contentType = octetsContentType, headers, id, key, payload, position, timestamp } = letter
  if (output.isJson) {
    return lineOf(output, { topic, position, timestamp, id, key, headers, contentType, value: payload })
  }
  const header = (name: string): string => plain(headers[`polestar-${name}`] ?? "?")
  const origin = `${header("topic")} ${header("epoch")}:${header("offset")}`
  const attempts = header("attempts")
  const history = `${attempts} ${attempts === "1" ? "attempt" : "attempts"}: ${header("error")}`
  const text = payloadText(payload, output.isTerminal, output.paint)
  return `${output.paint("cyan", String(position.offset))} ${origin} ${output.paint("red", history)}\n  ${text}\n`
}

/** One line, without what could control a terminal. */
const plain = (text: string): string => text.replace(/\p{Cc}+/gu, " ").trim()

const chosen = {
  topic,
  offset: atLeast("offset", 0).pipe(
    Flag.withDescription("Only the dead letter with this offset; may be given again"),
    Flag.atLeast(0)
  ),
  ...common
}

/** None given: all. */
const offsetsOf = (given: { readonly offset: ReadonlyArray<number> }): ReadonlyArray<number> | undefined =>
  given.offset.length === 0 ? undefined : given.offset

const requeue = Command.make("requeue", chosen, (given) =>
  Effect.gen(function* () {
    const star = yield* Polestar
    const output = yield* Output
    const result = yield* star.deadLetters.requeue(given.topic, offsetsOf(given))
    const { missing, requeued } = result
    yield* output.print({
      text: (paint) =>
        missing === 0
          ? `requeued ${requeued}`
          : `requeued ${requeued}, ${paint("red", `missing ${missing}: no longer kept where they came from`)}`,
      json: () => ({ topic: given.topic, ...result })
    })
  }).pipe(Effect.provide(layersOf(given)))
).pipe(
  Command.withDescription(
    "Give dead letters to their group again, with fresh attempts: all of the topic, or those of --offset. What is no " +
      "longer kept where it came from is missing, and stays a dead letter"
  ),
  Command.withShortDescription("Give dead letters to their group again")
)

const drop = Command.make("drop", chosen, (given) =>
  Effect.gen(function* () {
    const star = yield* Polestar
    const output = yield* Output
    const dropped = yield* star.deadLetters.drop(given.topic, offsetsOf(given))
    yield* output.print({ text: () => `dropped ${dropped}`, json: () => ({ topic: given.topic, dropped }) })
  }).pipe(Effect.provide(layersOf(given)))
).pipe(
  Command.withDescription("Let go of dead letters, for good: all of the topic, or those of --offset"),
  Command.withShortDescription("Drop dead letters")
)

export const dead = Command.make("dead").pipe(
  Command.withDescription(
    "Dead letters: messages that a group refused for good, or that failed as often as they may. They are in topics " +
      "$dead.<group>.<topic>; quote them, or a shell reads $dead as a variable"
  ),
  Command.withShortDescription("Look at dead letters, requeue and drop them"),
  Command.withSubcommands([ls, show, requeue, drop])
)
