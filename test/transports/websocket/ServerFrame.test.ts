import { assert, describe, it } from "@effect/vitest"
import { FrameRun } from "../../../src/transports/websocket/FrameRun.ts"
import {
  frameHeader,
  Opcode,
  pingFrame,
  textFrame,
  textsOf
} from "../../../src/transports/websocket/ServerFrame.ts"

const frameOf = (length: number): Uint8Array => textFrame(new Uint8Array(length).fill(0x61))

describe("websocket - a server's frames", () => {
  it("frames - each length has the shortest header", () => {
    assert.deepStrictEqual([...frameHeader(Opcode.binary, 125)], [0x82, 125])
    assert.deepStrictEqual([...frameHeader(Opcode.binary, 126)], [0x82, 126, 0, 126])
    assert.deepStrictEqual([...frameHeader(Opcode.binary, 65_535)], [0x82, 126, 255, 255])
    assert.deepStrictEqual([...frameHeader(Opcode.binary, 65_536)], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0])
  })

  it("frames - the texts of a run are found again, and pings left out", () => {
    const lengths = [0, 1, 125, 126, 65_535, 65_536, 3]
    const run = Buffer.concat([pingFrame(), ...lengths.map(frameOf), pingFrame()])
    assert.deepStrictEqual(
      [...textsOf(run)].map(({ length }) => length),
      lengths
    )
  })
})

describe("websocket - a run of frames", () => {
  it("runs - what follows is in order", () => {
    const run = new FrameRun(Buffer.from("a")).followedBy(Buffer.from("bc")).followedBy(Buffer.from("d"))
    assert.strictEqual(run.length, 4)
    assert.strictEqual(Buffer.from(run.bytes).toString(), "abcd")
  })

  it("runs - connections with the same frames share one piece of bytes, and others are not mixed up", () => {
    const [a, b, c] = [Buffer.from("a"), Buffer.from("b"), Buffer.from("c")]
    const first = new FrameRun(a)
    const one = first.followedBy(b)
    const two = first.followedBy(b)
    const other = first.followedBy(c)
    assert.strictEqual(one.bytes, two.bytes)
    assert.strictEqual(Buffer.from(other.bytes).toString(), "ac")
    assert.strictEqual(Buffer.from(one.followedBy(c).bytes).toString(), "abc")
    assert.strictEqual(Buffer.from(first.bytes).toString(), "a")
  })
})
