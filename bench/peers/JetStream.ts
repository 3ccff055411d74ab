/** nats-server's JetStream with file storage, as its clients use it: receipts, a push consumer, an ordered consumer. */
import {
  type Converse,
  type DurablePublisher,
  type DurableSystem,
  IN_FLIGHT,
  type Question,
  TOPIC
} from "../durable/DurableSystem.ts"
import { findProgram } from "../Processes.ts"
import { makeNatsReader } from "./NatsReader.ts"
import { type Counter, repeated } from "./System.ts"

const STREAM = "BENCH"
const GROUP = "workers"
const ANSWERS = "_INBOX.bench"
const DELIVERIES = "_DELIVER.bench"
const SECOND_NS = 1_000_000_000
const S = 115

const publication = (subject: string, reply: string, payload: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(`PUB ${subject}${reply === "" ? "" : ` ${reply}`} ${payload.length}\r\n`),
    payload,
    Buffer.from("\r\n")
  ])

const request = (method: string, body: object | undefined): Buffer =>
  publication(`$JS.API.${method}`, ANSWERS, Buffer.from(body === undefined ? "" : JSON.stringify(body)))

const connectAs = (inbox: string): Question => ({
  send: Buffer.from(
    `CONNECT {"verbose":false,"pedantic":false,"echo":false,"headers":true}\r\nSUB ${inbox} 1\r\nPING\r\n`
  ),
  answer: (received) => (received.includes("PONG\r\n") ? 0 : undefined)
})

type Json = { readonly [name: string]: unknown }

const parse = (text: string): Json => {
  const found: unknown = JSON.parse(text)
  const answer: Json = found !== null && typeof found === "object" ? { ...found } : {}
  if (answer.error !== undefined) throw new Error(`JetStream: ${JSON.stringify(answer.error)}`)
  return answer
}

/** The number at a path of an answer. */
const numberAt = (answer: Json, ...path: readonly string[]): number => {
  let here: unknown = answer
  for (const name of path) here = here !== null && typeof here === "object" ? { ...here }[name] : undefined
  if (typeof here !== "number") throw new Error(`JetStream's answer has no ${path.join(".")}`)
  return here
}

const asked = (method: string, body: object | undefined, read: (answer: Json) => number): Question => ({
  send: request(method, body),
  answer: (received) => {
    let result: number | undefined
    const answer = (bytes: Uint8Array, from: number, to: number) => {
      result = read(parse(Buffer.from(bytes.subarray(from, to)).toString()))
      return 0
    }
    makeNatsReader({ answer })(received, received.length)
    return result
  }
})

const publisher = (index: number): DurablePublisher => {
  const inbox = `${ANSWERS}.${index}`
  return {
    connect: connectAs(inbox),
    encodePublish: (payload, count) => repeated(publication(TOPIC, inbox, payload), count),
    makeReceipts: () =>
      makeNatsReader({
        // `{"stream":"BENCH","seq":1}`, or an error, which is `{"error":…`.
        answer: (bytes, from, to) => {
          if (bytes[from + 2] !== S)
            throw new Error(`JetStream: ${Buffer.from(bytes.subarray(from, to)).toString()}`)
          return 1
        }
      })
  }
}

/** As the client libraries' ordered consumers: no acknowledgements, flow control. */
const replay: Converse = (_, send) => {
  const config = {
    deliver_subject: DELIVERIES,
    deliver_policy: "all",
    ack_policy: "none",
    max_deliver: 1,
    flow_control: true,
    idle_heartbeat: 5 * SECOND_NS,
    mem_storage: true,
    num_replicas: 1
  }
  return {
    begin: () => {
      send(Buffer.from(`SUB ${DELIVERIES} 2\r\n`))
      send(request(`CONSUMER.CREATE.${STREAM}`, { stream_name: STREAM, config }))
    },
    read: makeNatsReader({
      answer: (bytes, from, to) => {
        parse(Buffer.from(bytes.subarray(from, to)).toString())
        return 0
      },
      control: (reply, headers) => {
        const subject = reply === "" ? /Nats-Consumer-Stalled: (\S+)/.exec(headers)?.[1] : reply
        if (subject !== undefined) send(publication(subject, "", Buffer.alloc(0)))
      }
    })
  }
}

const LONGEST_ACK = 512

/** A write of acknowledgements, each `PUB <reply> 4␍␊+ACK␍␊`; the last one asks to be confirmed. */
class Acknowledgements {
  #bytes = Buffer.alloc(256 * 1024)
  #end = 0
  #ready = 0

  /** Writes that of a message whose reply subject is `bytes[from, to)`. */
  write(bytes: Uint8Array, from: number, to: number, reply: string): void {
    if (this.#end + LONGEST_ACK > this.#bytes.length)
      this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(this.#bytes.length)])
    const out = this.#bytes
    let at = this.#end
    at += out.write("PUB ", at, "latin1")
    for (let i = from; i < to; i++) out[at++] = bytes[i]!
    at += out.write(`${reply} 4\r\n+ACK\r\n`, at, "latin1")
    this.#end = at
  }

  /** The message of the last one that was written has come. */
  confirm(): void {
    this.#ready = this.#end
  }

  /** Those of messages that have come. */
  take(): Uint8Array {
    const ready = Uint8Array.from(this.#bytes.subarray(0, this.#ready))
    this.#bytes.copyWithin(0, this.#ready, this.#end)
    this.#end -= this.#ready
    this.#ready = 0
    return ready
  }
}

/** A push consumer with a deliver group; each message is acknowledged, those of a chunk in one write. */
const consume: Converse = (total, send) => {
  const config = {
    durable_name: GROUP,
    deliver_subject: DELIVERIES,
    deliver_group: GROUP,
    deliver_policy: "all",
    ack_policy: "explicit",
    ack_wait: 30 * SECOND_NS,
    max_ack_pending: IN_FLIGHT
  }
  const acknowledgements = new Acknowledgements()
  let seen = 0
  const reader = makeNatsReader({
    // The consumer was made; or, empty, the last acknowledgement was taken.
    answer: (bytes, from, to) => {
      if (from === to) return 1
      parse(Buffer.from(bytes.subarray(from, to)).toString())
      return 0
    },
    message: (bytes, from, to) => {
      seen++
      acknowledgements.write(bytes, from, to, seen === total ? ` ${ANSWERS}` : "")
    },
    received: () => acknowledgements.confirm()
  })
  let delivered = 0
  const read: Counter = (bytes, length) => {
    const came = reader(bytes, length)
    const acknowledged = acknowledgements.take()
    if (acknowledged.length > 0) send(acknowledged)
    delivered += came
    // The last message is not done by coming, but by its confirmation, which is counted too.
    return delivered === total && came > 0 ? came - 1 : came
  }
  return {
    begin: () => {
      send(Buffer.from(`SUB ${DELIVERIES} ${GROUP} 2\r\n`))
      send(request(`CONSUMER.DURABLE.CREATE.${STREAM}.${GROUP}`, { stream_name: STREAM, config }))
    },
    read
  }
}

const last: Converse = (total, send) => ({
  begin: () => send(request(`STREAM.MSG.GET.${STREAM}`, { last_by_subj: TOPIC })),
  read: makeNatsReader({
    answer: (bytes, from, to) => {
      const sequence = numberAt(parse(Buffer.from(bytes.subarray(from, to)).toString()), "message", "seq")
      if (sequence !== total) throw new Error(`message ${sequence} is the newest, of ${total}`)
      return 1
    }
  })
})

export const jetStream: DurableSystem = {
  name: "jetstream",
  settings:
    "file storage, one replica, no limits, no duplicate ids; receipts come before the flush (its sync_interval: 2 minutes)",
  launch: (port, dir) => ({
    command: findProgram("nats-server") ?? "nats-server",
    args: ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", dir]
  }),
  batch: 1,
  publisher,
  connect: () => connectAs(ANSWERS),
  make: asked(
    `STREAM.CREATE.${STREAM}`,
    {
      name: STREAM,
      subjects: [TOPIC],
      storage: "file",
      retention: "limits",
      discard: "old",
      num_replicas: 1,
      max_consumers: -1,
      max_msgs: -1,
      max_bytes: -1,
      max_age: 0
    },
    () => 0
  ),
  stored: asked(`STREAM.INFO.${STREAM}`, undefined, (answer) => numberAt(answer, "state", "messages")),
  unacknowledged: asked(
    `CONSUMER.INFO.${STREAM}.${GROUP}`,
    undefined,
    (answer) => numberAt(answer, "num_pending") + numberAt(answer, "num_ack_pending")
  ),
  replay,
  consume,
  last
}
