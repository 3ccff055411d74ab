/** Whoever is refused is told no reason; the hub's log says it, by every door, and every door counts. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { jwtOptions } from "../../services/auth/Tokens.ts"
import { ask, json } from "../http/WebHub.ts"
import {
  admitted,
  bearer,
  binaryClient,
  greet,
  keyFor,
  secureHub,
  tcpClient,
  tokenOf,
  upgrade
} from "./SecureHub.ts"

const lines: Array<string> = []
const alone = keyFor("alone", { publish: [">"], subscribe: [">"], limits: { connections: 1 } })

layer(secureHub({ ...jwtOptions, authType: "any", authKeys: [alone.entry] }, {}, lines), {
  excludeTestServices: true
})("why", (it) => {
  it.effect(
    "why - the line of a refusal says what is wrong with a token, and the client does not learn it",
    () =>
      Effect.gen(function* () {
        const token = yield* tokenOf({ aud: "somebody" })
        const hub = yield* Hub
        const doors = {
          http: ask("/topics", { headers: bearer(token) }),
          publish: ask("/api/v1/messages", {
            headers: { ...bearer(token), ...json },
            body: JSON.stringify({ topic: "a", payload: 1 })
          }),
          websocket: upgrade(`/ws?token=${token}`),
          binary: Effect.scoped(Effect.flatMap(binaryClient, (client) => greet(client, token))),
          tcp: Effect.scoped(Effect.flatMap(tcpClient, (client) => greet(client, token)))
        }
        for (const [name, door] of Object.entries(doors)) {
          const before = lines.length
          const refused = (yield* hub.metrics).refusals.UNAUTHORIZED ?? 0
          const answer = JSON.stringify(yield* door)
          assert.notMatch(answer, /aud/i, name)
          assert.strictEqual((yield* hub.metrics).refusals.UNAUTHORIZED, refused + 1, name)
          const said = lines
            .slice(before)
            .filter((line) => line.startsWith("{") && line.includes('"refused"'))
          assert.lengthOf(said, 1, name)
          assert.deepInclude(JSON.parse(said[0] ?? "").annotations, {
            code: "UNAUTHORIZED",
            why: "wrong-audience: it has aud, and authAudience is not set"
          })
        }
      })
  )

  it.effect("why - a hello too many of one identity is counted as a refusal", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const answer = yield* Effect.scoped(
        Effect.gen(function* () {
          yield* admitted(tcpClient, alone.key)
          return yield* greet(yield* tcpClient, alone.key)
        })
      )
      assert.strictEqual(answer, "too-many-connections")
      assert.strictEqual((yield* hub.metrics).refusals.TOO_MANY_CONNECTIONS, 1)
    })
  )
})
