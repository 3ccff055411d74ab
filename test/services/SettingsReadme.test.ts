import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { settingsMarkdown } from "../../src/services/SettingsMarkdown.ts"

describe("settings", () => {
  it("settings - the README has the table that the code has", () => {
    const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8")
    const table = /<!-- settings -->\n([\s\S]*?)<!-- \/settings -->/.exec(readme)?.[1]
    assert.strictEqual(table?.trim(), settingsMarkdown().trim())
  })
})
