/** The rules of `src/` as a whole: who may import whom, as DESIGN.md draws it, and whose fibers are. */
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

const rooms = ["transports/http", "transports/websocket"]

interface Import {
  readonly from: string
  readonly to: string
}

const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))

const imports: ReadonlyArray<Import> = files.flatMap((from) =>
  [...readFileSync(join(root, from), "utf8").matchAll(/(?:from|import) "(\.[^"]+)"/g)].map(
    ([, path = ""]) => ({
      from,
      to: relative(root, join(root, from, "..", path))
    })
  )
)

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
    const wrong = files.filter(
      (file) => partOf(file) === "transports" && unowned.test(readFileSync(join(root, file), "utf8"))
    )
    assert.deepStrictEqual(wrong, [])
  })
})
