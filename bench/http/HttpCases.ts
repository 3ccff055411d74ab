/** The cases of HTTP: publishing, one message or many a request, and long polls; beside servers that do nothing else. */
import { fileURLToPath } from "node:url"
import type { Case, Entry, Scale } from "../Case.ts"
import { main } from "../peers/PolestarHub.ts"
import type { Launch, System } from "../peers/System.ts"
import { measureLines } from "./Lines.ts"
import { measureLongPoll } from "./LongPoll.ts"
import { measurePublish } from "./Publish.ts"

const EFFECT = "effect-http"
const NODE = "node-http"

const SINGLE_CONNECTIONS = 64
const BULK_CONNECTIONS = 8
const POLLS = 6_000
/** Compilers of so much code take longer than those of a socket's loop. */
const WARM_UPS = 4

const serverOf =
  (file: string) =>
  (port: number): Launch => ({
    command: process.execPath,
    args: [fileURLToPath(new URL(file, import.meta.url)), String(port)],
    env: {}
  })

const hubWith =
  (env: Readonly<Record<string, string>> = {}) =>
  (port: number): Launch => ({
    command: process.execPath,
    args: [main, "hub", "--port", "0"],
    env: {
      POLESTAR_HTTP_PORT: String(port),
      POLESTAR_DURABILITY: "> = memory",
      POLESTAR_MAX_CONNECTIONS: "20000",
      POLESTAR_LOG_LEVEL: "Error",
      ...env
    }
  })

const launches: Readonly<Record<string, System["launch"]>> = {
  polestar: hubWith(),
  [EFFECT]: serverOf("./EffectServer.ts"),
  [NODE]: serverOf("./NodeServer.ts")
}

/** Rows beside the hub's, whenever that is measured. */
const rows =
  (names: readonly string[], measure: Entry["measure"]): Case["entries"] =>
  (system) =>
    system.name !== "polestar"
      ? []
      : ["polestar", ...names].flatMap((name) => {
          const launch = launches[name]
          return launch === undefined ? [] : [{ name, launch, measure }]
        })

const publishing = (name: string, about: string, connections: number, bulk: number | undefined): Case => ({
  name,
  about,
  kind: "live",
  metrics: [{ name, unit: "messages/s", peer: EFFECT }],
  entries: rows([EFFECT, NODE], (running, { publishMs, warmUpMs }: Scale) =>
    measurePublish(running, { connections, bulk, warmUpMs: warmUpMs * WARM_UPS, publishMs })
  )
})

export const httpCases: readonly Case[] = [
  publishing(
    "http-single",
    `128 B in JSON, one message a request, ${SINGLE_CONNECTIONS} connections`,
    SINGLE_CONNECTIONS,
    undefined
  ),
  publishing("http-bulk-100", "the same with 100 messages a request, 8 connections", BULK_CONNECTIONS, 100),
  publishing("http-bulk-1000", "the same with 1,000 messages a request", BULK_CONNECTIONS, 1000),
  {
    name: "http-lines",
    about: "128 B in JSON, a message a line, one request that does not end",
    kind: "live",
    metrics: [{ name: "http-lines", unit: "messages/s", peer: undefined }],
    entries: rows([], (running, { publishMs, warmUpMs, windowBytes }) =>
      measureLines(running, { windowBytes, warmUpMs: warmUpMs * WARM_UPS, publishMs })
    )
  },
  {
    name: "long-poll",
    about: `${POLLS.toLocaleString("en")} polls that wait at once, all answered by one publish; and the memory of one`,
    kind: "live",
    metrics: [
      { name: "long-poll-first", unit: "ms", peer: NODE },
      { name: "long-poll-spread", unit: "ms", peer: NODE },
      { name: "long-poll-memory", unit: "bytes", peer: NODE }
    ],
    entries: rows([NODE], (running, { settleMs }) =>
      measureLongPoll(running, { polls: POLLS, warmUp: 2, rounds: 5, settleMs })
    )
  }
]
