/**
 * Deliveries per second to many WebSockets in JSON: one publisher, every connection subscribed to its topic. The
 * publisher is never more than a window ahead of the slowest, and it ends when every one has every message.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { Running } from "../Processes.ts"
import { type Sample, watchCpu } from "../Throughput.ts"
import { payload, WRITE_BYTES } from "../Workload.ts"
import { makeCounter, open, type Peer, textFrame } from "./Wire.ts"

export interface FanOutPlan {
  readonly connections: number
  readonly warmUpMs: number
  readonly publishMs: number
  readonly settleMs: number
}

const TOPIC = "bench.news"
/** Connections that are made at the same time. */
const AT_ONCE = 100
const STALLED_AFTER_MS = 10_000
/** Deliveries that may be on their way, and messages: fewer than a subscriber's mailbox takes. */
const DELIVERIES = 1_000_000
const MESSAGES = 512

const ID_DIGITS = 10

/** A write full of messages, each with an id of its own, since the hub stores none twice. */
class Writes {
  readonly messages: number
  readonly #frame: Buffer
  readonly #idAt: number
  #next = 0

  constructor() {
    const id = "#".repeat(ID_DIGITS)
    const message = { id, payload: payload.toString() }
    this.#frame = textFrame(JSON.stringify({ type: "publish", topic: TOPIC, message }))
    this.#idAt = this.#frame.indexOf(id)
    this.messages = Math.floor(WRITE_BYTES / this.#frame.length)
  }

  take(messages: number): Buffer {
    const size = this.#frame.length
    const bytes = Buffer.allocUnsafe(size * messages)
    for (let i = 0; i < messages; i++) {
      this.#frame.write(String(this.#next++).padStart(ID_DIGITS, "0"), this.#idAt)
      bytes.set(this.#frame, i * size)
    }
    return bytes
  }
}

/** Publishes for `publishMs`; answers deliveries per second once all have come. */
const drive = (publisher: Peer, writes: Writes, subscribers: readonly Peer[], publishMs: number) =>
  new Promise<number>((resolve, reject) => {
    const count = subscribers.length
    const window = Math.max(16, Math.min(MESSAGES, Math.floor(DELIVERIES / count)))
    let sent = 0
    let received = 0
    let publishing = true
    const started = performance.now()
    const finish = (error?: Error) => {
      clearInterval(watchdog)
      for (const subscriber of subscribers) subscriber.onBytes = () => {}
      if (error !== undefined) reject(error)
      else resolve(received / ((performance.now() - started) / 1000))
    }
    let before = -1
    const watchdog = setInterval(() => {
      if (received === before) finish(new Error(`stalled: ${received} of ${sent * count} deliveries`))
      before = received
    }, STALLED_AFTER_MS)
    // On the average of all, since to look for the slowest of ten thousand at each delivery would cost more than it.
    const pump = () => {
      const room = window - (sent - received / count)
      if (publishing && room >= window / 2) {
        const messages = Math.min(writes.messages, Math.floor(room))
        publisher.socket.write(writes.take(messages))
        sent += messages
        publishing = performance.now() - started < publishMs
      } else if (!publishing && received >= sent * count) {
        finish(received > sent * count ? new Error("more was delivered than sent") : undefined)
      }
    }
    for (const subscriber of subscribers) {
      const counter = makeCounter()
      subscriber.onBytes = (bytes) => {
        received += counter(bytes)
        pump()
      }
    }
    pump()
  })

/** Two values: deliveries per second, and resident bytes that each connection added. */
export const measureFanOut = async (running: Running, plan: FanOutPlan): Promise<Sample> => {
  const subscribers: Peer[] = []
  const publisher = await open(running.port)
  await sleep(plan.settleMs)
  const alone = running.residentBytes()
  for (let left = plan.connections; left > 0; left -= AT_ONCE) {
    const some = Array.from({ length: Math.min(left, AT_ONCE) }, (_, index) =>
      open(running.port, { type: "subscribe", topic: TOPIC, request_id: index })
    )
    subscribers.push(...(await Promise.all(some)))
  }
  await sleep(plan.settleMs)
  const each = (running.residentBytes() - alone) / plan.connections
  const writes = new Writes()
  try {
    await drive(publisher, writes, subscribers, plan.warmUpMs)
    const cpu = watchCpu(running)
    const rate = await drive(publisher, writes, subscribers, plan.publishMs)
    return { values: [rate, each], ...cpu() }
  } finally {
    for (const peer of [publisher, ...subscribers]) peer.socket.destroy()
  }
}
