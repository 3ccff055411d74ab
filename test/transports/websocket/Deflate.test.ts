/** What a compressed message may become: no more than one that is not compressed, and it is not first unpacked to see. */
import { constants, deflateRawSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { connectRaw, type FrameOptions, Opcode, type RawPeer } from "./RawPeer.ts"
import { WebSocketHub, webSocketHub } from "./WebSocketHub.ts"

const MIB = 1_048_576
const compressed = { reserved: 4 }

/** So many MiB of spaces, a thousandth of that when it is sent. */
const bomb = (mebibytes: number): Buffer => {
  const one = deflateRawSync(Buffer.alloc(MIB, " "), { finishFlush: constants.Z_FULL_FLUSH })
  return Buffer.concat(Array.from({ length: mebibytes }, () => one))
}

const connect: Effect.Effect<RawPeer, never, WebSocketHub | Scope.Scope> = Effect.gen(function* () {
  const { port } = yield* WebSocketHub
  return yield* connectRaw(
    port,
    "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n"
  )
})

/** The most that buffers took while it was done, beyond what they took before. */
const peakOf = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, number], E, R> =>
  Effect.suspend(() => {
    const before = process.memoryUsage().arrayBuffers
    let peak = before
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers)
    }, 1)
    return Effect.map(
      Effect.ensuring(
        work,
        Effect.sync(() => clearInterval(timer))
      ),
      (answer) => [answer, peak - before] as const
    )
  })

const text = (payload: Uint8Array): FrameOptions => ({ opcode: Opcode.text, payload, ...compressed })
const fragments = (opcode: number, parts: number, payload: Uint8Array): ReadonlyArray<FrameOptions> =>
  Array.from({ length: parts }, (_, part) => ({
    opcode: part === 0 ? opcode : Opcode.continuation,
    payload,
    isFinal: part === parts - 1,
    ...(part === 0 ? compressed : {})
  }))

const bombs: ReadonlyArray<readonly [string, ReadonlyArray<FrameOptions>]> = [
  ["a text", [text(bomb(512))]],
  ["what would be of the binary protocol", [{ ...text(bomb(512)), opcode: Opcode.binary }]],
  ["many parts, each of which is small", fragments(Opcode.text, 512, bomb(1))],
  ["one that is a byte too large", [text(deflateRawSync(Buffer.alloc(MIB + 131_073, " ")))]]
]

describe("websocket, compressed", () => {
  it.live.each(bombs)("deflate - refused by 1009 before it is unpacked as a whole: %s", ([, frames]) =>
    Effect.gen(function* () {
      const peer = yield* connect
      const attack = Effect.suspend(() => {
        for (const frame of frames) peer.send(frame)
        return peer.closeCode
      })
      const [code, peak] = yield* peakOf(attack)
      assert.strictEqual(code, 1009)
      assert.isBelow(peak, 32 * MIB)
      // The hub goes on.
      const other = yield* connect
      other.send(text(deflateRawSync(Buffer.from('{"type":"ping","request_id":1}'))))
      assert.strictEqual((yield* other.nextJson).type, "pong")
    }).pipe(Effect.scoped, Effect.provide(webSocketHub({ wsDeflate: true, maxMessageSize: MIB })))
  )
})
