import { assert, describe, it } from "@effect/vitest"
import { defaultJsonLimits } from "../../../src/protocol/json/JsonLimits.ts"
import { parseMessageId } from "../../../src/protocol/json/MessageId.ts"
import {
  decodeAckBody,
  decodeBulkBody,
  decodePublishBody,
  messagesBody,
  receiptOf
} from "../../../src/protocol/json/MessageJson.ts"
import { noTexts, type Texts } from "../../../src/protocol/json/Texts.ts"
import { chance, mutated } from "../Chance.ts"
import { asText, asValue, utf8 } from "./JsonArbitraries.ts"

const body = (value: unknown) => utf8(JSON.stringify(value))
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, each) => (each instanceof Uint8Array ? asText(each) : each)))
const message = (topic: string, payload: string) => ({
  _tag: "TopicMessage",
  topic,
  message: { payload, contentType: "application/json" },
  ttl: 0,
  priority: 0,
  deliverAt: 0
})

describe("message json - publish", () => {
  it("message json - the reference's example", () => {
    const payload = '{\n      "user_id": 123,\n      "message": "Hello, World!"\n    }'
    const text = `{\n    "topic": "notifications",\n    "payload": ${payload},\n    "ttl": 3600\n  }`
    assert.deepStrictEqual(plain(decodePublishBody(utf8(text))), {
      ...message("notifications", payload),
      ttl: 3_600_000
    })
  })

  it("message json - text, and a payload that is null or empty", () => {
    const read = (fields: object) => plain(decodePublishBody(body({ topic: "a", ...fields })))
    assert.deepStrictEqual(read({ payload: null }), message("a", "null"))
    assert.deepStrictEqual(read({ payload: "" }), message("a", '""'))
    for (const payload of ["", "größer\n"]) {
      assert.deepStrictEqual(read({ payload, content_type: "text/html" }), {
        ...message("a", payload),
        message: { payload, contentType: "text/html" }
      })
    }
    assert.deepStrictEqual(read({ payload: "aGk", encoding: "base64" }), {
      ...message("a", "hi"),
      message: { payload: "hi", contentType: "application/octet-stream" }
    })
  })

  const faults: ReadonlyArray<readonly [string, string]> = [
    ["INVALID_JSON", ""],
    ["INVALID_JSON", "[]"],
    ["INVALID_JSON", '{"topic":"a","payload":1'],
    ["MISSING_TOPIC", '{"payload":1}'],
    ["BAD_REQUEST", '{"topic":5,"payload":1}'],
    ["INVALID_TOPIC", '{"topic":"a.>","payload":1}'],
    ["MISSING_MESSAGE", '{"topic":"a"}'],
    ["BAD_REQUEST", '{"topic":"a","payload":1,"ttl":5000000}'],
    ["BAD_REQUEST", '{"topic":"a","payload":1,"deliver_at":"tomorrow"}'],
    ["BAD_REQUEST", '{"topic":"a","payload":1,"content_type":"text/plain"}'],
    ["MESSAGE_TOO_LARGE", `{"topic":"a","payload":"${"a".repeat(1_048_576)}"}`],
    ["MESSAGE_TOO_LARGE", `{"topic":"a","payload":1,"x":"${"a".repeat(defaultJsonLimits.maxBytes)}"}`]
  ]
  for (const [code, text] of faults) {
    it(`message json - ${code}: ${text.slice(0, 60)}`, () => {
      const answer = decodePublishBody(utf8(text))
      assert.strictEqual(answer._tag === "Fault" ? answer.code : answer._tag, code)
    })
  }
})

describe("message json - bulk", () => {
  it("message json - a message or a fault for each, in order", () => {
    const messages = [{ topic: "a", payload: { b: 1 } }, { topic: "a" }, 5, { topic: "b", payload: 2 }]
    assert.deepStrictEqual(plain(decodeBulkBody(body({ messages }))), [
      message("a", '{"b":1}'),
      { _tag: "Fault", code: "MISSING_MESSAGE", message: "there is no `payload`" },
      { _tag: "Fault", code: "INVALID_JSON", message: "it is not a JSON object" },
      message("b", "2")
    ])
    assert.deepStrictEqual(decodeBulkBody(body({ messages: [] })), [])
  })

  it("message json - what holds for one message holds in bulk: depth, size and number", () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)
    const one = (depth: number) => `{"topic":"a","payload":${nested(depth)}}`
    const tag = (answer: { readonly _tag: string }) => answer._tag
    for (const depth of [125, 126]) {
      const bulk = decodeBulkBody(utf8(`{"messages":[${one(depth)}]}`))
      const first = "_tag" in bulk ? bulk : bulk[0]!
      assert.strictEqual(tag(first), tag(decodePublishBody(utf8(one(depth)))))
    }
    const limits = { ...defaultJsonLimits, maxBulk: 2, maxBytes: 40 }
    const few = [
      { topic: "a", payload: 1 },
      { topic: "a", payload: "a".repeat(50) }
    ]
    const sized = plain(decodeBulkBody(body({ messages: few }), limits))
    assert.include(JSON.stringify(sized), "MESSAGE_TOO_LARGE")
    const many = decodeBulkBody(body({ messages: [1, 2, 3] }), limits)
    assert.strictEqual("_tag" in many ? many.code : "", "LIMIT_REACHED")
  })

  it("message json - a body that is broken is one fault, and nothing is thrown", () => {
    const random = chance(1)
    const good = body({
      messages: [
        { topic: "a", payload: 1, headers: { a: "b" } },
        { topic: "b", payload: "" }
      ]
    })
    for (let run = 0; run < 10_000; run++) {
      const bytes = mutated(random, good)
      for (const read of [decodeBulkBody, decodePublishBody, decodeAckBody]) assert.isDefined(read(bytes))
    }
    for (const text of ["", "[]", "{}", '{"messages":{}}', '{"messages":[1}', '{"messages":null}'])
      assert.isTrue("_tag" in decodeBulkBody(utf8(text)), text)
  })
})

describe("message json - ack, receipt and poll", () => {
  it("message json - ack", () => {
    assert.deepStrictEqual(plain(decodeAckBody(body({ message_ids: ["a@1-2", "b"], client_id: "c" }))), {
      _tag: "AckBody",
      messageIds: ["a@1-2", "b"],
      clientId: "c"
    })
    const codes = [{}, { message_ids: [] }, { message_ids: [1] }, { message_ids: "a", client_id: 1 }].map(
      (value) => {
        const answer = decodeAckBody(body(value))
        return answer._tag === "Fault" ? answer.code : ""
      }
    )
    assert.deepStrictEqual(codes, ["MISSING_MESSAGE_ID", "MISSING_MESSAGE_ID", "BAD_REQUEST", "BAD_REQUEST"])
  })

  it("message json - a receipt's message id is that of the delivery", () => {
    const receipt = receiptOf("a", { epoch: 1, offset: 2 }, "stored", false, "own")
    assert.deepStrictEqual(receipt, {
      message_id: "a@1-2",
      id: "own",
      topic: "a",
      offset: 2,
      epoch: 1,
      durability: "stored",
      duplicate: false
    })
    assert.deepStrictEqual(parseMessageId(receipt.message_id), { topic: "a", epoch: 1, offset: 2 })
    assert.notProperty(receiptOf("a", { epoch: 1, offset: 2 }, "accepted", true), "id")
  })

  it("message json - the body of a poll is of several batches, up to a limit", () => {
    const texts = (...lines: ReadonlyArray<string>): Texts => {
      let end = 0
      return { bytes: utf8(lines.join("")), ends: lines.map((line) => (end += line.length)) }
    }
    const parts = [texts("1", '"b"'), noTexts, texts("[3]"), texts("4", "5")]
    assert.deepStrictEqual(asValue(messagesBody([])), { messages: [] })
    assert.deepStrictEqual(asValue(messagesBody(parts)), { messages: [1, "b", [3], 4, 5] })
    assert.deepStrictEqual(asValue(messagesBody(parts, 3)), { messages: [1, "b", [3]] })
    assert.deepStrictEqual(asValue(messagesBody(parts, 0)), { messages: [] })
  })
})
