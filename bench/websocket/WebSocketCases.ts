/** The cases of WebSockets that speak JSON: many connections, beside a plain loop of `ws.send`. */
import { fileURLToPath } from "node:url"
import type { Case } from "../Case.ts"
import { main } from "../peers/PolestarHub.ts"
import type { Launch } from "../peers/System.ts"
import { measureFanOut } from "./FanOut.ts"

const PEER = "ws-loop"

const loop = fileURLToPath(new URL("./SendLoop.ts", import.meta.url))

const launchLoop = (port: number): Launch => ({
  command: process.execPath,
  args: [loop, String(port)],
  env: {}
})

const launchHub = (port: number): Launch => ({
  command: process.execPath,
  args: [main, "hub", "--port", "0"],
  env: {
    POLESTAR_HTTP_PORT: String(port),
    POLESTAR_DURABILITY: "> = memory",
    POLESTAR_MAX_CONNECTIONS: "20000",
    POLESTAR_LOG_LEVEL: "Error"
  }
})

const fanOut = (connections: number): Case => {
  const name = `websocket-${connections}`
  return {
    name,
    about: `128 B in JSON, one publisher, ${connections.toLocaleString("en")} WebSockets; and what each adds to resident memory`,
    kind: "live",
    repeats: 3,
    metrics: [
      { name, unit: "deliveries/s", peer: PEER },
      { name: `${name}-memory`, unit: "bytes", peer: PEER }
    ],
    entries: (system) =>
      system.name !== "polestar"
        ? []
        : [
            { name: "polestar", launch: launchHub },
            { name: PEER, launch: launchLoop }
          ].map((row) => ({
            ...row,
            measure: (running, { publishMs, settleMs, warmUpMs }) =>
              measureFanOut(running, { connections, warmUpMs, publishMs, settleMs })
          }))
  }
}

export const webSocketCases: readonly Case[] = [fanOut(100), fanOut(1_000), fanOut(10_000)]
