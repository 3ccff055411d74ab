/** The SDK over `wss:` as a program has it, trusting what NODE_EXTRA_CA_CERTS names: publishes and prints what comes back. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Stream } from "effect"
import { Polestar, Topic } from "../../src/index.ts"

const topic = Topic.dynamic("secure.sdk")

const program = Effect.gen(function* () {
  const star = yield* Polestar
  const { messages } = yield* star.open(topic)
  const { durability } = yield* star.publish(topic, "over TLS")
  const [first] = yield* messages.pipe(Stream.take(1), Stream.runCollect)
  yield* Console.log(`${durability} ${String(first?.value)}`)
})

NodeRuntime.runMain(
  Effect.scoped(program).pipe(Effect.provide(Polestar.layerWebSocket({ url: process.argv[2] ?? "" })))
)
