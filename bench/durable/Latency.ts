/** The time from the write of one message to its receipt, one at a time. */
import { ask, type Connection, open } from "../Connection.ts"
import type { Running } from "../Processes.ts"
import { percentile } from "../Statistics.ts"
import { type Sample, watchCpu } from "../Throughput.ts"
import { Feed } from "../Workload.ts"
import { checkStored, withConnection } from "./Converse.ts"
import type { DurableSystem } from "./DurableSystem.ts"

const LOST_AFTER_MS = 5_000

/** Publishes one after the other for so long; answers each one's duration in microseconds. */
const oneByOne = (
  connection: Connection,
  take: () => Buffer,
  count: (bytes: Uint8Array, length: number) => number,
  durationMs: number
): Promise<readonly number[]> =>
  new Promise((resolve, reject) => {
    const durations: number[] = []
    const started = performance.now()
    let sentAt = 0
    let before = -1
    const finish = (error?: Error) => {
      clearInterval(watchdog)
      connection.onBytes = () => {}
      connection.onFailure = () => {}
      if (error === undefined) resolve(durations)
      else reject(error)
    }
    const send = () => {
      const message = take()
      sentAt = performance.now()
      connection.socket.write(message)
    }
    const watchdog = setInterval(() => {
      if (durations.length === before) finish(new Error(`stalled: message ${before} has no receipt`))
      before = durations.length
    }, LOST_AFTER_MS)
    connection.onFailure = finish
    connection.onBytes = (bytes, length) => {
      const receipts = count(bytes, length)
      if (receipts === 0) return
      if (receipts > 1) return finish(new Error(`${receipts} receipts came for one message`))
      const now = performance.now()
      durations.push((now - sentAt) * 1000)
      if (now - started < durationMs) send()
      else finish()
    }
    send()
  })

export interface LatencyPlan {
  readonly payload: Buffer
  readonly warmUpMs: number
  readonly publishMs: number
}

/** Two values: the median and the 99th percentile, in microseconds. */
export const measureLatency = async (
  system: DurableSystem,
  running: Running,
  plan: LatencyPlan
): Promise<Sample> => {
  await withConnection(system, running.port, (connection) => ask(connection, system.make, "making the log"))
  const publisher = system.publisher(0)
  const connection = await open(running.port)
  await ask(connection, publisher.connect, "a connection")
  const feed = new Feed(publisher, [{ bytes: publisher.encodePublish(plan.payload, 1), messages: 1 }])
  const count = publisher.makeReceipts()
  const take = () => feed.take().bytes
  try {
    const warm = await oneByOne(connection, take, count, plan.warmUpMs)
    const cpu = watchCpu(running)
    const all = await oneByOne(connection, take, count, plan.publishMs)
    const used = cpu()
    await checkStored(system, running.port, warm.length + all.length)
    const sorted = all.toSorted((a, b) => a - b)
    return { values: [percentile(sorted, 0.5), percentile(sorted, 0.99)], ...used }
  } finally {
    connection.close()
  }
}
