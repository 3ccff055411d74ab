/** The examples run, and print what they say. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"

const run = promisify(execFile)

const printed = async (example: string): Promise<ReadonlyArray<string>> => {
  const path = fileURLToPath(new URL(`../../examples/${example}.ts`, import.meta.url))
  const { stdout } = await run(process.execPath, [path], { timeout: 50_000 })
  return stdout.trim().split("\n")
}

describe("examples", () => {
  it("examples - weather: typed topics and wildcards", { timeout: 60_000 }, async () => {
    const lines = await printed("weather")
    for (const line of [
      "london: 12 °C",
      "paris: 15.5 °C",
      "oslo: -3 °C",
      'weather.humidity.london: {"percent":81}'
    ]) {
      assert.include(lines, line)
    }
    assert.strictEqual(lines.at(-1), "the last of each city: london, oslo, paris")
  })

  it("examples - orders: shared work, tried again, or a dead letter", { timeout: 60_000 }, async () => {
    const [first, ...rest] = await printed("orders")
    assert.strictEqual(first, "order 1 again: known")
    assert.sameMembers(rest.slice(0, 3), [
      "order 1: 20 charged",
      "order 2: 35.5 charged, at attempt 2",
      "order 4: 12 charged"
    ])
    assert.deepStrictEqual(rest.slice(3), ['not charged: order-3, CardRefused: {"id":3}'])
  })

  it("examples - embedded: one hub for this process and for others", { timeout: 60_000 }, async () => {
    const lines = await printed("embedded")
    assert.include(lines, "order 3 from south: 7.25")
    assert.strictEqual(lines.at(-1), "3 received, 3 delivered")
  })

  it("examples - chat: everybody hears the others only", { timeout: 60_000 }, async () => {
    const lines = [...(await printed("chat"))].sort()
    assert.deepStrictEqual(lines, [
      "ada hears alan: hello, ada",
      "alan hears ada: hello, room",
      "grace hears ada: hello, room",
      "grace hears alan: hello, ada"
    ])
  })
})
