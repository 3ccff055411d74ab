/** The page of the JSON formats against the code: every example is read, or is what is written. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { CloseReasons, closeReasonOf, mayReconnect } from "../../../src/protocol/CloseReason.ts"
import { decodeClientJson } from "../../../src/protocol/json/ClientJson.ts"
import { encodeEvents, encodeMessages, encodePolled } from "../../../src/protocol/json/DeliveryJson.ts"
import { defaultJsonLimits, maxClientId } from "../../../src/protocol/json/JsonLimits.ts"
import { encodeJson } from "../../../src/protocol/json/JsonWriter.ts"
import {
  decodeAckBody,
  decodePublishBody,
  messagesBody,
  receiptOf
} from "../../../src/protocol/json/MessageJson.ts"
import { type ProblemKind, problemKinds, problemOf } from "../../../src/protocol/json/Problem.ts"
import {
  encodeAck,
  encodeConnected,
  encodeDropped,
  encodeError,
  encodeGap,
  encodePong,
  encodeRecovered
} from "../../../src/protocol/json/ServerJson.ts"
import { settingsTable } from "../../../src/services/SettingsTable.ts"
import { enoughBytes } from "../../../src/transports/http/Collector.ts"
import { maxPipelined } from "../../../src/transports/http/OpenRequests.ts"
import { encodeRun } from "../MessageArbitraries.ts"
import { asText, utf8 } from "./JsonArbitraries.ts"

const page = readFileSync(new URL("../../../src/protocol/json/README.md", import.meta.url), "utf8")

const examples = [...page.matchAll(/^```json (\w+) (\w+)\n(.*)\n```$/gm)].map(([, side, name, text]) => ({
  side,
  name: name!,
  text: text!
}))

const now = Date.parse("2026-09-21T14:13:20.000Z")
const epoch = 1_790_000_000_000
const from = { epoch, offset: 7 }
const receipt = receiptOf("news", from, "stored", false, "msg-456")
const { bytes } = encodeRun("news", [
  [{ payload: utf8('"Breaking news!"'), contentType: "application/json", id: "msg-456" }]
])
const batch = {
  topic: "news",
  bytes,
  start: 0,
  end: bytes.length,
  skip: 0,
  count: 1,
  epoch,
  offset: 7,
  timestamp: now
}

const said: { readonly [name: string]: Uint8Array } = {
  connected: encodeConnected("c1", now),
  subscribed: encodeAck({ _tag: "Subscribed", topic: "news" }, "req-123", now),
  published: encodeAck({ _tag: "Published", topic: "news", receipt }, "req-125", now),
  event: encodeEvents(batch).bytes,
  message: encodeMessages(batch).bytes,
  pong: encodePong("req-126", now),
  error: encodeError({ ...faultOf('{"type":"subscribe","topic":"a..b","request_id":"req-127"}') }, now),
  recovered: encodeRecovered("news", from, now),
  gap: encodeGap("news", from, { epoch, offset: 9 }, now),
  dropped: encodeDropped("news", 3, now),
  receipt: encodeJson(receipt),
  poll: messagesBody([encodePolled(batch)]),
  problem: encodeJson(problemOf("RATE_LIMITED"))
}

function faultOf(text: string) {
  const fault = decodeClientJson(text)
  assert(fault._tag === "Fault")
  return fault
}

describe("json readme - the page says what is so", () => {
  for (const { side, name, text } of examples) {
    it(`json readme - ${side}: ${text.slice(0, 60)}`, () => {
      if (side === "server") {
        assert.property(said, name)
        assert.strictEqual(text, asText(said[name]!))
      } else if (side === "client") {
        assert.strictEqual(decodeClientJson(text)._tag, name)
      } else {
        const read = name === "ack" ? decodeAckBody(utf8(text)) : decodePublishBody(utf8(text))
        assert.notStrictEqual(read._tag, "Fault")
      }
    })
  }

  it("json readme - everything that the hub says has an example", () => {
    const shown = examples.filter(({ side }) => side === "server").map(({ name }) => name)
    assert.deepStrictEqual(shown.sort(), Object.keys(said).sort())
  })

  it("json readme - every code stands beside its status and its time to wait", () => {
    const rows = [...page.matchAll(/^\| (\d{3}) \| (\d*) ?\| (.*) \|$/gm)].flatMap(
      ([, status, seconds, codes]) =>
        codes!.split(" ").map((code) => [code.replaceAll("`", ""), `${status} ${seconds}`] as const)
    )
    const kinds: ReadonlyArray<readonly [string, ProblemKind]> = Object.entries(problemKinds)
    assert.strictEqual(rows.length, kinds.length)
    assert.deepStrictEqual(
      Object.fromEntries(rows),
      Object.fromEntries(
        kinds.map(([code, { retryAfter, status }]) => [code, `${status} ${retryAfter ?? ""}`])
      )
    )
  })

  it("json readme - every close code stands beside its name and whether to connect again", () => {
    const rows = [...page.matchAll(/^\| (\d{4}) \| (\S+) \| (.*) \|$/gm)].map(([, code, reason, again]) => ({
      code: Number(code),
      reason,
      again: again === "yes"
    }))
    const reasons = Object.entries(CloseReasons).map(([reason, code]) => ({
      code,
      reason,
      again: mayReconnect(closeReasonOf(code))
    }))
    assert.deepStrictEqual(rows, reasons)
  })

  it("json readme - the limits are those of the code", () => {
    const limitOf = (name: string) => {
      const [, value] = new RegExp(`^\\| ${name}[^|]*\\| ([0-9,]+)( MiB)?`, "m").exec(page) ?? []
      return Number(value?.replaceAll(",", ""))
    }
    const { maxBulk, maxDepth, maxMessageIds, maxTopics } = defaultJsonLimits
    assert.deepStrictEqual(
      {
        maxDepth: limitOf("levels of JSON"),
        maxTopics: limitOf("topics of one request"),
        maxBulk: limitOf("messages of one bulk"),
        maxMessageIds: limitOf("message ids"),
        maxClientId: limitOf("characters of a `client_id`"),
        maxMessageSize: limitOf("payload") * 1_048_576,
        maxRequestBody: limitOf("body of a bulk request") * 1_048_576,
        maxSubscriptionsPerSession: limitOf("subscriptions of one connection"),
        maxPollsPerClient: limitOf("polls that wait"),
        maxConnections: limitOf("connections"),
        maxPipelined: limitOf("requests of one HTTP connection"),
        enoughBytes: limitOf("answer of a poll") * 1_048_576
      },
      {
        maxDepth,
        maxTopics,
        maxBulk,
        maxMessageIds,
        maxClientId,
        maxMessageSize: settingsTable.maxMessageSize.default,
        maxRequestBody: settingsTable.maxRequestBody.default,
        maxSubscriptionsPerSession: settingsTable.maxSubscriptionsPerSession.default,
        maxPollsPerClient: settingsTable.maxPollsPerClient.default,
        maxConnections: settingsTable.maxConnections.default,
        maxPipelined,
        enoughBytes
      }
    )
  })

  it("json readme - a setting that stands with a number in brackets has that default", () => {
    const units: Readonly<Record<string, number>> = { "": 1, s: 1000, MiB: 1_048_576 }
    const told = [...page.matchAll(/`(\w+)` \(([0-9,]+) ?(s|MiB)?\)/g)].map(
      ([, name = "", value = "", unit = ""]) =>
        [name, Number(value.replaceAll(",", "")) * (units[unit] ?? Number.NaN)] as const
    )
    const defaults: Readonly<Record<string, { readonly default: unknown }>> = settingsTable
    assert.isAbove(told.length, 6)
    for (const [name, value] of told) assert.strictEqual(defaults[name]?.default, value, name)
  })
})

describe("server json - what the page has no example of", () => {
  it("server json - acks of several topics, of an acknowledgement, and without a request id", () => {
    const ack = (done: Parameters<typeof encodeAck>[0], id?: string | number) =>
      JSON.parse(asText(encodeAck(done, id, now)))
    const ts = "2026-09-21T14:13:20.000Z"
    assert.deepStrictEqual(ack({ _tag: "SubscribedAll", topics: ["a", "b"] }, 7), {
      type: "ack",
      request_id: 7,
      topics: ["a", "b"],
      message: { id: "ack", payload: "Subscribed to 2 topics" },
      ts
    })
    assert.strictEqual(
      ack({ _tag: "UnsubscribedAll", topics: ["a"] }).message.payload,
      "Unsubscribed from 1 topic"
    )
    assert.strictEqual(
      ack({ _tag: "Unsubscribed", topic: "a" }).message.payload,
      "Unsubscribed from topic 'a'"
    )
    assert.notProperty(ack({ _tag: "Published", topic: "a" }), "receipt")
    assert.notProperty(ack({ _tag: "Published", topic: "a" }), "request_id")
    assert.strictEqual(ack({ _tag: "Acknowledged", count: 3 }).acknowledged, 3)
  })

  it("server json - any topic and any request id are one line of JSON", () => {
    for (const text of ['a"b\\', "\n\u0000\u2028", "\ud800", "😀"]) {
      const written = [
        encodeAck({ _tag: "Subscribed", topic: text }, text, now),
        encodePong(text, now),
        encodeDropped(text, 1, now),
        encodeError({ code: "INTERNAL", message: text, requestId: text }, now)
      ]
      for (const line of written) {
        assert.isFalse(line.includes(10))
        assert.isObject(JSON.parse(asText(line)))
      }
    }
    assert.deepStrictEqual(JSON.parse(asText(encodePong("\ud800", now))).request_id, "\ud800")
  })

  it("server json - an error has the table's sentence if no other, and a time to wait if one is known", () => {
    const error = JSON.parse(asText(encodeError({ code: "RATE_LIMITED", retryAfter: 3 }, now))).error
    assert.deepStrictEqual(error, {
      code: "RATE_LIMITED",
      message: problemKinds.RATE_LIMITED.summary,
      retry_after: 3
    })
    const usual = JSON.parse(asText(encodeError({ code: "STORAGE_FULL" }, now))).error
    assert.strictEqual(usual.retry_after, problemKinds.STORAGE_FULL.retryAfter)
  })
})
