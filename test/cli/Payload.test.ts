import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { guessKind, isKind, LineSplitter, payloadMembers, payloadText } from "../../src/cli/Payload.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (line: Uint8Array): string => new TextDecoder().decode(line)
const plain = (_: unknown, shown: string): string => shown
const notText = Uint8Array.of(0xff, 0)

describe("Payload", () => {
  it("guessKind - JSON, then text, then binary", () => {
    assert.strictEqual(guessKind(bytes(' {"a": [1]}\n')), "json")
    assert.strictEqual(guessKind(bytes("12")), "json")
    assert.strictEqual(guessKind(bytes("hello")), "text")
    assert.strictEqual(guessKind(bytes("")), "text")
    assert.strictEqual(guessKind(notText), "binary")
  })

  it("isKind - checks what a payload is called", () => {
    assert.isFalse(isKind("json", bytes("{")))
    assert.isFalse(isKind("text", notText))
    assert.isTrue(isKind("binary", notText))
  })

  it("payloadMembers - a value, a string or base64, on one line", () => {
    const members = (payload: Uint8Array, contentType: string): unknown =>
      JSON.parse(`{${payloadMembers(payload, contentType)}}`)
    assert.deepStrictEqual(members(bytes('{\n"a":\r\n1}\n'), "application/json"), { payload: { a: 1 } })
    assert.notInclude(payloadMembers(bytes('{\n"a":\r\n1}\n'), "application/geo+json"), "\n")
    assert.deepStrictEqual(members(bytes("a\nb"), "text/plain; charset=utf-8"), { payload: "a\nb" })
    const base64 = { payload: "/wA=", encoding: "base64" }
    for (const type of ["application/json", "text/plain", "application/octet-stream"]) {
      assert.deepStrictEqual(members(notText, type), base64)
    }
    assert.deepStrictEqual(members(bytes("{"), "application/json"), { payload: "ew==", encoding: "base64" })
  })

  it("payloadText - sends a terminal nothing that controls it", () => {
    assert.strictEqual(payloadText(bytes("a\u001b[2Jb\n\tc"), true, plain), "a\u{FFFD}[2Jb\n\tc")
    assert.strictEqual(payloadText(bytes("a\u001b[2Jb"), false, plain), "a\u001b[2Jb")
    assert.strictEqual(payloadText(notText, false, plain), "base64:/wA=")
  })

  it.prop("LineSplitter - lines do not depend on the chunks", [Schema.Array(Schema.String)], ([parts]) => {
    const chunks = parts.flatMap((part) => [part, "\n", part.slice(1)])
    const whole = chunks.join("")
    const expected = whole.split("\n").map((line) => line.replace(/\r$/, ""))
    if (expected.at(-1) === "" && !whole.endsWith("\r")) expected.pop()
    const splitter = new LineSplitter(1_000_000)
    const lines = chunks.flatMap((chunk) => splitter.push(bytes(chunk)) ?? [])
    assert.deepStrictEqual(
      [...lines, ...splitter.end()].map(text),
      expected.map((line) => text(bytes(line)))
    )
  })

  it("LineSplitter - refuses a line that is too long", () => {
    const splitter = new LineSplitter(4)
    assert.lengthOf(splitter.push(bytes("abcd\nab")) ?? [], 1)
    assert.isUndefined(splitter.push(bytes("cde")))
  })
})
