/** A topic that is removed again and again while others publish to it and a group works on it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema } from "effect"
import { Hub, TcpServer } from "../../src/hub.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import * as HubServer from "../../src/transports/HubServer.ts"
import { temporaryFolder } from "../cli/DurableHub.ts"
import { silently } from "../contracts/sdk/Kit.ts"
import { eventually, sdkClient } from "./Faults.ts"

const topic = Topic.make("removed.often", Schema.Number)

describe("faults - a topic that is removed", () => {
  it.live("topic removal - ends neither the hub nor the topic, nor the group", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryFolder
      const context = yield* Layer.build(HubServer.layerWith({ port: 0, dataDir }))
      yield* Effect.gen(function* () {
        const { port } = yield* TcpServer
        const publisher = yield* sdkClient(port)
        const star = yield* sdkClient(port)
        let heard = 0
        yield* Effect.forkScoped(
          star.consume(topic, { group: "workers" }, () =>
            Effect.sync(() => {
              heard++
            })
          )
        )
        let isOver = false
        const publishing = yield* Effect.forkScoped(
          Effect.repeat(Effect.ignore(publisher.publish(topic, 1)), { while: () => !isOver })
        )
        for (let round = 0; round < 20; round++) {
          const before = heard
          yield* eventually(
            "a message",
            Effect.sync(() => heard > before)
          )
          yield* star.removeTopic("removed.often")
        }
        isOver = true
        yield* Fiber.join(publishing)
        const receipt = yield* publisher.publish(topic, 2)
        assert.strictEqual(receipt.durability, "stored")
        yield* eventually(
          "an end of the lag",
          Effect.map(star.groups.info("workers"), ({ lag }) => lag === 0)
        )
        const failure = yield* Effect.forkScoped((yield* Hub).failure)
        assert.isUndefined(failure.pollUnsafe())
      }).pipe(Effect.provide(context))
    }).pipe(Effect.scoped, silently)
  )
})
