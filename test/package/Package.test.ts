/**
 * The package as a program elsewhere gets it: packed, installed into an empty folder, imported, and checked
 * against its own types.
 */
import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

const run = promisify(execFile)
const project = fileURLToPath(new URL("../..", import.meta.url))

const program = `
import { Effect, Schema, Stream } from "effect"
import { Polestar, Topic } from "polestar"
import { Hub, HubServer } from "polestar/hub"
import { connect } from "polestar/promise"

const Temperature = Topic.make("weather.temperature.{city}", Schema.Struct({ celsius: Schema.Number }))

const typed = Effect.gen(function* () {
  const star = yield* Polestar
  const readings = yield* star.open(Temperature)
  yield* star.publish(Temperature.at({ city: "london" }), { celsius: 12 })
  const [first] = yield* readings.messages.pipe(Stream.take(1), Stream.runCollect)
  return first === undefined ? "nothing" : \`\${first.params.city} \${first.value.celsius.toFixed(1)}\`
}).pipe(Effect.scoped, Effect.provide(Polestar.layerEmbedded()))

// @ts-expect-error the reading has no such field
export const wrong = (star: Polestar["Service"]) => star.publish(Temperature.at({ city: "x" }), { fahrenheit: 1 })

const client = await connect({ embedded: true })
const receipt = await client.publish("weather.london", { celsius: 3 })
await client.close()

const metrics = await Effect.runPromise(
  Effect.provide(Hub.use((hub) => hub.metrics), HubServer.layerWith({ port: 0 }))
)
console.log(JSON.stringify([await Effect.runPromise(typed), receipt.durability, metrics.topics]))
`

const tsconfig = {
  compilerOptions: {
    module: "nodenext",
    target: "es2024",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    types: [],
    lib: ["es2024", "dom"]
  },
  include: ["program.ts"]
}

describe("package - outside the checkout", () => {
  let folder = ""

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "polestar-package-"))
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: project })
    const packed: unknown = JSON.parse(stdout.slice(stdout.search(/^[[{]/m)))
    const tarball = /polestar-[^"]+\.tgz/.exec(JSON.stringify(packed))?.[0]
    assert.isDefined(tarball)
    await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module", private: true }))
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(tsconfig))
    await writeFile(join(folder, "program.ts"), program)
    await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", `./${tarball}`], {
      cwd: folder
    })
  }, 240_000)

  afterAll(() => rm(folder, { recursive: true, force: true }))

  it("is installed, has types, and runs", { timeout: 120_000 }, async () => {
    const tsc = join(project, "node_modules", ".bin", "tsc")
    await run(process.execPath, [tsc, "-p", folder], { cwd: folder })
    const { stdout } = await run(process.execPath, [join(folder, "program.js")], { cwd: folder })
    assert.deepStrictEqual(JSON.parse(stdout.trim().split("\n").at(-1) ?? ""), ["london 12.0", "accepted", 0])
  })

  it("has the command", { timeout: 60_000 }, async () => {
    const { stdout } = await run(join(folder, "node_modules", ".bin", "polestar"), ["--version"], {
      cwd: folder
    })
    assert.match(stdout, /0\.1\.0/)
  })
})
