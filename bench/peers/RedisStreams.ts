/** redis-server's streams with an append-only file: XADD, XREADGROUP and XACK, XRANGE. */
import {
  type Converse,
  type DurablePublisher,
  type DurableSystem,
  IN_FLIGHT,
  type Question,
  TOPIC
} from "../durable/DurableSystem.ts"
import { findProgram } from "../Processes.ts"
import { makeRespReader, Type } from "./RespReader.ts"
import { repeated } from "./System.ts"

const GROUP = "workers"
const PAGE = 1000
const RANGE = 10_000

export const command = (...words: ReadonlyArray<string | Buffer>): Buffer =>
  Buffer.concat([
    Buffer.from(`*${words.length}\r\n`),
    ...words.flatMap((word) => {
      const bytes = Buffer.from(word)
      return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")]
    })
  ])

/** A question whose answer is an integer, or an array that begins with one; anything else is 0. */
const asked = (...words: readonly string[]): Question => ({
  send: command(...words),
  answer: (received) => {
    const text = received.toString("latin1")
    if (text.startsWith("-")) throw new Error(`redis-server: ${text.trim()}`)
    if (!text.endsWith("\r\n")) return undefined
    return Number(/^(?:\*\d+\r\n)?:(\d+)\r\n/.exec(text)?.[1] ?? 0)
  }
})

const ping = asked("PING")

const publisher = (): DurablePublisher => ({
  connect: ping,
  encodePublish: (payload, count) => repeated(command("XADD", TOPIC, "*", "d", payload), count),
  // Each is answered by the entry's id.
  makeReceipts: () =>
    makeRespReader({
      answer: (type, value) => {
        if (type !== Type.bulk || value <= 0) throw new Error("redis-server answered XADD without an id")
        return 1
      }
    })
})

const ZERO = 48
const NINE = 57

/** Of the strings of an answer, an entry's id is the one that begins with a digit: the key and the field do not. */
const isId = (bytes: Uint8Array, from: number): boolean => bytes[from]! >= ZERO && bytes[from]! <= NINE

/** Ids, one after the other, as the words of a command. */
class Ids {
  #bytes = Buffer.alloc(64 * PAGE)
  #end = 0
  #lastAt = 0
  count = 0

  add(bytes: Uint8Array, from: number, to: number): void {
    const out = this.#bytes
    let at = this.#end
    at += out.write(`$${to - from}\r\n`, at, "latin1")
    this.#lastAt = at
    for (let i = from; i < to; i++) out[at++] = bytes[i]!
    at += out.write("\r\n", at, "latin1")
    this.#end = at
    this.count++
  }

  get last(): string {
    return this.#bytes.toString("latin1", this.#lastAt, this.#end - 2)
  }

  /** A command with these words before the ids, which are then forgotten. */
  command(...words: readonly string[]): Buffer {
    const whole = command(...words)
    const rest = whole.subarray(whole.indexOf("\r\n") + 2)
    const head = Buffer.from(`*${words.length + this.count}\r\n`)
    const all = Buffer.concat([head, rest, this.#bytes.subarray(0, this.#end)])
    this.clear()
    return all
  }

  clear(): void {
    this.#end = 0
    this.count = 0
  }
}

/** Pages of XRANGE, each after the last id of the one before. */
const replay: Converse = (_, send) => {
  const ids = new Ids()
  let messages = 0
  return {
    begin: () => send(command("XRANGE", TOPIC, "-", "+", "COUNT", String(RANGE))),
    read: makeRespReader({
      small: (bytes, from, to) => {
        if (!isId(bytes, from)) return
        ids.clear()
        ids.add(bytes, from, to)
      },
      large: () => {
        messages++
      },
      answer: (_type, entries) => {
        if (entries !== messages) throw new Error(`${messages} messages are in a page of ${entries}`)
        messages = 0
        if (entries > 0) send(command("XRANGE", TOPIC, `(${ids.last}`, "+", "COUNT", String(RANGE)))
        return entries
      }
    })
  }
}

/** Reads of a thousand entries, as many at once as may be in flight; each answer is acknowledged by one XACK. */
const consume: Converse = (_, send) => {
  const read = command("XREADGROUP", "GROUP", GROUP, "one", "COUNT", String(PAGE), "STREAMS", TOPIC, ">")
  const ids = new Ids()
  return {
    begin: () => {
      send(command("XGROUP", "CREATE", TOPIC, GROUP, "0"))
      for (let i = 0; i < IN_FLIGHT / PAGE; i++) send(read)
    },
    read: makeRespReader({
      small: (bytes, from, to) => {
        if (isId(bytes, from)) ids.add(bytes, from, to)
      },
      answer: (type, value) => {
        if (type === Type.integer) return value
        if (ids.count > 0) send(Buffer.concat([ids.command("XACK", TOPIC, GROUP), read]))
        return 0
      }
    })
  }
}

const last: Converse = (_, send) => ({
  begin: () => send(command("XREVRANGE", TOPIC, "+", "-", "COUNT", "1")),
  read: makeRespReader({ answer: (_type, entries) => entries })
})

const streams = (appendfsync: "everysec" | "always", receipts: string): DurableSystem => ({
  name: `redis-${appendfsync}`,
  settings: `append-only file, appendfsync ${appendfsync}, never rewritten; ${receipts}`,
  launch: (port, dir) => ({
    command: findProgram("redis-server") ?? "redis-server",
    args: [
      ...["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", ""],
      ...["--appendonly", "yes", "--appendfsync", appendfsync, "--auto-aof-rewrite-percentage", "0"]
    ]
  }),
  batch: 1,
  publisher,
  connect: () => ping,
  make: ping,
  stored: asked("XLEN", TOPIC),
  unacknowledged: asked("XPENDING", TOPIC, GROUP),
  replay,
  consume,
  last
})

export const redisStreams: readonly DurableSystem[] = [
  streams("everysec", "receipts come before the flush, which is once a second"),
  streams("always", "receipts come after the flush")
]
