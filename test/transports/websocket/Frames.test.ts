/** What a client may do with the frames of RFC 6455, what it may not, and that the others notice nothing of it. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { connectJson } from "./JsonPeer.ts"
import { connectRaw, type FrameOptions, Opcode, type RawPeer, rawFrame } from "./RawPeer.ts"
import { WebSocketHub, webSocketHub } from "./WebSocketHub.ts"

const connect = Effect.flatMap(WebSocketHub, ({ port }) => connectRaw(port))

const ping = JSON.stringify({ type: "ping", request_id: "p" })

const send =
  (...frames: ReadonlyArray<FrameOptions>) =>
  (peer: RawPeer) => {
    for (const frame of frames) peer.send(frame)
  }

const text = (payload: string | Uint8Array, isFinal = true): FrameOptions => ({
  opcode: Opcode.text,
  payload,
  isFinal
})
const more = (payload: string | Uint8Array, isFinal = true): FrameOptions => ({
  opcode: Opcode.continuation,
  payload,
  isFinal
})

/** What breaks the protocol, and the code of RFC 6455 that ends the connection. */
const broken: ReadonlyArray<readonly [name: string, say: (peer: RawPeer) => void, code: number]> = [
  ["a frame that is not masked", send({ ...text(ping), isMasked: false }), 1002],
  ["an opcode that there is not", send({ opcode: 3, payload: "x" }), 1002],
  ["a reserved bit", send({ ...text(ping), reserved: 4 }), 1002],
  ["a control frame in pieces", send({ opcode: Opcode.ping, isFinal: false }), 1002],
  ["a control frame that is too long", send({ opcode: Opcode.ping, payload: "x".repeat(126) }), 1002],
  ["a piece of no message", send(more("x")), 1002],
  ["a message within another", send(text("{", false), text(ping)), 1002],
  ["text that is not UTF-8", send(text(Uint8Array.of(0x22, 0xff, 0x22))), 1007],
  ["half of a surrogate pair", send(text(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22))), 1007],
  ["a message that is too large", send(text(" ".repeat(200_000))), 1009],
  ["a length that is too large", send({ opcode: Opcode.text, claims: 2 ** 40 }), 1009],
  [
    "pieces that are too large together",
    send(text(" ".repeat(100_000), false), more(" ".repeat(100_000))),
    1009
  ],
  [
    "a message in crumbs",
    (peer) => {
      peer.send(text(" ", false))
      peer.socket.write(Buffer.concat(Array.from({ length: 5000 }, () => rawFrame(more(" ", false)))))
    },
    1008
  ],
  ["a close code that may not be sent", send({ opcode: Opcode.close, payload: Uint8Array.of(3, 237) }), 1002]
]

layer(webSocketHub({ maxMessageSize: 1000 }), { excludeTestServices: true })("websocket frames", (it) => {
  for (const [name, say, code] of broken) {
    it.effect(`frames - ${name} ends the connection with ${code}, and no other`, () =>
      Effect.gen(function* () {
        const { sockets, url } = yield* WebSocketHub
        const other = yield* connectJson(url)
        other.send({ type: "subscribe", topic: "steady" })
        yield* other.nextOf("ack")
        const peer = yield* connect
        say(peer)
        assert.strictEqual(yield* peer.closeCode, code)
        other.send({ type: "publish", topic: "steady", message: { id: crypto.randomUUID(), payload: name } })
        assert.deepInclude((yield* other.nextOf("event")).message, { payload: name })
        assert.isAtLeast(sockets.connections(), 1)
      })
    )
  }

  it.effect("frames - a message in pieces is whole, whatever stands between them", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      const [a, b, c] = [ping.slice(0, 5), ping.slice(5, 9), ping.slice(9)]
      send(
        text(a, false),
        { opcode: Opcode.ping, payload: "are you there" },
        more(b, false),
        more("", false),
        { opcode: Opcode.pong },
        more(c)
      )(peer)
      const pong = yield* peer.next
      assert.strictEqual(pong._tag, "Some")
      if (pong._tag === "Some") {
        assert.strictEqual(pong.value.opcode, Opcode.pong)
        assert.strictEqual(pong.value.payload.toString(), "are you there")
      }
      assert.deepInclude(yield* peer.nextJson, { type: "pong", request_id: "p" })
    })
  )

  it.effect("frames - a letter may be cut in two", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      const bytes = Buffer.from(JSON.stringify({ type: "ping", request_id: "ü" }))
      const cut = bytes.indexOf(0xc3) + 1
      send(text(bytes.subarray(0, cut), false), more(bytes.subarray(cut)))(peer)
      assert.deepInclude(yield* peer.nextJson, { request_id: "ü" })
    })
  )

  it.effect("frames - may come byte by byte, or many at once", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      for (const byte of rawFrame(text(ping))) peer.socket.write(Uint8Array.of(byte))
      assert.deepInclude(yield* peer.nextJson, { type: "pong" })
      peer.socket.write(Buffer.concat(Array.from({ length: 500 }, () => rawFrame(text(ping)))))
      for (let i = 0; i < 500; i++) assert.deepInclude(yield* peer.nextJson, { type: "pong" })
    })
  )

  it.effect("frames - an empty text is no JSON, and the connection lives", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send(text(""))
      assert.deepInclude((yield* peer.nextJson).error, { code: "INVALID_JSON" })
      peer.send(text(ping))
      assert.deepInclude(yield* peer.nextJson, { type: "pong" })
    })
  )

  it.effect("frames - a close is answered by the same code", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ opcode: Opcode.close, payload: Uint8Array.of(0x03, 0xe8) })
      assert.strictEqual(yield* peer.closeCode, 1000)
    })
  )
})
