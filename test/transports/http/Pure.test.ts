/** The pure parts of the web side: cursors, plans of batches, origins. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  type Hosts,
  isAllowedOrigin,
  isOriginPattern,
  type OriginHeaders,
  type OriginRules
} from "../../../src/protocol/Origins.ts"
import { planBatches } from "../../../src/transports/http/BulkPlan.ts"
import { Cursor, maxCursorTopics } from "../../../src/transports/http/Cursor.ts"

const names = Schema.Literals(["a", "b.c", "ü.x", "a@b", "x,y", "%41"])
const Steps = Schema.Array(
  Schema.Struct({
    topic: names,
    offset: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))
  })
)

describe("cursor", () => {
  it.prop("cursor - reads what it wrote, in ASCII without white space", [Steps], ([steps]) => {
    const cursor = new Cursor(7)
    for (const { offset, topic } of steps) cursor.received(topic, 1, offset)
    const text = String(cursor)
    assert.match(text, /^[\x21-\x7e]+$/)
    const read = Cursor.parse(text)
    assert.strictEqual(String(read), text)
    assert.deepStrictEqual(read?.start, cursor.start)
    for (const { topic } of steps) {
      const furthest = Math.max(...steps.filter((step) => step.topic === topic).map(({ offset }) => offset))
      assert.strictEqual(read?.positions.get(topic)?.offset, furthest)
    }
  })

  it("cursor - has no room for more topics than it can name", () => {
    const cursor = new Cursor(0)
    for (let n = 0; n < maxCursorTopics; n++) assert.isTrue(cursor.received(`t.${n}`, 1, 1))
    assert.isFalse(cursor.received("one.more", 1, 1))
    assert.isTrue(cursor.received("t.3", 1, 2))
    assert.strictEqual(cursor.positions.size, maxCursorTopics)
    assert.strictEqual(cursor.since, 0)
  })

  it.each([
    "",
    "x",
    "1,",
    "1,a",
    "1,a@1",
    "1,a@-1-1",
    "1,@1-1",
    "1,a b@1-1",
    "99999999999999999",
    "1,%@1-1",
    "1~",
    "1~x",
    "2~1",
    "1~99999999999999999",
    "1~2~",
    "1~2~a b",
    "1~2~%",
    "1~2~*",
    `1~2~${"x".repeat(5000)}`,
    `1${",a@1-1".repeat(200)}`
  ])("cursor - refuses %j", (text) => assert.isUndefined(Cursor.parse(text)))
})

const Messages = Schema.Array(
  Schema.Struct({
    topic: names,
    id: Schema.NullOr(Schema.String),
    priority: Schema.Literals([0, 9])
  })
)

describe("bulk plan", () => {
  it.prop(
    "bulk plan - every message once, a topic's in order, ids alone, options alike",
    [Messages],
    ([given]) => {
      const batches = planBatches(
        given.map(({ id, priority, topic }, place) => [
          place,
          {
            _tag: "TopicMessage" as const,
            topic,
            ttl: 0,
            priority,
            deliverAt: 0,
            timestamp: undefined,
            message: { payload: Uint8Array.of(1), id: id ?? undefined }
          }
        ])
      )
      assert.deepStrictEqual(
        batches.flatMap(({ places }) => places).sort((a, b) => a - b),
        [...given.keys()]
      )
      for (const { messages, places, priority, topic } of batches) {
        assert.lengthOf(messages, places.length)
        if (messages.some(({ id }) => id !== undefined)) assert.lengthOf(messages, 1)
        for (const place of places) {
          assert.strictEqual(given[place]?.topic, topic)
          assert.strictEqual(given[place]?.priority, priority)
        }
      }
      for (const topic of new Set(given.map((each) => each.topic))) {
        const order = batches.filter((batch) => batch.topic === topic).flatMap(({ places }) => places)
        assert.deepStrictEqual(
          order,
          [...order].sort((a, b) => a - b)
        )
      }
    }
  )
})

describe("origins", () => {
  const rules = (allowed?: ReadonlyArray<string>, hosts: Hosts = "any"): OriginRules => ({
    allowed,
    hosts
  })

  it.each([
    ["*", true],
    ["https://app.example", true],
    ["http://localhost:3000", true],
    ["https://*.app.example", true],
    ["http://[::1]:8080", true],
    ["app.example", false],
    ["https://app.example/path", false],
    ["https://a.*.example", false],
    ["null", false]
  ] as const)("origins - %s as a pattern: %s", (text, is) => assert.strictEqual(isOriginPattern(text), is))

  const asked: ReadonlyArray<readonly [OriginHeaders, OriginRules, boolean]> = [
    [{ host: "hub:1" }, rules(), true],
    [{ host: "hub:1", origin: "http://hub:1" }, rules(), true],
    [{ host: "hub:1", origin: "http://hub:2" }, rules(), false],
    [{ host: "hub:1", origin: "null" }, rules(), false],
    [{ origin: "https://a.example" }, rules(["https://a.example"]), true],
    [{ origin: "https://A.EXAMPLE" }, rules(["https://a.example"]), true],
    [{ origin: "https://a.example.evil" }, rules(["https://a.example"]), false],
    [{ origin: "https://x.a.example" }, rules(["https://*.a.example"]), true],
    [{ origin: "https://a.example" }, rules(["https://*.a.example"]), false],
    [{ origin: "https://.a.example" }, rules(["https://*.a.example"]), false],
    [{ origin: "http://x.a.example" }, rules(["https://*.a.example"]), false],
    [{ origin: "https://evila.example" }, rules(["https://*.a.example"]), false],
    [{ origin: "https://any.where" }, rules(["*"]), true],
    [{ host: "localhost:8080" }, rules(undefined, "machine"), true],
    [{ host: "[::1]:8080" }, rules(undefined, "machine"), true],
    [{ host: "127.0.0.1" }, rules(undefined, "machine"), true],
    [{ host: "localhost.evil" }, rules(undefined, "machine"), false],
    [{ host: "evil:8080", origin: "http://evil:8080" }, rules(undefined, "machine"), false],
    [{ host: "hub.example" }, rules(["https://hub.example"], "machine"), true],
    ...["hub", "hub:8080", "10.0.0.7:8080", "[fd00::7]", "localhost", "hub.local", "a.svc.cluster.local"].map(
      (host) => [{ host, origin: `http://${host}` }, rules(undefined, "network"), true] as const
    ),
    ...[
      "evil.example",
      "evil.example:8080",
      "10.0.0.7.evil.example",
      "local.",
      "hub.local.evil",
      ".",
      ""
    ].map((host) => [{ host, origin: `http://${host}` }, rules(undefined, "network"), false] as const),
    [{ host: "hub.example:80" }, rules(["http://hub.example:80"], "network"), true],
    [{ host: "hub.example" }, rules(["*"], "network"), true]
  ]
  it.each(asked)("origins - %j by %j: %s", (headers, given, is) =>
    assert.strictEqual(isAllowedOrigin(headers, given), is))
})
