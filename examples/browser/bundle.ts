/** The page's program as one file for a browser. */
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"

const entry = fileURLToPath(new URL("./app.ts", import.meta.url))

export const bundle = async (format: "esm" | "iife"): Promise<string> => {
  const build = await rolldown({ input: entry, platform: "browser", logLevel: "silent" })
  try {
    const { output } = await build.generate({ format, minify: true })
    return output[0].code
  } finally {
    await build.close()
  }
}
