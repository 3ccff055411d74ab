import { assert, describe, it } from "@effect/vitest"
import { type ClientRequest, decodeClientJson, type Fault } from "../../../src/protocol/json/ClientJson.ts"
import { defaultJsonLimits } from "../../../src/protocol/json/JsonLimits.ts"
import { checkPattern } from "../../../src/protocol/Pattern.ts"
import { chance, mutated } from "../Chance.ts"
import { asText, jsonText, parsed, utf8 } from "./JsonArbitraries.ts"

const decode = (value: unknown) => decodeClientJson(JSON.stringify(value))
/** The request without what is absent, and with its payload as text. */
const plain = (request: ClientRequest | Fault): unknown =>
  JSON.parse(JSON.stringify(request, (_, value) => (value instanceof Uint8Array ? asText(value) : value)))
const check = (name: string, value: unknown, expected: unknown) =>
  it(`client json - ${name}`, () => assert.deepStrictEqual(plain(decode(value)), expected))

describe("client json - as the references write it", () => {
  check(
    "subscribe with a topic",
    { type: "subscribe", topic: "news", request_id: "req-123" },
    { _tag: "Subscribe", requestId: "req-123", dialect: "event", topics: ["news"], refused: [] }
  )
  check(
    "subscribe with topics",
    { type: "subscribe", topics: ["notifications", "alerts"], client_id: "client-123" },
    {
      _tag: "Subscribe",
      dialect: "message",
      topics: ["notifications", "alerts"],
      refused: [],
      clientId: "client-123"
    }
  )
  check(
    "unsubscribe",
    { type: "unsubscribe", topic: "news", request_id: "req-124" },
    { _tag: "Unsubscribe", requestId: "req-124", dialect: "event", topics: ["news"], refused: [] }
  )
  check(
    "publish",
    {
      type: "publish",
      topic: "news",
      message: { id: "msg-456", payload: "Breaking news!", timestamp: "2024-01-01T12:00:00Z" },
      request_id: "req-125"
    },
    {
      _tag: "Publish",
      requestId: "req-125",
      topic: "news",
      message: { id: "msg-456", payload: '"Breaking news!"', contentType: "application/json" },
      ttl: 0,
      priority: 0,
      deliverAt: 0,
      timestamp: "2024-01-01T12:00:00Z"
    }
  )
  check("ping", { type: "ping", request_id: "req-126" }, { _tag: "Ping", requestId: "req-126" })
  check("ack", { type: "ack", message_id: "a@1-2" }, { _tag: "Ack", messageIds: ["a@1-2"] })
})

describe("client json - more than the references", () => {
  check(
    "ack of several, each once",
    { type: "ack", message_ids: ["a@1-2", "a@1-3", "a@1-2"], request_id: 7 },
    { _tag: "Ack", requestId: 7, messageIds: ["a@1-2", "a@1-3"] }
  )
  check(
    "ack of one and several at once",
    { type: "ack", message_id: "a@1-1", message_ids: ["a@1-2", "a@1-3"] },
    { _tag: "Ack", messageIds: ["a@1-1", "a@1-2", "a@1-3"] }
  )
  check(
    "empty fields, as clients of some languages send them, are none",
    {
      type: "subscribe",
      topic: "a.*",
      topics: [],
      client_id: "",
      last_n: 0,
      from: null,
      overflow: "",
      x: []
    },
    { _tag: "Subscribe", dialect: "event", topics: ["a.*"], refused: [] }
  )
  const starts: ReadonlyArray<readonly [object, unknown]> = [
    [{ last_n: 5 }, { _tag: "Last", count: 5 }],
    [{ from: "first" }, { _tag: "First" }],
    [{ from: "3-4" }, { _tag: "Position", position: { epoch: 3, offset: 4 } }],
    [{ from: { epoch: 3, offset: 4 } }, { _tag: "Position", position: { epoch: 3, offset: 4 } }],
    [{ from: 1_704_110_400_000 }, { _tag: "Time", time: 1_704_110_400_000 }],
    [{ from: "2024-01-01T12:00:00Z" }, { _tag: "Time", time: 1_704_110_400_000 }]
  ]
  for (const [fields, start] of starts) {
    check(
      `start with ${JSON.stringify(fields)}`,
      { type: "subscribe", topic: ">", ...fields },
      { _tag: "Subscribe", dialect: "event", topics: [">"], refused: [], start }
    )
  }
  check(
    "overflow as the settings of inmem-pubsub write it",
    { type: "subscribe", topics: ["a"], overflow: "DROP_OLDEST" },
    { _tag: "Subscribe", dialect: "message", topics: ["a"], refused: [], overflow: "drop-oldest" }
  )
  for (const echo of [true, false]) {
    check(
      `echo ${echo}`,
      { type: "subscribe", topics: ["a"], echo },
      { _tag: "Subscribe", dialect: "message", topics: ["a"], refused: [], echo }
    )
  }
  check(
    "with a topic a client_id says nothing, so all goes with it",
    { type: "subscribe", topic: "a", client_id: "c", last_n: 5, overflow: "wait", echo: false },
    {
      _tag: "Subscribe",
      dialect: "event",
      topics: ["a"],
      refused: [],
      clientId: "c",
      start: { _tag: "Last", count: 5 },
      overflow: "wait",
      echo: false
    }
  )
  for (const [type, _tag] of [
    ["subscribe", "Subscribe"],
    ["unsubscribe", "Unsubscribe"]
  ]) {
    check(
      `${type}: of several topics each bad one is named, and the others stay`,
      { type, topics: ["a", "b..c", "d", ""] },
      {
        _tag,
        dialect: "message",
        topics: ["a", "d"],
        refused: [
          { topic: "b..c", code: "INVALID_TOPIC", message: checkPattern("b..c")?.message },
          { topic: "", code: "INVALID_TOPIC", message: checkPattern("")?.message }
        ]
      }
    )
  }
  check(
    "publish with everything",
    {
      type: "publish",
      topic: "a",
      message: {
        id: "1",
        key: "k",
        payload: "aGk=",
        encoding: "base64",
        content_type: "image/png",
        headers: { a: "b" },
        ttl: 1.5,
        priority: 9,
        deliver_at: "2024-01-01T12:00:00Z"
      }
    },
    {
      _tag: "Publish",
      topic: "a",
      message: { id: "1", key: "k", payload: "hi", contentType: "image/png", headers: { a: "b" } },
      ttl: 1500,
      priority: 9,
      deliverAt: 1_704_110_400_000
    }
  )

  it("client json - a payload is the bytes as they came", () => {
    const payload = '{ "n": 12345678901234567890, "e": 1e400, "__proto__": {"a": 1}, "n": 2 }'
    const text = `{"type":"publish","topic":"a","message":{"payload":${payload} ,"id":"1"}}`
    for (const given of [text, utf8(text)]) {
      const request = decodeClientJson(given)
      assert(request._tag === "Publish")
      assert.strictEqual(asText(request.message.payload), payload)
    }
  })

  it("client json - keys may be written with escapes, and the later of two counts", () => {
    const request = decodeClientJson(
      '{"type":"pong","t\\u0079pe":"ping","request_id":1,"request\\u005fid":"b"}'
    )
    assert.deepStrictEqual(plain(request), { _tag: "Ping", requestId: "b" })
  })
})

describe("client json - faults have a code, and the request's id", () => {
  const publish = (message: unknown, fields = {}) => ({ type: "publish", topic: "a", message, ...fields })
  const faults: ReadonlyArray<readonly [string, unknown]> = [
    ["UNKNOWN_TYPE", {}],
    ["UNKNOWN_TYPE", { type: 5 }],
    ["UNKNOWN_TYPE", { type: "constructor" }],
    ["MISSING_TOPIC", { type: "subscribe" }],
    ["MISSING_TOPIC", { type: "subscribe", topics: [] }],
    ["MISSING_TOPIC", { type: "unsubscribe", topic: "" }],
    ["MISSING_TOPIC", { type: "publish", message: { id: "1", payload: 1 } }],
    ["INVALID_TOPIC", { type: "subscribe", topic: "a b" }],
    ["BAD_REQUEST", { type: "subscribe", topic: "a", topics: ["b"] }],
    ["BAD_REQUEST", { type: "unsubscribe", topic: "a", topics: ["a"] }],
    ["INVALID_TOPIC", publish({ id: "1", payload: 1 }, { topic: "a.*" })],
    ["BAD_REQUEST", { type: "subscribe", topic: 5 }],
    ["BAD_REQUEST", { type: "subscribe", topics: "a" }],
    ["BAD_REQUEST", { type: "subscribe", topics: ["a", 5] }],
    ["BAD_REQUEST", { type: "subscribe", topic: "a", last_n: -1 }],
    ["BAD_REQUEST", { type: "subscribe", topic: "a", last_n: 1.5 }],
    ["BAD_REQUEST", { type: "subscribe", topic: "a", last_n: 1, from: "now" }],
    ["BAD_REQUEST", { type: "subscribe", topic: "a", from: "soon" }],
    ["BAD_REQUEST", { type: "subscribe", topic: "a", from: { epoch: 1 } }],
    ["BAD_REQUEST", { type: "subscribe", topic: "a", overflow: "explode" }],
    ["BAD_REQUEST", { type: "subscribe", topic: "a", echo: 0 }],
    ["BAD_REQUEST", { type: "subscribe", topic: "a", echo: "false" }],
    ["LIMIT_REACHED", { type: "subscribe", topics: Array.from({ length: 1001 }, (_, i) => `t${i}`) }],
    ["MISSING_MESSAGE", publish(undefined)],
    ["MISSING_MESSAGE", publish("text")],
    ["MISSING_MESSAGE", publish({ id: "1" })],
    ["MISSING_MESSAGE_ID", publish({ payload: 1 })],
    ["MISSING_MESSAGE_ID", publish({ id: "", payload: 1 })],
    ["BAD_REQUEST", publish({ id: 5, payload: 1 })],
    ["BAD_REQUEST", publish({ id: "i".repeat(256), payload: 1 })],
    ["BAD_REQUEST", publish({ id: "\ud800", payload: 1 })],
    ["BAD_REQUEST", publish({ id: "1", payload: 1, priority: 10 })],
    ["BAD_REQUEST", publish({ id: "1", payload: 1, ttl: -1 })],
    ["BAD_REQUEST", publish({ id: "1", payload: 1, headers: { a: 1 } })],
    ["BAD_REQUEST", publish({ id: "1", payload: 1, headers: { a: "b".repeat(65_536) } })],
    ["BAD_REQUEST", publish({ id: "1", payload: 1, content_type: "image/png" })],
    ["BAD_REQUEST", publish({ id: "1", payload: "?", encoding: "base64" })],
    ["BAD_REQUEST", publish({ id: "1", payload: "", encoding: "gzip" })],
    ["MESSAGE_TOO_LARGE", publish({ id: "1", payload: "a".repeat(1_048_576) })],
    ["MISSING_MESSAGE_ID", { type: "ack" }],
    ["MISSING_MESSAGE_ID", { type: "ack", message_ids: [] }],
    ["LIMIT_REACHED", { type: "ack", message_ids: Array.from({ length: 10_001 }, (_, i) => `${i}`) }]
  ]
  for (const [code, value] of faults) {
    it(`client json - ${code}: ${JSON.stringify(value).slice(0, 80)}`, () => {
      const fault = decode({ request_id: "r", ...(value as object) })
      assert(fault._tag === "Fault")
      assert.deepStrictEqual([fault.code, fault.requestId], [code, "r"])
      assert.isNotEmpty(fault.message)
    })
  }

  for (const text of ["", "ping", "{", "[]", "null", "5", '"a"', '{"type":"ping"} x', '{"type":"ping",}']) {
    it(`client json - INVALID_JSON: ${text}`, () => {
      const fault = decodeClientJson(text)
      assert(fault._tag === "Fault")
      assert.deepStrictEqual([fault.code, fault.requestId], ["INVALID_JSON", undefined])
    })
  }

  for (const [named, field] of [
    ["`last_n`", { last_n: 5 }],
    ["`overflow`", { overflow: "wait" }],
    ["`echo: false`", { echo: false }]
  ] as const) {
    it(`client json - ${named} cannot go with a client_id, and the message names both`, () => {
      const fault = decode({ type: "subscribe", topics: ["a"], client_id: "c", ...field })
      assert(fault._tag === "Fault")
      assert.strictEqual(fault.code, "BAD_REQUEST")
      assert.include(fault.message, named)
      assert.include(fault.message, "`client_id`")
    })
  }

  it("client json - what is wrong with a request about one topic names it", () => {
    const topicOf = (value: unknown) => {
      const fault = decode(value)
      assert(fault._tag === "Fault")
      return fault.topic
    }
    assert.strictEqual(topicOf({ type: "subscribe", topic: "a..b" }), "a..b")
    assert.strictEqual(topicOf(publish({ payload: 1 })), "a")
    assert.isUndefined(topicOf({ type: "subscribe", topic: "a", topics: ["b"] }))
    assert.isUndefined(topicOf(publish({ id: "1", payload: 1 }, { topic: "\ud800" })))
    assert.isUndefined(topicOf({ type: "subscribe", topic: 5 }))
    assert.isUndefined(topicOf({ type: "dance" }))
  })

  it("client json - a request id that cannot be given back is none", () => {
    for (const id of ["r".repeat(256), "\ud800", true, {}, 1.5, 1e300]) {
      const fault = decode({ type: "ping", request_id: id })
      assert(fault._tag === "Fault")
      assert.deepStrictEqual([fault.code, fault.requestId], ["BAD_REQUEST", undefined])
    }
  })
})

describe("client json - hostile", () => {
  const codeOf = (text: string | Uint8Array) => {
    const answer = decodeClientJson(text)
    return answer._tag === "Fault" ? answer.code : answer._tag
  }

  it("client json - a thousand deep, or a million", () => {
    for (const depth of [1000, 500_000]) {
      const nested = "[".repeat(depth) + "]".repeat(depth)
      const text = `{"type":"publish","topic":"a","message":{"id":"1","payload":${nested}}}`
      assert.strictEqual(codeOf(text), "INVALID_JSON")
      assert.strictEqual(codeOf("[".repeat(depth)), "INVALID_JSON")
    }
    const shallow = "[".repeat(124) + "]".repeat(124)
    assert.strictEqual(
      codeOf(`{"type":"publish","topic":"a","message":{"id":"1","payload":${shallow}}}`),
      "Publish"
    )
  })

  it("client json - a text over the limit is not read", () => {
    const text = `{"type":"ping","x":"${"a".repeat(defaultJsonLimits.maxBytes)}"}`
    assert.strictEqual(codeOf(text), "MESSAGE_TOO_LARGE")
    assert.strictEqual(codeOf(utf8(text)), "MESSAGE_TOO_LARGE")
    // Under the limit in characters, over it in bytes.
    assert.strictEqual(codeOf(`"${"€".repeat(defaultJsonLimits.maxBytes / 2)}"`), "MESSAGE_TOO_LARGE")
  })

  it("client json - prototypes are left alone", () => {
    const text =
      '{"type":"publish","__proto__":{"topic":"b","polluted":1},"constructor":{"prototype":{"polluted":1}},' +
      '"topic":"a","message":{"id":"1","__proto__":{"payload":5},"payload":1,"headers":{"__proto__":"x","toString":"y"}}}'
    const request = decodeClientJson(text)
    assert(request._tag === "Publish")
    assert.deepStrictEqual(Object.entries(request.message.headers ?? {}), [
      ["__proto__", "x"],
      ["toString", "y"]
    ])
    assert.isUndefined(Reflect.get({}, "polluted"))
    assert.strictEqual(codeOf('{"type":"publish","__proto__":{"topic":"a"},"message":{}}'), "MISSING_TOPIC")
  })

  it("client json - many fields and many keys cost nothing to keep", () => {
    const text = `{${Array.from({ length: 50_000 }, (_, i) => `"k${i}":${i}`).join()},"type":"ping"}`
    assert.strictEqual(codeOf(text), "Ping")
  })

  it("client json - it answers whatever comes, and says INVALID_JSON exactly for what is no JSON object", () => {
    const random = chance(1)
    const requests = [
      '{"type":"subscribe","topics":["a","b"],"client_id":"c","last_n":5}',
      '{"type":"publish","topic":"a","message":{"id":"1","payload":{"a":["\\ud83d"]},"headers":{"a":"b"}}}',
      '{"type":"ack","message_ids":["a@1-2"],"request_id":"\\u00e4"}'
    ].map(utf8)
    for (let run = 0; run < 20_000; run++) {
      const bytes =
        run % 4 === 0
          ? mutated(random, utf8(jsonText(random, 4)))
          : mutated(random, mutated(random, random.pick(requests)))
      const json = parsed(bytes)
      const isObject = json !== undefined && /^[\s]*\{/.test(asText(bytes))
      const code = codeOf(bytes)
      assert.strictEqual(code === "INVALID_JSON", !isObject, asText(utf8(new TextDecoder().decode(bytes))))
    }
  })
})
