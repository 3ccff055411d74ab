/** `polestar topics`: what a hub says of its topics. */
import { Effect, Option } from "effect"
import { Argument, Command } from "effect/cli"
import { Polestar, type TopicInfo } from "../sdk/Polestar.ts"
import { Output } from "./Output.ts"
import { columns } from "./Table.ts"
import { connect, targetFlags } from "./Target.ts"

const flags = {
  pattern: Argument.String("pattern").pipe(
    Argument.withDescription("Only the topics that match it"),
    Argument.optional
  ),
  ...targetFlags
}

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
  }).pipe(Effect.provide([connect(given, { name: "polestar topics" }), Output.layer]))
).pipe(
  Command.withDescription(
    "List the topics: their subscribers, the messages that the hub holds, and the positions of the oldest one held " +
      "and of the next one to come"
  ),
  Command.withShortDescription("List the topics"),
  Command.withExamples([{ command: "polestar topics 'weather.*'", description: "Those of one level" }])
)

const heads = ["topic", "subscribers", "messages", "first", "next"]

const cells = (topic: TopicInfo): ReadonlyArray<string> => [
  topic.name,
  String(topic.subscribers),
  String(topic.messages),
  `${topic.epoch}:${topic.firstOffset}`,
  `${topic.epoch}:${topic.nextOffset}`
]
