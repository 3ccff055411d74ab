/** Bodies that are far too large: refused as far as they must be, in memory that is bounded, and nobody else notices. */
import * as Http from "node:http"
import { Readable } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { host } from "./Faults.ts"
import { startHub } from "./HubProcess.ts"
import { longestTrip, type Steady, steadyPair } from "./WebFaults.ts"

const isLong = process.env.POLESTAR_LONG === "1"
const MIB = 1_048_576
const single = "/api/v1/messages"
const bulk = "/api/v1/messages/bulk"
const tiny = '{"topic":"tiny","payload":1}'

interface Sent {
  readonly status: number
  /** How the answer begins, and its lines. */
  readonly text: string
  readonly lines: number
}

/** Posts what the generator yields, without a length unless it is given. The peer may stop reading at any time. */
const send = (
  port: number,
  path: string,
  contentType: string,
  body: Iterable<string | Uint8Array>,
  length?: number
): Effect.Effect<Sent> =>
  Effect.callback((resume) => {
    const headers = {
      "content-type": contentType,
      ...(length === undefined ? {} : { "content-length": length })
    }
    const request = Http.request({ host, port, path, method: "POST", headers, agent: false }, (response) => {
      let text = ""
      let lines = 0
      response.on("data", (chunk: Buffer) => {
        if (text.length < 1000) text += chunk.toString()
        for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++
      })
      response.on("close", () => {
        source.destroy()
        resume(Effect.succeed({ status: response.statusCode ?? 0, text, lines }))
      })
    })
    const source = Readable.from(body, { objectMode: true })
    source.on("error", () => {})
    request.on("error", () => resume(Effect.succeed({ status: 0, text: "", lines: 0 })))
    source.pipe(request)
  })

function* repeated(piece: string, bytes: number): Generator<Uint8Array> {
  const chunk = Buffer.from(piece.repeat(Math.ceil(65_536 / piece.length)))
  for (let sent = 0; sent < bytes; sent += chunk.length) yield chunk
}

/** An array of so many messages, or the same as lines. */
function* messages(count: number, form: "array" | "lines"): Generator<string> {
  const separator = form === "array" ? "," : "\n"
  if (form === "array") yield '{"messages":['
  for (let n = 0; n < count; n += 1000)
    yield `${n === 0 ? "" : separator}${new Array(Math.min(1000, count - n)).fill(tiny).join(separator)}`
  if (form === "array") yield "]}"
}

describe("faults - web bodies", () => {
  it.live("web bodies - are refused, or taken in pieces, in bounded memory", () =>
    Effect.gen(function* () {
      const hub = yield* startHub()
      const { webPort } = hub
      const steady: Steady = yield* steadyPair(webPort)
      const asJson = "application/json"
      const asLines = "application/x-ndjson"
      const large = 100 * MIB
      const worst: Array<number> = []
      const look = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.tap(effect, () => Effect.sync(() => worst.push(steady.look().worst)))
      // With a length and without, each often enough that an answer which is lost now and then would be seen.
      for (const [path, length] of [
        [single, undefined],
        [single, large],
        [bulk, undefined],
        [bulk, large]
      ] as const)
        for (let time = 0; time < 5; time++) {
          const { status, text } = yield* look(send(webPort, path, asJson, repeated("[", large), length))
          assert.strictEqual(status, 413, `${path} ${length}`)
          assert.include(text, "MESSAGE_TOO_LARGE")
        }
      const line = yield* look(send(webPort, bulk, asLines, repeated("x", large)))
      assert.strictEqual(line.status, 202)
      assert.match(line.text, /^{"line":1,"error":{"code":"MESSAGE_TOO_LARGE",[^\n]*}\n$/)
      const million = yield* look(send(webPort, bulk, asJson, messages(1_000_000, "array")))
      assert.strictEqual(million.status, 413)
      const many = yield* look(send(webPort, bulk, asJson, messages(500_000, "array")))
      assert.strictEqual(many.status, 403)
      assert.include(many.text, "LIMIT_REACHED")
      const count = isLong ? 1_000_000 : 100_000
      const taken = yield* look(send(webPort, bulk, asLines, messages(count, "lines")))
      assert.deepStrictEqual([taken.status, taken.lines], [202, count])
      const broken = yield* look(send(webPort, bulk, asLines, repeated("x\n", 200_000)))
      assert.strictEqual(broken.status, 202)
      const empty = yield* look(send(webPort, bulk, asLines, repeated("\n", 8 * MIB)))
      assert.deepStrictEqual([empty.status, empty.lines], [202, 0])
      assert.isBelow(Math.max(...worst), longestTrip)
      assert.isBelow(yield* hub.peak, 700 * MIB)
    })
  )
})
