import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Batch, Slab, sliceBatch } from "../../../src/protocol/Batch.ts"
import {
  encodeEvents,
  encodeMessages,
  encodePolled,
  type TopicBatch
} from "../../../src/protocol/json/DeliveryJson.ts"
import { parseMessageId } from "../../../src/protocol/json/MessageId.ts"
import { decodePublishBody, messagesBody } from "../../../src/protocol/json/MessageJson.ts"
import { frameTexts, type Texts, textStart } from "../../../src/protocol/json/Texts.ts"
import type { Message } from "../../../src/protocol/Message.ts"
import { chance, concat, mutated } from "../Chance.ts"
import { encodeRun, runArbitrary } from "../MessageArbitraries.ts"
import { asText, asValue, jsonText, parsed, utf8 } from "./JsonArbitraries.ts"

const topic = 'wetter."köln".>'.replace(".>", "")
const epoch = 1_790_000_000_000_123
const ts = "2026-09-21T14:13:20.000Z"

const batchOf = (frames: ReadonlyArray<ReadonlyArray<Message>>, skip = 0): TopicBatch => {
  const { bytes } = encodeRun(topic, frames)
  // In the middle of a buffer, so that no place is taken for another.
  const start = 7
  const all = concat([new Uint8Array(start).fill(0x22), bytes, new Uint8Array(9).fill(0x22)])
  const count = frames.flat().length - skip
  return {
    topic,
    bytes: all,
    start,
    end: start + bytes.length,
    skip,
    count,
    epoch,
    offset: 98 + skip,
    timestamp: Date.parse(ts)
  }
}

const textAt = (texts: Texts, index: number): Uint8Array =>
  texts.bytes.subarray(textStart(texts, index), texts.ends[index])
const values = (texts: Texts): ReadonlyArray<unknown> =>
  texts.ends.map((_, index) => asValue(textAt(texts, index)))
const one = (message: Message) => batchOf([[message]])
const textOf = (message: Message) => asText(encodeMessages(one(message)).bytes)

const isText = (bytes: Uint8Array): boolean => {
  try {
    return asText(bytes) !== undefined
  } catch {
    return false
  }
}

/** What a message looks like to a reader, by an independent way: values, and `JSON.parse`. */
const contentOf = (message: Message): Record<string, unknown> => {
  const type = message.contentType ?? "application/octet-stream"
  const json = type === "application/json" ? parsed(message.payload) : undefined
  const labels = {
    ...(message.key === undefined ? {} : { key: message.key }),
    ...(message.headers === undefined ? {} : { headers: message.headers })
  }
  if (json !== undefined) return { payload: json.value, ...labels }
  if (type.startsWith("text/") && isText(message.payload))
    return {
      payload: new TextDecoder("utf-8", { ignoreBOM: true }).decode(message.payload),
      content_type: type,
      ...labels
    }
  const payload = Buffer.from(message.payload).toString("base64")
  return { payload, content_type: type, encoding: "base64", ...labels }
}

const expectedEvent = (message: Message, offset: number) => ({
  type: "event",
  topic,
  message: { id: message.id ?? `${epoch}-${offset}`, ...contentOf(message) },
  offset,
  epoch,
  ts
})

const expectedPolled = (message: Message, offset: number) => ({
  message_id: `${topic}@${epoch}-${offset}`,
  topic,
  timestamp: ts,
  epoch,
  offset,
  ...(message.id === undefined ? {} : { id: message.id }),
  ...contentOf(message)
})

describe("delivery json - against an independent reading", () => {
  it.effect.prop(
    "delivery json - a run of frames, whatever fields the messages have, all or a part of it",
    { frames: runArbitrary },
    ({ frames }) =>
      Effect.sync(() => {
        const messages = frames.flat()
        for (const skip of new Set([0, 1, messages.length - 1])) {
          if (skip >= messages.length) continue
          const batch = batchOf(frames, skip)
          const kept = messages.slice(skip)
          assert.deepStrictEqual(
            values(encodeEvents(batch)),
            kept.map((each, i) => expectedEvent(each, batch.offset + i))
          )
          const polled = kept.map((each, i) => expectedPolled(each, batch.offset + i))
          assert.deepStrictEqual(values(encodePolled(batch)), polled)
          assert.deepStrictEqual(
            values(encodeMessages(batch)),
            polled.map((each) => ({ type: "message", ...each }))
          )
          assert.deepStrictEqual(asValue(messagesBody([encodePolled(batch)])), { messages: polled })
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  it("delivery json - the hub's own batches, whole and sliced", () => {
    const messages = Array.from(
      { length: 6 },
      (_, i): Message => ({
        payload: utf8(String(i)),
        contentType: "application/json"
      })
    )
    const { bytes } = encodeRun("a", [messages.slice(0, 2), messages.slice(2)])
    const owner = { name: "a", slab: new Slab(), delivered: 0, dropped: 0 }
    const batch = new Batch(owner, bytes, 0, bytes.length, 6, 0, "publisher")
    batch.offset = 10
    for (let from = 0; from < 6; from++) {
      for (let to = from + 1; to <= 6; to++) {
        const read = values(encodePolled(sliceBatch(batch, from, to)))
        assert.deepStrictEqual(
          read.map((each) => [Reflect.get(Object(each), "payload"), Reflect.get(Object(each), "message_id")]),
          Array.from({ length: to - from }, (_, i) => [from + i, `a@0-${10 + from + i}`])
        )
      }
    }
  })
})

describe("delivery json - payloads", () => {
  const json = (text: string | Uint8Array): Message => ({
    payload: typeof text === "string" ? utf8(text) : text,
    contentType: "application/json"
  })

  it("delivery json - JSON is passed on byte for byte, numbers of any length too", () => {
    const text = '{"n":12345678901234567890,"e":1e400,"__proto__":{"a":1},"s":"\\ud800\\u00e4ä"}'
    assert.include(textOf(json(text)), `"payload":${text}}`)
  })

  it("delivery json - what claims to be JSON and is not becomes base64 that says so", () => {
    const random = chance(1)
    let refused = 0
    for (let run = 0; run < 5000; run++) {
      const message = json(mutated(random, utf8(jsonText(random, 3))))
      const batch = one(message)
      if (parsed(message.payload) === undefined) refused++
      assert.deepStrictEqual(values(encodeEvents(batch)), [expectedEvent(message, batch.offset)])
    }
    assert.isAbove(refused, 1000)
  })

  it("delivery json - no text has a line break, whatever the payload has", () => {
    const random = chance(2)
    for (let run = 0; run < 2000; run++) {
      const text = `\n{"a":\r\n${jsonText(random, 4)}\n}\r`
      const bytes = encodeMessages(one(json(text))).bytes
      assert.isFalse(bytes.includes(10) || bytes.includes(13))
      assert.deepStrictEqual(Reflect.get(Object(asValue(bytes)), "payload"), JSON.parse(text))
    }
    const lines: Message = { payload: utf8("a\nb\r"), contentType: "text/plain; charset=utf-8" }
    assert.isFalse(encodeMessages(one(lines)).bytes.includes(10))
  })

  it("delivery json - JSON nested deeper than readers may bear becomes base64", () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)
    assert.include(textOf(json(nested(128))), `"payload":[[`)
    assert.include(textOf(json(nested(129))), `"encoding":"base64"`)
    assert.include(textOf(json("[".repeat(100_000))), `"encoding":"base64"`)
  })

  const kinds: ReadonlyArray<readonly [string, string]> = [
    ["application/vnd.api+json", '"payload":[1],"content_type":"application/vnd.api+json"'],
    ["application/json; charset=utf-8", '"payload":[1],"content_type":"application/json; charset=utf-8"'],
    [
      "application/json; charset=utf-16",
      '"payload":"WzFd","content_type":"application/json; charset=utf-16","encoding"'
    ],
    ["text/html", '"payload":"[1]","content_type":"text/html"'],
    ["text/plain; charset=latin1", '"payload":"WzFd","content_type":"text/plain; charset=latin1","encoding"'],
    ["image/png", '"payload":"WzFd","content_type":"image/png","encoding":"base64"']
  ]
  for (const [contentType, expected] of kinds) {
    it(`delivery json - ${contentType}`, () =>
      assert.include(textOf({ payload: utf8("[1]"), contentType }), expected))
  }

  it("delivery json - what is delivered can be published again as it is", () => {
    const random = chance(3)
    const types = ["application/json", "text/html", "application/octet-stream", "image/png", "a/b+json"]
    for (let run = 0; run < 1000; run++) {
      const contentType = random.pick(types)
      const payload = random.below(2) === 0 ? random.bytes(random.below(9)) : utf8(jsonText(random, 2))
      const message = { payload, contentType, id: "i", key: "k", headers: { a: "b" } }
      const again = decodePublishBody(encodePolled(one(message)).bytes)
      assert(again._tag === "TopicMessage")
      // A line break between tokens is a space now, and space around a value is none of it.
      const shown = (bytes: Uint8Array) =>
        Buffer.from(bytes)
          .toString("latin1")
          .replaceAll(/[\r\n]/g, " ")
          .trim()
      assert.strictEqual(shown(again.message.payload), shown(payload))
      assert.deepStrictEqual(Object.entries(again.message.headers ?? {}), [["a", "b"]])
      assert.deepStrictEqual(
        [again.topic, again.message.id, again.message.key, again.message.contentType],
        [topic, "i", "k", contentType]
      )
    }
  })
})

describe("delivery json - texts", () => {
  it("delivery json - a message id leads back to the message", () => {
    const batch = one({ payload: utf8("1"), id: "own" })
    const id = Reflect.get(Object(values(encodeMessages(batch))[0]), "message_id")
    assert.deepStrictEqual(parseMessageId(String(id)), { topic, epoch, offset: 98 })
  })

  it("delivery json - a first delivery is not told from a live one; later ones say which they are", () => {
    const batch = one({ payload: utf8("1"), contentType: "application/json" })
    assert.deepStrictEqual(encodeMessages(batch, 1), encodeMessages(batch))
    assert.include(asText(encodeMessages(batch, 3).bytes), '"attempt":3,')
  })

  it("delivery json - what is shared does not hold much more than it says", () => {
    for (const message of [
      { payload: new Uint8Array(10_000) },
      { payload: utf8("1"), contentType: "application/json" }
    ]) {
      const texts = encodeEvents(batchOf([[message, message, message]]))
      assert.isAtMost(texts.bytes.buffer.byteLength * 0.75, texts.bytes.length)
    }
  })

  it("delivery json - of a batch that is not whole come the texts before the break, and nothing is thrown", () => {
    const random = chance(4)
    const message: Message = {
      payload: utf8("1"),
      id: "i",
      key: "k",
      contentType: "a/b",
      headers: { a: "b", c: "d" }
    }
    const batch = batchOf([[message, message], [message]])
    for (let run = 0; run < 20_000; run++) {
      const bytes = mutated(random, batch.bytes.subarray(batch.start, batch.end))
      const broken = { ...batch, bytes, start: 0, end: bytes.length }
      for (const texts of [encodeEvents(broken), encodeMessages(broken)]) {
        assert.isAtMost(texts.ends.length, batch.count)
        assert.strictEqual(values(texts).length, texts.ends.length)
      }
    }
  })

  it("delivery json - as WebSocket frames, of every length", () => {
    const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]
    let end = 0
    const ends = lengths.map((length) => {
      end += length
      return end
    })
    const bytes = chance(5).bytes(end)
    const framed = frameTexts({ bytes, ends })
    lengths.forEach((length, index) => {
      const header =
        length < 126
          ? [0x81, length]
          : length < 65_536
            ? [0x81, 126, length >> 8, length & 255]
            : [0x81, 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 255, length & 255]
      const payload = bytes.subarray(ends[index]! - length, ends[index])
      assert.isTrue(Buffer.from(textAt(framed, index)).equals(concat([Uint8Array.from(header), payload])))
    })
  })
})
