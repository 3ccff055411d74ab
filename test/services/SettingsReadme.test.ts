import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { fileAliases, plainVariables } from "../../src/services/SettingsAliases.ts"
import { settingsMarkdown } from "../../src/services/SettingsMarkdown.ts"

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8")

describe("settings", () => {
  it("settings - the README has the table that the code has", () => {
    const table = /<!-- settings -->\n([\s\S]*?)<!-- \/settings -->/.exec(readme)?.[1]
    assert.strictEqual(table?.trim(), settingsMarkdown().trim())
  })

  it("settings - the README has the names of the references", () => {
    const text = /## Settings\n([\s\S]*?)<!-- settings -->/.exec(readme)?.[1]
    for (const name of [...Object.keys(fileAliases), ...Object.keys(plainVariables)]) {
      assert.include(text ?? "", `\`${name}\``)
    }
  })
})
