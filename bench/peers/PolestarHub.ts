/** How Polestar's hub is started: as its command does it. */
import { fileURLToPath } from "node:url"
import type { Launch } from "./System.ts"

export const main: string = fileURLToPath(new URL("../../src/main.ts", import.meta.url))

export const launchHub = (port: number, env: Readonly<Record<string, string>>): Launch => ({
  command: process.execPath,
  args: [main, "hub", "--port", String(port)],
  env: { POLESTAR_HTTP_PORT: "0", ...env }
})
