import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { encodeFrame, magic } from "../../src/protocol/Frame.ts"
import { Op } from "../../src/protocol/Op.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { workOn } from "./BusyHub.ts"
import { CutProxy } from "./CutProxy.ts"
import { eventually, wireClient } from "./Faults.ts"
import { memorySettles, startHub } from "./HubProcess.ts"

const MIB = 1_048_576

/** The beginning of a PUBLISH frame of so many bytes: ten bytes of it. */
const beginning = (length: number): Uint8Array => {
  const bytes = new Uint8Array(10)
  new DataView(bytes.buffer).setUint32(0, length, true)
  bytes[4] = Op.Publish
  return bytes
}

describe("faults - slow-loris", () => {
  it.live("slow-loris - a conversation of one byte at a time is understood, however it is cut", () =>
    Effect.gen(function* () {
      const hub = yield* startHub()
      const goesOn = yield* workOn(hub.port)
      const client = yield* wireClient(hub.port)
      const hello = { minVersion: 1, maxVersion: 1, features: 3, name: "slow", token: "" }
      const trickle = Effect.fnUntraced(function* (frame: Uint8Array) {
        for (const byte of frame) {
          client.raw(Uint8Array.of(byte))
          yield* Effect.callback<void>((resume) => {
            setImmediate(() => resume(Effect.void))
          })
        }
      })
      yield* trickle(encodeFrame({ _tag: "Hello", magic, ...hello }))
      client.open(1)
      yield* trickle(client.publishFrame("slow.loris", ["one", "two"], { receipt: true }).bytes)
      const receipt = yield* client.next("Receipt")
      assert.strictEqual(receipt.count, 2)

      const proxy = yield* CutProxy.make(hub.port)
      proxy.splitBytes = 1
      const split = yield* wireClient(proxy.port)
      yield* split.begin()
      yield* split.subscribe("slow.loris", { start: { _tag: "Last", count: 10 } })
      const messages = yield* split.messages(1, 2)
      assert.deepStrictEqual(
        messages.map(({ text }) => text),
        ["one", "two"]
      )
      yield* goesOn
    })
  )

  it.live("slow-loris - 500 frames of 1 MiB that are only announced cost nothing", () =>
    Effect.gen(function* () {
      const peers = 500
      const hub = yield* startHub()
      const goesOn = yield* workOn(hub.port)
      const clients = yield* Effect.forEach(
        range(peers),
        () => Effect.tap(wireClient(hub.port), (client) => client.begin()),
        { concurrency: 50 }
      )
      yield* goesOn
      const before = yield* hub.memory
      for (const client of clients) client.raw(beginning(MIB))
      yield* goesOn
      yield* memorySettles(hub, before + 6 * MIB)
      // They are still there, and one that goes on sending is served in the end.
      const first = clients[0]!
      first.raw(new Uint8Array(MIB - 6))
      const ended = yield* first.goodbye
      assert.strictEqual(ended, "protocol-error")
      yield* eventually(
        "the others to be there still",
        Effect.sync(() => clients.slice(1).every(({ isClosed }) => !isClosed))
      )
      yield* goesOn
    })
  )
})
