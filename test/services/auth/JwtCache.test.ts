import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { authError } from "../../../src/services/auth/AuthError.ts"
import { anonymous } from "../../../src/services/auth/Identity.ts"
import { rememberJwts } from "../../../src/services/auth/JwtCache.ts"

/** Counts how often it is asked. */
const counting = (expiresAt = Number.POSITIVE_INFINITY) => {
  const asked: Array<string> = []
  const verify = rememberJwts((token) => {
    asked.push(token)
    return token.startsWith("bad")
      ? Effect.fail(authError("bad-signature"))
      : Effect.succeed({ ...anonymous, kind: "jwt", id: token, expiresAt })
  })
  return { asked, verify }
}

describe("jwt cache", () => {
  it.effect("jwt cache - a token is verified once in half a minute, and is nobody else's", () =>
    Effect.gen(function* () {
      const { asked, verify } = counting()
      for (const token of ["a", "b", "a", "b"]) assert.strictEqual((yield* verify(token)).id, token)
      assert.deepStrictEqual(asked, ["a", "b"])
      yield* TestClock.adjust("30 seconds")
      yield* verify("a")
      assert.deepStrictEqual(asked, ["a", "b", "a"])
    })
  )

  it.effect("jwt cache - one that expires is not remembered beyond that", () =>
    Effect.gen(function* () {
      const { asked, verify } = counting(1000)
      yield* verify("a")
      yield* TestClock.adjust(999)
      yield* verify("a")
      yield* TestClock.adjust(1)
      yield* verify("a")
      assert.lengthOf(asked, 2)
    })
  )

  it.effect("jwt cache - what is refused is looked at each time, and kept nowhere", () =>
    Effect.gen(function* () {
      const { asked, verify } = counting()
      for (let time = 0; time < 3; time++)
        assert.strictEqual((yield* Effect.flip(verify("bad"))).reason, "bad-signature")
      assert.lengthOf(asked, 3)
    })
  )

  it.effect("jwt cache - it does not grow without end", () =>
    Effect.gen(function* () {
      const { asked, verify } = counting()
      for (let token = 0; token <= 10_000; token++) yield* verify(String(token))
      yield* verify("10000")
      assert.lengthOf(asked, 10_001)
      yield* verify("0")
      assert.lengthOf(asked, 10_002)
    })
  )
})
