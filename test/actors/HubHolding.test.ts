import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../src/actors/Hub.ts"
import { duplexPair } from "../../src/protocol/DuplexPair.ts"
import { Auth, type Holding } from "../../src/services/Auth.ts"
import { generateKey } from "../../src/services/auth/ApiKey.ts"
import { anonymous, type Identity } from "../../src/services/auth/Identity.ts"
import * as StateStoreMemory from "../../src/services/StateStoreMemory.ts"
import { makeFolder } from "../services/auth/Tokens.ts"
import { hubWith, memoryLog } from "./TestHub.ts"
import { WireClient } from "./WireClient.ts"

const hubOf = (auth: Layer.Layer<Auth>) => hubWith({}, memoryLog, StateStoreMemory.layer, auth)

const admitted = Effect.fnUntraced(function* (token: string) {
  const [ours, theirs] = duplexPair()
  ;(yield* Hub).serve(ours)
  const client = new WireClient(theirs)
  client.answersPings = true
  client.hello({ token })
  yield* client.next("Welcome")
  return client
})

describe("hub - who still holds", () => {
  it.effect("hub holding - a connection ends with its key, and others are not asked about", () => {
    const asked: Array<string> = []
    let now: Holding = "holds"
    const auth = Layer.succeed(Auth, {
      isOn: true,
      authenticate: (token = "") => {
        const kind = token.startsWith("jwt") ? "jwt" : "api-key"
        return Effect.succeed<Identity>({ ...anonymous, kind, id: token })
      },
      holds: ({ id }) => {
        asked.push(id)
        return Effect.succeed(id === "steady" ? "holds" : now)
      }
    })
    return Effect.gen(function* () {
      const [steady, jwt, first] = [
        yield* admitted("steady"),
        yield* admitted("jwt"),
        yield* admitted("first")
      ]
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(first.isClosed)
      now = "removed"
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* first.goodbye, "unauthorized")
      now = "changed"
      const second = yield* admitted("second")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* second.goodbye, "token-expired")
      assert.isFalse(steady.isClosed || jwt.isClosed)
      assert.sameMembers([...new Set(asked)], ["steady", "first", "second"])
    }).pipe(Effect.scoped, Effect.provide(hubOf(auth)))
  })

  it.effect("hub holding - a key that is removed from its file ends what it opened", () =>
    Effect.gen(function* () {
      const { write } = yield* makeFolder
      const { hash, id, key } = generateKey()
      const entry = { id, hash, publish: ["a"], subscribe: ["a"], limits: { connections: 5 } }
      const writeKeys = (...entries: ReadonlyArray<object>) =>
        write("keys.json", JSON.stringify({ authKeys: entries }))
      const file = yield* writeKeys(entry)
      const auth = Layer.orDie(Layer.provide(Auth.layerWith({ authKeysFile: file }), NodeFileSystem.layer))
      yield* Effect.gen(function* () {
        const first = yield* admitted(key)
        // In another order and with a name that it has anyway, it is the same.
        yield* writeKeys({ limits: { connections: 5 }, subscribe: "a", name: id, publish: "a", hash, id })
        yield* TestClock.adjust("2 seconds")
        yield* Effect.repeat(TestClock.withLive(Effect.sleep(1)), { times: 20 })
        assert.isFalse(first.isClosed)
        yield* writeKeys({ ...entry, limits: { connections: 4 } })
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* first.goodbye, "token-expired")
        const second = yield* admitted(key)
        yield* writeKeys()
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* second.goodbye, "unauthorized")
      }).pipe(Effect.scoped, Effect.provide(hubOf(auth)))
    }).pipe(Effect.scoped)
  )
})
