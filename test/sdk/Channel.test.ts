import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Channel from "../../src/sdk/Channel.ts"
import { Polestar } from "../../src/sdk/Polestar.ts"
import { connect } from "./ClientFixture.ts"
import { settle } from "./FakeHub.ts"

const id = "6e1b4a52-0c3d-4b8e-9a57-2f1d0c9b8a76"

describe("channel", () => {
  it.effect("channel - counts what a gap leaves out, at least one if the channel began anew", () =>
    Effect.gen(function* () {
      const { client, hub } = yield* connect()
      const star = Layer.effect(Polestar, Polestar.fromClient(client))
      const channel = yield* Effect.provide(Channel.join(id), yield* Layer.build(star))
      const session = hub.last.of("Subscribe")[0]?.session ?? 0
      const gap = (from: number, epoch: number, to: number) =>
        hub.last.send({
          _tag: "Gap",
          session,
          subscription: 1,
          topic: `$channel.${id}`,
          from: { epoch: 1, offset: from },
          to: { epoch, offset: to }
        })
      gap(3, 1, 10)
      yield* settle
      assert.strictEqual(yield* channel.missed, 7)
      gap(10, 2, 0)
      yield* settle
      assert.strictEqual(yield* channel.missed, 8)
    })
  )
})
