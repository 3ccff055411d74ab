/**
 * Programs of the machine that some tests drive, looked up by name on PATH. Where one is missing its tests are skipped
 * and say so, unless POLESTAR_TEST_TOOLS=required: then they fail.
 */
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"
import { describe, it } from "vitest"

/** The names that each program goes by, and the setting that names another file. */
const tools = {
  chromium: { names: ["chromium", "chromium-browser", "google-chrome"], setting: "POLESTAR_CHROMIUM" },
  curl: { names: ["curl"], setting: "POLESTAR_CURL" },
  promtool: { names: ["promtool"], setting: "POLESTAR_PROMTOOL" }
}

export type Tool = keyof typeof tools

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The program's file: what its setting names, or the first of its names on PATH. */
export const findTool = (tool: Tool): string | undefined => {
  const { names, setting } = tools[tool]
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "")
  const onPath = names.flatMap((name) => folders.map((folder) => join(folder, name)))
  return [process.env[setting] ?? "", ...onPath].filter((path) => path !== "").find(isProgram)
}

/** A `describe` whose tests are given the program's file; without the program one test stands for them all. */
export const describeWith = (tool: Tool, name: string, tests: (path: string) => void): void => {
  const path = findTool(tool)
  if (path !== undefined) {
    describe(name, () => tests(path))
    return
  }
  const { names, setting } = tools[tool]
  const reason = `needs ${names.join(" or ")} on PATH, or ${setting}`
  describe(name, () => {
    it(reason, (test) => {
      if (process.env.POLESTAR_TEST_TOOLS === "required") throw new Error(reason)
      console.warn(`${name}: skipped, it ${reason}`)
      test.skip(reason)
    })
  })
}
