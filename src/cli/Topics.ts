/** `polestar topics`: what a hub says of its topics; `polestar topics rm` deletes one. */
import { Effect, Option } from "effect"
import { Argument, Command } from "effect/cli"
import { Polestar, type TopicInfo } from "../sdk/Polestar.ts"
import { confirm, yesFlag } from "./Confirm.ts"
import { nameOf } from "./Flags.ts"
import { jsonFlag, Output } from "./Output.ts"
import { columns } from "./Table.ts"
import { connect, targetFlags } from "./Target.ts"

const flags = {
  pattern: Argument.String("pattern").pipe(
    Argument.withDescription("Only the topics that match it"),
    Argument.optional
  ),
  ...jsonFlag,
  ...targetFlags
}

const rmFlags = { topic: nameOf("topic", "Name of the topic"), ...yesFlag, ...jsonFlag, ...targetFlags }

const rm = Command.make("rm", rmFlags, (given) =>
  Effect.gen(function* () {
    if (!(yield* confirm(given, `Delete all messages of ${given.topic}?`))) return
    yield* Effect.gen(function* () {
      const star = yield* Polestar
      const output = yield* Output
      yield* star.removeTopic(given.topic)
      yield* output.print({
        text: (paint) => `${paint("cyan", given.topic)} removed`,
        json: () => ({ topic: given.topic, removed: true })
      })
    }).pipe(Effect.provide(connect(given, { name: "polestar topics" })))
  }).pipe(Effect.provide(Output.layerOf(given)))
).pipe(
  Command.withDescription(
    "Delete a topic's messages, for good. What groups have not acknowledged of it is lost to them"
  ),
  Command.withShortDescription("Delete a topic's messages")
)

export const topics = Command.make("topics", flags, (given) =>
  Effect.gen(function* () {
    const star = yield* Polestar
    const output = yield* Output
    const found = yield* star.topics(Option.getOrUndefined(given.pattern))
    if (output.isJson) {
      yield* Effect.forEach(found, (topic) => output.write(`${JSON.stringify(topic)}\n`), { discard: true })
    } else {
      yield* output.write(columns([heads, ...found.map(cells)], output.paint))
    }
  }).pipe(Effect.provide([connect(given, { name: "polestar topics" }), Output.layerOf(given)]))
).pipe(
  Command.withDescription(
    "List the topics: their subscribers, the messages that the hub holds, and the positions of the oldest one held " +
      "and of the next one to come"
  ),
  Command.withShortDescription("List the topics"),
  Command.withExamples([{ command: "polestar topics 'weather.*'", description: "Those of one level" }]),
  Command.withSubcommands([rm])
)

const heads = ["topic", "subscribers", "messages", "first", "next"]

const cells = (topic: TopicInfo): ReadonlyArray<string> => [
  topic.name,
  String(topic.subscribers),
  String(topic.messages),
  `${topic.epoch}:${topic.firstOffset}`,
  `${topic.epoch}:${topic.nextOffset}`
]
