/** The examples of pulsar-proxy and inmem-pubsub as they stand there; only the address is another. */
import { spawn } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { type Body, noJson, publish, webHub } from "./WebHub.ts"

const curl = `curl -X POST http://localhost:8080/api/v1/messages \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "topic": "notifications",
    "payload": {
      "user_id": 123,
      "message": "Hello, World!"
    },
    "ttl": 3600
  }'`

/** What a line of a shell prints. */
const shell = (line: string): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const child = spawn("sh", ["-c", line], { stdio: ["ignore", "pipe", "ignore"] })
    let text = ""
    child.stdout.on("data", (chunk) => {
      text += chunk
    })
    child.on("close", () => resume(Effect.succeed(text)))
    return Effect.sync(() => child.kill())
  })

/** The long-polling client: what it logs, and what its acknowledgement was answered. */
const pollOnce = async (address: string) => {
  const response = await fetch(`${address}/api/v1/poll?topics=notifications&timeout=30`, {
    headers: { Authorization: "Bearer YOUR_TOKEN" }
  })
  const data: Body = JSON.parse(await response.text())
  let acknowledged = noJson
  if (data.messages && data.messages.length > 0) {
    const answer = await fetch(`${address}/api/v1/ack`, {
      method: "POST",
      headers: { Authorization: "Bearer YOUR_TOKEN", "Content-Type": "application/json" },
      body: JSON.stringify({ message_ids: data.messages.map((m) => m.message_id) })
    })
    acknowledged = { ...noJson, ...JSON.parse(await answer.text()), status: answer.status }
  }
  return { received: data.messages.map((msg) => msg.payload), acknowledged }
}

const hasCurl = Effect.map(shell("command -v curl"), (path) => path !== "")

const address = Effect.map(WebServer, ({ port }) => `localhost:${port}`)

describe("reference examples", () => {
  it.live("reference examples - a message is sent with curl", () =>
    Effect.gen(function* () {
      if (!(yield* hasCurl)) return
      const text = yield* shell(curl.replace("localhost:8080", yield* address))
      const receipt: Body = JSON.parse(text)
      assert.deepInclude(receipt, { topic: "notifications", offset: 0, duplicate: false })
    }).pipe(Effect.provide(webHub({ ip: "localhost" })))
  )

  it.live("reference examples - the long-polling client receives and acknowledges", () =>
    Effect.gen(function* () {
      const at = yield* address
      const polling = yield* Effect.forkScoped(
        Effect.promise(() => pollOnce(`http://${at}`)),
        { startImmediately: true }
      )
      const hub = yield* Hub
      while ((yield* hub.metrics).subscriptions < 1) yield* Effect.sleep(2)
      yield* publish("notifications", { user_id: 123 })
      const { acknowledged, received } = yield* Fiber.join(polling)
      assert.deepStrictEqual(received, [{ user_id: 123 }])
      assert.strictEqual(acknowledged.status, 200)
    }).pipe(Effect.scoped, Effect.provide(webHub({ ip: "localhost" })))
  )

  it.live("reference examples - topics, health and statistics by the addresses of inmem-pubsub", () =>
    Effect.gen(function* () {
      const at = yield* address
      const lines = [
        `curl -s -X POST http://${at}/topics -d '{"name":"news"}' -H 'Content-Type: application/json'`,
        `curl -s http://${at}/topics`,
        `curl -s http://${at}/health`,
        `curl -s http://${at}/stats`,
        `curl -s -X DELETE http://${at}/topics/news`
      ]
      if (!(yield* hasCurl)) return
      const texts = yield* Effect.forEach(lines, shell)
      const [made, listed, health, stats, deleted] = texts.map((text): Body => JSON.parse(text))
      assert.strictEqual(made?.topic, "news")
      assert.strictEqual(listed?.topics[0]?.name, "news")
      assert.strictEqual(health?.status, "healthy")
      assert.strictEqual(stats?.topics[0]?.name, "news")
      assert.strictEqual(deleted?.topic, "news")
    }).pipe(Effect.provide(webHub({ ip: "localhost" })))
  )
})
