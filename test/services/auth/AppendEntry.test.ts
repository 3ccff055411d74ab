import { assert, describe, it } from "@effect/vitest"
import { parse } from "yaml"
import { withEntry } from "../../../src/services/auth/AppendEntry.ts"

const entry = { id: "2", hash: "h", name: "b" }

describe("append entry", () => {
  it.each([
    ["keys.yaml", "", { authKeys: [entry] }],
    ["keys.yaml", "# mine\n", { authKeys: [entry] }],
    ["keys.yaml", "authKeys:\n  - id: '1'\n", { authKeys: [{ id: "1" }, entry] }],
    ["hub.yaml", "auth:\n  type: any\n", { auth: { type: "any" }, authKeys: [entry] }],
    ["hub.yaml", "auth:\n  keys:\n    - id: '1'\n", { auth: { keys: [{ id: "1" }, entry] } }],
    ["keys.json", "", { authKeys: [entry] }],
    ["hub.json", '{"port":1}', { port: 1, authKeys: [entry] }],
    ["hub.json", '{"auth":{"type":"any","keys":[]}}', { auth: { type: "any", keys: [entry] } }]
  ])("append entry - %s: %s", (path, content, expected) => {
    const added = withEntry(path, content, entry) ?? ""
    assert.deepStrictEqual(parse(added), expected)
    if (content.startsWith("#")) assert.isTrue(added.startsWith(content))
  })

  it.each([
    ["keys.yaml", "authKeys: 1"],
    ["keys.yaml", "- 1"],
    ["keys.yaml", "a: ["],
    ["hub.json", '{"auth":{"keys":1}}'],
    ["hub.json", "{ // no JSON\n}"]
  ])("append entry - %s cannot be added to: %s", (path, content) => {
    assert.isUndefined(withEntry(path, content, entry))
  })
})
