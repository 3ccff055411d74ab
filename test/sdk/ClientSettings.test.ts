import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { SettingsError } from "../../src/protocol/SettingsError.ts"
import {
  consumerTable,
  decodeConsumerSettings,
  decodePublisherSettings,
  publisherTable
} from "../../src/sdk/ClientSettings.ts"

const required = { name: "myconsumer", topics: ["topic1", "weather.*"] }

const problemsOf = (result: Result.Result<unknown, SettingsError>) => {
  assert.isTrue(Result.isFailure(result))
  const error = Result.getOrThrow(Result.flip(result))
  assert.instanceOf(error, SettingsError)
  assert.strictEqual(error.message.split("\n").length, error.problems.length)
  return error.problems.map(({ reason, key, message }) => ({ reason, key, message }))
}

describe("client settings - publisher", () => {
  it("defaults are the reference's", () => {
    assert.deepStrictEqual(Result.getOrThrow(decodePublisherSettings({})), {
      address: "127.0.0.1",
      port: 24_353,
      queueSize: 1000,
      dialTimeout: 1000,
      writeTimeout: 2000,
      maxRetries: 3,
      warnings: []
    })
  })

  it("what is given is taken, in every spelling", () => {
    const input = {
      address: "hub.example.com",
      port: "4000",
      dialTimeout: "5s",
      maxRetries: 0,
      queueSize: undefined
    }
    const settings = Result.getOrThrow(decodePublisherSettings(input))
    const { address, port, dialTimeout, maxRetries, queueSize } = settings
    assert.deepStrictEqual(
      [address, port, dialTimeout, maxRetries, queueSize],
      ["hub.example.com", 4000, 5000, 0, 1000]
    )
  })

  it("unknown keys are refused, with the nearest", () => {
    assert.deepStrictEqual(problemsOf(decodePublisherSettings({ adress: "::1", hubAddress: "::1" })), [
      {
        reason: "unknown-key",
        key: "adress",
        message: 'adress (publisher): unknown setting; did you mean "address"?'
      },
      {
        reason: "unknown-key",
        key: "hubAddress",
        message: 'hubAddress (publisher): unknown setting; did you mean "address"?'
      }
    ])
  })

  it.each([null, undefined, 5, "text", []])("%j is no object of settings", (input) => {
    const [problem] = problemsOf(decodePublisherSettings(input))
    assert.strictEqual(problem?.reason, "bad-syntax")
  })

  it("variables are expanded if handed in, and otherwise left alone", () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what a user writes
    const input = { address: "${HUB}", port: "${HUB_PORT:-4000}" }
    const settings = Result.getOrThrow(decodePublisherSettings(input, { variables: { HUB: "::1" } }))
    assert.deepStrictEqual([settings.address, settings.port], ["::1", 4000])
    assert.deepStrictEqual(
      problemsOf(decodePublisherSettings(input, { variables: {} })).map(({ reason, key }) => [reason, key]),
      [["missing-variable", "address"]]
    )
    assert.deepStrictEqual(
      problemsOf(decodePublisherSettings(input)).map(({ reason }) => reason),
      ["bad-value", "bad-value"]
    )
  })
})

describe("client settings - consumer", () => {
  it("defaults are the reference's, except where it has none", () => {
    assert.deepStrictEqual(Result.getOrThrow(decodeConsumerSettings(required)), {
      name: "myconsumer",
      hubAddress: "127.0.0.1",
      hubPort: 24_353,
      address: "0.0.0.0",
      port: undefined,
      queueSize: 1000,
      dialTimeout: 1000,
      writeTimeout: 2000,
      maxRetries: 3,
      topics: ["topic1", "weather.*"],
      warnings: []
    })
  })

  it("the reference's own example is taken; its address and port have no effect", () => {
    const settings = Result.getOrThrow(
      decodeConsumerSettings({ ...required, address: "0.0.0.0", port: 8080 })
    )
    assert.strictEqual(settings.port, 8080)
    assert.deepStrictEqual(settings.warnings, [
      "address (consumer) has no effect: the hub never dials its consumers, they connect to it",
      "port (consumer) has no effect: the hub never dials its consumers, they connect to it"
    ])
  })

  it("a name and topics are required", () => {
    assert.deepStrictEqual(problemsOf(decodeConsumerSettings({})), [
      {
        reason: "bad-value",
        key: "name",
        message: "name (consumer): found nothing; allowed: text of 1 to 4096 characters"
      },
      {
        reason: "bad-value",
        key: "topics",
        message:
          "topics (consumer): found nothing; allowed: a list of 1 to 10000 patterns, none of them blank"
      }
    ])
  })

  it.each([
    [{ topics: [] }],
    [{ topics: [""] }],
    [{ topics: ["a", " "] }],
    [{ topics: ["a", 5] }],
    [{ topics: "a" }],
    [{ topics: Array.from({ length: 10_001 }, () => "a") }]
  ])("%# topics are a list of texts", (input) => {
    assert.deepStrictEqual(
      problemsOf(decodeConsumerSettings({ ...required, ...input })).map(({ reason, key }) => [reason, key]),
      [["bad-value", "topics"]]
    )
  })

  it("variables in topics are expanded; what is missing is found once", () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what a user writes
    const input = { name: "${NAME}", topics: ["a", "weather.${CITY}"] }
    const variables = { NAME: "n", CITY: "london" }
    assert.deepStrictEqual(Result.getOrThrow(decodeConsumerSettings(input, { variables })).topics, [
      "a",
      "weather.london"
    ])
    assert.deepStrictEqual(
      problemsOf(decodeConsumerSettings(input, { variables: { NAME: "n" } })).map(({ reason, key }) => [
        reason,
        key
      ]),
      [["missing-variable", "topics"]]
    )
  })
})

/** A bad value of each kind, by what its error says is allowed. */
const badValues = (allowed: string): ReadonlyArray<unknown> => {
  const range = /from (\d+) to (\d+)/.exec(allowed)
  if (range !== null)
    return [Number(range[1]) - 1, Number(range[2]) + 1, `${Number(range[2]) + 1}`, 1.5, "x", true, null]
  return ["", " ", 5, null, {}]
}

describe("client settings - every key", () => {
  const rows = [
    ...Object.entries(publisherTable).map(([key, row]) => ["publisher", key, row.allowed] as const),
    ...Object.entries(consumerTable).map(([key, row]) => ["consumer", key, row.allowed] as const)
  ]

  it.each(rows)("%s: %s refuses what is out of bounds, and takes its bounds", (owner, key, allowed) => {
    const decode = (input: object): Result.Result<object, SettingsError> =>
      owner === "publisher"
        ? decodePublisherSettings(input)
        : decodeConsumerSettings({ ...required, ...input })
    for (const value of badValues(allowed)) {
      const problems = problemsOf(decode({ [key]: value }))
      assert.deepStrictEqual(
        problems.map((problem) => [problem.reason, problem.key]),
        [["bad-value", key]]
      )
      assert.match(problems[0]?.message ?? "", new RegExp(`^${key} \\(${owner}\\): found .*; allowed: `))
    }
    for (const bound of /from (\d+) to (\d+)/.exec(allowed)?.slice(1) ?? []) {
      assert.propertyVal(Result.getOrThrow(decode({ [key]: Number(bound) })), key, Number(bound))
    }
  })
})
