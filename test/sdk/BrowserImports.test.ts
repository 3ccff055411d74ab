import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

const importForm = /^(?:import|export)\s[^"']*?from\s+"([^"]+)"|^import\s+"([^"]+)"|import\("([^"]+)"\)/gm

/** All that a file imports, directly or through others, but for what is types only. */
const importsOf = (entry: URL, seen = new Set<string>(), packages = new Set<string>()) => {
  if (seen.has(entry.href)) return { seen, packages }
  seen.add(entry.href)
  for (const [text, named, bare, dynamic] of readFileSync(fileURLToPath(entry), "utf8").matchAll(
    importForm
  )) {
    const target = named ?? bare ?? dynamic ?? ""
    if (/^(?:import|export) type /.test(text)) continue
    if (target.startsWith(".")) importsOf(new URL(target, entry), seen, packages)
    else packages.add(target)
  }
  return { seen, packages }
}

describe("sdk - what a browser loads", () => {
  for (const file of ["browser.ts", "sdk/Polestar.ts", "sdk/Channel.ts", "sdk/PromiseClient.ts"]) {
    it(`sdk - ${file} needs neither Node nor the hub`, () => {
      const { seen, packages } = importsOf(new URL(`../../src/${file}`, import.meta.url))
      assert.isAbove(seen.size, 10)
      assert.deepStrictEqual(
        [...packages].filter((name) => name !== "effect" && !name.startsWith("effect/")),
        []
      )
      assert.deepStrictEqual(
        [...seen].filter((url) => !/\/src\/(sdk\/|protocol\/|browser\.ts)/.test(url)),
        []
      )
    })
  }
})
