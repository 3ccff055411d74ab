/**
 * The rules of `src/` as a whole: who may import whom and which packages, as DESIGN.md draws it, and whose fibers are.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join, relative } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "../../src")

/** What each part may import, besides itself. */
const arrows: Readonly<Record<string, ReadonlyArray<string>>> = {
  protocol: [],
  services: ["protocol"],
  actors: ["services", "protocol"],
  transports: ["actors", "services", "protocol"],
  sdk: ["protocol"]
}

/** The SDK's Layer with a hub in it; and a socket of Node's as a `Duplex`, which is the same at both ends. */
const exceptions: Readonly<Record<string, ReadonlyArray<string>>> = {
  "sdk/PolestarEmbedded.ts": ["actors", "services"],
  "sdk/PolestarTcp.ts": ["transports"]
}

/** What files of `protocol` may use of packages: none but these, to decode settings as values and to fail with them. */
const purePackages: Readonly<Record<string, ReadonlyArray<string>>> = {
  "protocol/SettingKinds.ts": ["effect", "effect/net/Host"],
  "protocol/SettingText.ts": ["effect"],
  "protocol/SettingsDecode.ts": ["effect"],
  "protocol/SettingsError.ts": ["effect"]
}

/** Effects that decide at once, as a getter of a schema must; nothing of `protocol` may wait or run. */
const pureEffects: Readonly<Record<string, ReadonlyArray<string>>> = {
  "protocol/SettingKinds.ts": ["Effect.fail", "Effect.succeed"]
}

/** The files of the SDK that are for Node: all that they load may be Node's. */
const forNode = ["sdk/PolestarEmbedded.ts", "sdk/PolestarNode.ts", "sdk/PolestarTcp.ts", "sdk/TcpSettings.ts"]

const rooms = ["transports/http", "transports/websocket"]

interface Import {
  readonly from: string
  readonly to: string
}

const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))

const textOf = (file: string): string => readFileSync(join(root, file), "utf8")
/** Without comments, in which anything may be named. */
const codeOf = (file: string): string => textOf(file).replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, "$1")

/** All that is imported, also of types and when it is needed only; `to` is a file of `src` or the name of a package. */
const importsIn = (from: string, code: string): ReadonlyArray<Import> =>
  [...code.matchAll(/(?:\bfrom|\bimport|\brequire)\s*\(?\s*["'`]([\w@./:-]+)["'`]/g)].map(
    ([, path = ""]) => ({
      from,
      to: path.startsWith(".") ? relative(root, join(root, from, "..", path)) : path
    })
  )

const everyImport = files.flatMap((from) => importsIn(from, codeOf(from)))
const imports = everyImport.filter(({ to }) => to.endsWith(".ts"))
const packages = everyImport.filter(({ to }) => !to.endsWith(".ts"))

const partOf = (file: string): string => file.split("/")[0] ?? ""
const shown = ({ from, to }: Import): string => `${from} imports ${to}`

describe("architecture", () => {
  it("architecture - imports go where the arrows do", () => {
    const wrong = imports.filter(({ from, to }) => {
      const may = arrows[partOf(from)]
      if (may === undefined || partOf(to) === partOf(from)) return false
      return ![...may, ...(exceptions[from] ?? [])].includes(partOf(to))
    })
    assert.deepStrictEqual(wrong.map(shown), [])
    assert.isAbove(imports.length, 500)
  })

  it("architecture - an import is seen however it is written", () => {
    const forms = [
      'import "a"',
      'import { type X } from "a"',
      'export * from "a"',
      'import {\n  X\n} from "a"',
      'const x = await import("a")',
      "type X = import('a').X",
      'require("a")'
    ]
    for (const form of forms)
      assert.deepStrictEqual(importsIn("protocol/X.ts", form), [{ from: "protocol/X.ts", to: "a" }], form)
  })

  it("architecture - the protocol imports no package, but to decode settings", () => {
    const wrong = packages.filter(
      ({ from, to }) => partOf(from) === "protocol" && !purePackages[from]?.includes(to)
    )
    assert.deepStrictEqual(wrong.map(shown), [])
    const unused = Object.entries(purePackages).flatMap(([from, names]) =>
      names
        .filter((to) => !packages.some((each) => each.from === from && each.to === to))
        .map((to) => shown({ from, to }))
    )
    assert.deepStrictEqual(unused, [])
  })

  it("architecture - the protocol runs no effect, and does no I/O", () => {
    const wrong = files
      .filter((file) => partOf(file) === "protocol")
      .flatMap((file) => {
        const code = codeOf(file)
        const effects = code.match(/\b(?:Effect|Layer|Stream|Fiber|Queue|Deferred|Scope|Clock)\.\w+/g) ?? []
        const io =
          code.match(
            /\b(?:process\.|console\.|fetch\(|setTimeout\(|setInterval\(|setImmediate\(|Date\.now|performance\.)/g
          ) ?? []
        return [...effects.filter((each) => !pureEffects[file]?.includes(each)), ...io].map(
          (each) => `${file} uses ${each}`
        )
      })
    assert.deepStrictEqual(wrong, [])
  })

  it("architecture - the SDK imports Effect and nothing else, and what browsers load of it no Node", () => {
    const wrong = packages.filter(
      ({ from, to }) =>
        (partOf(from) === "sdk" || from === "browser.ts") &&
        !/^effect(\/|$)/.test(to) &&
        !(forNode.includes(from) && to.startsWith("node:"))
    )
    assert.deepStrictEqual(wrong.map(shown), [])
    const carried = imports.filter(
      ({ from, to }) =>
        (partOf(from) === "sdk" || from === "browser.ts") && forNode.includes(to) && !forNode.includes(from)
    )
    assert.deepStrictEqual(carried.map(shown), [])
  })

  it("architecture - HTTP and WebSocket know nothing of each other", () => {
    const wrong = imports.filter(({ from, to }) =>
      rooms.some((room) =>
        rooms.some((other) => room !== other && from.startsWith(`${room}/`) && to.startsWith(`${other}/`))
      )
    )
    assert.deepStrictEqual(wrong.map(shown), [])
  })

  it("architecture - every fiber of the transports belongs to a scope", () => {
    const unowned = /\b(forkDetach|runFork\w*|runCallback\w*|runPromise\w*)\b/
    const wrong = files.filter((file) => partOf(file) === "transports" && unowned.test(textOf(file)))
    assert.deepStrictEqual(wrong, [])
  })
})
