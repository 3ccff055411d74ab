import { assert } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import * as Failure from "../../../src/sdk/Failure.ts"
import type { Polestar } from "../../../src/sdk/Polestar.ts"
import { PolestarError } from "../../../src/sdk/PolestarError.ts"
import { connect, type PromiseClient } from "../../../src/sdk/PromiseClient.ts"
import * as Topic from "../../../src/sdk/Topic.ts"
import { bytesOf, ownPrefix, range, type Tests } from "./Kit.ts"

const caught = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    await promise
  } catch (error) {
    return error
  }
  return undefined
}

const testing =
  (it: Tests, layer: Layer.Layer<Polestar, unknown>) =>
  (name: string, f: (client: PromiseClient) => Promise<void>): void =>
    it.effect(`sdk - promises: ${name}`, () =>
      Effect.acquireUseRelease(
        Effect.promise(() => connect(layer)),
        (client) => Effect.promise(() => f(client)),
        (client) => Effect.promise(() => client.close())
      )
    )

export const promiseTests = (it: Tests, layer: Layer.Layer<Polestar, unknown>): void => {
  const test = testing(it, layer)

  test("values by plain names, and breaking out of the loop unsubscribes", async (client) => {
    const prefix = ownPrefix()
    const subscription = client.subscribe(`${prefix}.*`)
    await subscription.ready()
    await client.publish(`${prefix}.a`, { n: 1 })
    await client.publish(`${prefix}.b`, bytesOf("raw"), { key: "k" })
    await client.publishAll(`${prefix}.a`, [2, null, "three"])
    const heard: Array<unknown> = []
    for await (const { value } of subscription) {
      heard.push(value instanceof Uint8Array ? new Uint8Array(value) : value)
      if (heard.length === 5) break
    }
    assert.deepStrictEqual(heard, [{ n: 1 }, bytesOf("raw"), 2, null, "three"])
    const topics = await client.topics(`${prefix}.*`)
    assert.deepStrictEqual(
      topics.map(({ subscribers }) => subscribers),
      [0, 0]
    )
    assert.strictEqual((await subscription.next()).done, true)
  })

  test("typed topics, from what was kept", async (client) => {
    const topic = Topic.make(`${ownPrefix()}.{name}`, Schema.Struct({ at: Schema.Date }))
    const target = topic.at({ name: "x" })
    const receipts = await client.publishAll(
      target,
      range(3).map((n) => ({ at: new Date(n) }))
    )
    assert.strictEqual(receipts.length, 3)
    const times: Array<number> = []
    const subscription = client.subscribe(Topic.make(target.name, Schema.Struct({ at: Schema.Date })), {
      from: { last: 3 }
    })
    for await (const { value } of subscription) {
      times.push(value.at.getTime())
      if (times.length === 3) break
    }
    assert.deepStrictEqual(times, [0, 1, 2])
  })

  test("what fails is thrown as a PolestarError", async (client) => {
    const invalid = await caught(client.publish("a..b", 1))
    assert.instanceOf(invalid, PolestarError)
    if (invalid instanceof PolestarError) assert.strictEqual(invalid.reason._tag, "MessageInvalid")
    assert.instanceOf(await caught(client.subscribe("a..b").next()), PolestarError)
    assert.instanceOf(await caught(client.publish("a", undefined)), PolestarError)
    assert.strictEqual(client.state()._tag, "Connected")
    assert.isObject(await client.stats())
    assert.isNumber(client.metrics().published)
  })

  test("closing the client ends its loops", async (client) => {
    const subscription = client.subscribe(`${ownPrefix()}.never`)
    await subscription.ready()
    const step = subscription.next()
    await client.close()
    assert.strictEqual((await step).done, true)
  })

  test("a closed client refuses everything with Closed", async (client) => {
    const topic = `${ownPrefix()}.closed`
    await client.close()
    for (const asked of [
      client.publish(topic, 1),
      client.publishAll(topic, [1]),
      client.subscribe(topic).next(),
      client.subscribe(topic).ready(),
      client.topics(),
      client.stats()
    ]) {
      const refused = await caught(asked)
      assert.instanceOf(refused, PolestarError)
      if (refused instanceof PolestarError) assert.strictEqual(refused.reason._tag, "Closed")
    }
    assert.strictEqual(client.state()._tag, "Closed")
    assert.isNumber(client.metrics().published)
  })
}

export const promiseGroupTests = (it: Tests, layer: Layer.Layer<Polestar, unknown>): void => {
  const test = testing(it, layer)

  test("a group's handler acknowledges by its promise, and stops by a signal", async (client) => {
    const prefix = ownPrefix()
    const options = { group: prefix, start: "first", backoff: 5 } as const
    await client.publishAll(`${prefix}.a`, [1, 2, 3])
    const stop = new AbortController()
    const seen: Array<readonly [unknown, number]> = []
    const consumer = { ...options, signal: stop.signal, onFailure: () => Failure.retry() }
    await client.consume(`${prefix}.*`, consumer, async ({ attempt, value }) => {
      seen.push([value, attempt])
      if (value === 2 && attempt === 1) throw new Error("busy")
      if (seen.length === 4) stop.abort()
    })
    assert.sameDeepMembers(seen, [
      [1, 1],
      [2, 1],
      [3, 1],
      [2, 2]
    ])
  })

  test("closing the client gives back what a group's handler has", async (client) => {
    const topic = Topic.make(`${ownPrefix()}.b`, Schema.Number)
    await client.publish(topic, 1)
    const begun = Promise.withResolvers<void>()
    const running = client.consume(topic, { group: ownPrefix(), start: "first" }, () => {
      begun.resolve()
      return new Promise(() => {})
    })
    await begun.promise
    await client.close()
    await running
    const refused = await caught(client.consume(topic, { group: "g" }, () => {}))
    assert.instanceOf(refused, PolestarError)
  })
}
