import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { masked, maskOf } from "../../src/services/LogMasking.ts"

const mask = maskOf(["user"])

describe("log masking", () => {
  it("log masking - named fields are masked however they are written and however deep they stand", () => {
    const line = {
      message: [{ Token: "t", more: { "API-Key": "k", USER: "u", id: 1 } }],
      annotations: { apiKey: 1 }
    }
    assert.deepStrictEqual(mask(line), {
      message: [{ Token: masked, more: { "API-Key": masked, USER: masked, id: 1 } }],
      annotations: { apiKey: masked }
    })
  })

  it("log masking - what is given is not changed", () => {
    const line = { token: "t" }
    mask(line)
    assert.deepStrictEqual(line, { token: "t" })
  })

  it("log masking - an object that holds itself is masked where it is too deep", () => {
    const line: { self?: unknown; token: string } = { token: "t" }
    line.self = line
    assert.notInclude(JSON.stringify(mask(line)), '"t"')
  })

  it.prop("log masking - nothing else is touched", [Schema.Json], ([value]) => {
    const text = JSON.stringify(value)
    if (/"(authorization|token|password|secret|api.?key|payload|user)"/i.test(text) || depthOf(value) > 7)
      return
    assert.strictEqual(JSON.stringify(mask(value)), text)
  })
})

const depthOf = (value: unknown): number =>
  typeof value !== "object" || value === null
    ? 0
    : 1 + Math.max(0, ...Object.values(value).map((member) => depthOf(member)))
