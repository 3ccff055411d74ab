import { assert, describe, it } from "@effect/vitest"
import { type ErrorCode, ErrorCodes, isTransient } from "../../../src/protocol/ErrorCode.ts"
import {
  authCodes,
  type JsonCode,
  jsonCodes,
  problemHeaders,
  problemKinds,
  problemOf,
  problemOfError
} from "../../../src/protocol/json/Problem.ts"
import type { AuthReason } from "../../../src/services/auth/AuthError.ts"

const errorCodes = Object.keys(ErrorCodes) as ReadonlyArray<ErrorCode>
const codes = Object.keys(problemKinds) as ReadonlyArray<JsonCode>

describe("problem - what clients are told", () => {
  for (const error of errorCodes) {
    it(`problem - ${error} has a code, a status, and a time to wait if it may pass`, () => {
      const problem = problemOfError(error)
      assert.strictEqual(problem.code, jsonCodes[error])
      assert.strictEqual(problem.retry_after !== undefined, isTransient(error))
      assert.strictEqual("retry-after" in problemHeaders(problem), isTransient(error))
    })
  }

  for (const code of codes) {
    it(`problem - ${code} is a whole problem of RFC 9457`, () => {
      const problem = problemOf(code)
      assert.match(code, /^[A-Z_]+$/)
      assert.strictEqual(problem.type, "about:blank")
      assert.isTrue(problem.status >= 400 && problem.status < 600)
      assert.notStrictEqual(problem.title, "Error")
      assert.match(problem.detail, /^[A-Z].*\.$/)
      // What is temporary by its status says when to come back, and nothing else does.
      assert.strictEqual(problem.retry_after !== undefined, [429, 503].includes(problem.status))
    })
  }

  it("problem - every reason of a refused token has a code; an expired one is told apart", () => {
    const all: { readonly [Reason in AuthReason]: JsonCode } = authCodes
    for (const [reason, code] of Object.entries(all)) {
      assert.strictEqual(code === "TOKEN_EXPIRED", reason === "expired")
      assert.strictEqual(problemKinds[code].status, reason === "jwks-unavailable" ? 503 : 401)
    }
    assert.match(
      problemHeaders(problemOf("TOKEN_EXPIRED"))["www-authenticate"] ?? "",
      /invalid_token.*expired/
    )
    assert.strictEqual(problemHeaders(problemOf("UNAUTHORIZED"))["www-authenticate"], "Bearer")
  })

  it("problem - details and seconds that are known better take the place of the table's", () => {
    const problem = problemOf("RATE_LIMITED", "1,000 messages a minute", 12.2)
    assert.deepStrictEqual(problem, {
      type: "about:blank",
      title: "Too Many Requests",
      status: 429,
      detail: "1,000 messages a minute",
      code: "RATE_LIMITED",
      retry_after: 13
    })
    assert.deepStrictEqual(problemHeaders(problem), {
      "content-type": "application/problem+json",
      "retry-after": "13"
    })
    assert.strictEqual(problemOf("RATE_LIMITED", undefined, 0).retry_after, 1)
  })
})
