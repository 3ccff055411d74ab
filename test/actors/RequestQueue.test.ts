/** The requests of one connection: whatever becomes of one, those behind it are answered. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { Auth } from "../../src/services/Auth.ts"
import { MessageLog } from "../../src/services/MessageLog.ts"
import * as StateStoreMemory from "../../src/services/StateStoreMemory.ts"
import { hubWith, memoryLog } from "./TestHub.ts"
import { greeted, type WireClient } from "./WireClient.ts"

/** A log that breaks when it is asked for names. */
const namelessLog = Layer.effect(
  MessageLog,
  Effect.map(MessageLog, (inner) =>
    MessageLog.of({
      ...inner,
      names: () => {
        throw new RangeError("no names")
      }
    })
  )
).pipe(Layer.provide(memoryLog))

/** What the request with that number was answered: a code, if it failed. */
const answerTo = (client: WireClient, request: number) =>
  client.until(
    `the answer to ${request}`,
    () =>
      client.take("Response", (frame) => frame.request === request)?._tag ??
      client.take("Failure", (frame) => frame.request === request)?.code
  )

describe("request queue", () => {
  it.effect(
    "request queue - one that breaks is answered and logged, and those behind it are answered",
    () => {
      const lines: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => lines.push(JSON.stringify(message)))])
      return Effect.gen(function* () {
        const client = yield* greeted()
        const requests = ["topics", "stats", "topics", "stats"].map((method) => client.request(method, "{}"))
        const answers = yield* Effect.forEach(requests, (request) => answerTo(client, request))
        assert.deepStrictEqual(answers, ["internal", "Response", "internal", "Response"])
        assert.strictEqual(yield* answerTo(client, client.request("stats", "{}")), "Response")
        assert.lengthOf(
          lines.filter((line) => line.includes("a request failed")),
          2
        )
      }).pipe(Effect.provide(hubWith({}, namelessLog, StateStoreMemory.layer, Auth.layerOff, logger)))
    }
  )

  it.effect("request queue - topics after a text that is longer than any name is a bad request", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      for (const after of ["0".repeat(256), "0".repeat(5000), "ü".repeat(128)])
        assert.strictEqual(
          yield* answerTo(client, client.request("topics", JSON.stringify({ after }))),
          "bad-request"
        )
      for (const after of ["", "0".repeat(255), "a..b"])
        assert.strictEqual(
          yield* answerTo(client, client.request("topics", JSON.stringify({ after }))),
          "Response"
        )
    }).pipe(Effect.provide(hubWith()))
  )
})
