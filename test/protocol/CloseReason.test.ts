import { assert, describe, it } from "@effect/vitest"
import {
  type CloseReason,
  CloseReasons,
  closeReasonOf,
  mayReconnect
} from "../../src/protocol/CloseReason.ts"
import { type ErrorCode, ErrorCodes, errorCodeOf, isTransient } from "../../src/protocol/ErrorCode.ts"

const reasons = Object.entries(CloseReasons) as ReadonlyArray<[CloseReason, number]>
const codes = Object.entries(ErrorCodes) as ReadonlyArray<[ErrorCode, number]>

describe("close reason", () => {
  for (const [reason, code] of reasons) {
    it(`close reason - ${reason} is ${code} and says whether to connect again`, () => {
      assert.strictEqual(closeReasonOf(code), reason)
      assert.strictEqual(mayReconnect(reason), code >= 3000 && code < 3500)
      // What a WebSocket may be closed with.
      assert.isTrue(code === 1000 || (code >= 3000 && code <= 4999))
    })
  }

  it("close reason - no two share a number", () => {
    assert.strictEqual(new Set(reasons.map(([, code]) => code)).size, reasons.length)
  })

  it("close reason - one of a later version is of the same range", () => {
    for (let code = 0; code <= 65_535; code++) {
      const reason = closeReasonOf(code)
      if (code < 3000) assert.strictEqual(reason, "normal", `${code}`)
      else assert.strictEqual(mayReconnect(reason), code < 3500, `${code}`)
    }
  })
})

describe("error code", () => {
  it("error code - each has its number, and only some may succeed when tried again", () => {
    for (const [name, code] of codes) {
      assert.strictEqual(errorCodeOf(code), name)
      assert.strictEqual(isTransient(name), (code >= 13 && code <= 16) || code === 21, name)
    }
    assert.strictEqual(new Set(codes.map(([, code]) => code)).size, codes.length)
  })

  it("error code - one of a later version is internal, and not tried again", () => {
    for (const code of [0, 26, 65_535]) assert.strictEqual(errorCodeOf(code), "internal")
    assert.isFalse(isTransient("internal"))
  })
})
