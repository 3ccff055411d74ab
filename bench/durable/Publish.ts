/**
 * Publishing with receipts: publishers that have at most a window of messages under way without a receipt, all of
 * them together. A measurement ends when the last receipt has come; the system must then say that it has them all.
 */
import { ask, type Connection, open } from "../Connection.ts"
import type { Running } from "../Processes.ts"
import { type Sample, watchCpu } from "../Throughput.ts"
import { type Chunk, Feed, WRITE_BYTES } from "../Workload.ts"
import { checkStored, withConnection } from "./Converse.ts"
import type { DurablePublisher, DurableSystem } from "./DurableSystem.ts"

const STALLED_AFTER_MS = 10_000
const CHUNKS = 16

export interface OpenPublisher {
  readonly connection: Connection
  readonly publisher: DurablePublisher
  readonly feed: Feed
}

/** Writes of about 64 KB: of as many frames of `batch` messages as fit, at least one. */
const chunksOf = (publisher: DurablePublisher, batch: number, payload: Buffer): readonly Chunk[] => {
  const one = publisher.encodePublish(payload, batch)
  const frames = Math.max(1, Math.floor(WRITE_BYTES / one.length))
  return Array.from({ length: CHUNKS }, () => ({
    bytes: Buffer.concat(Array.from({ length: frames }, () => one)),
    messages: frames * batch
  }))
}

/** Connections that are ready to publish. */
export const openPublishers = async (
  system: DurableSystem,
  port: number,
  payload: Buffer,
  count: number
): Promise<readonly OpenPublisher[]> => {
  const publishers: OpenPublisher[] = []
  for (let index = 0; index < count; index++) {
    const publisher = system.publisher(index)
    const connection = await open(port)
    await ask(connection, publisher.connect, "a connection")
    const feed = new Feed(publisher, chunksOf(publisher, system.batch, payload))
    publishers.push({ connection, publisher, feed })
  }
  return publishers
}

export interface Published {
  readonly messages: number
  readonly seconds: number
}

/** Publishes as long as there is to be `more`, and waits for every receipt. */
export const publishAll = (
  publishers: readonly OpenPublisher[],
  window: number,
  more: (sent: number, elapsedMs: number) => boolean
): Promise<Published> =>
  new Promise((resolve, reject) => {
    const share = Math.floor(window / publishers.length)
    const pumps: (() => void)[] = []
    const started = performance.now()
    let publishing = true
    let sent = 0
    let kept = 0

    const finish = (error?: Error) => {
      const seconds = (performance.now() - started) / 1000
      clearInterval(watchdog)
      publishers.forEach(({ connection }, index) => {
        connection.socket.off("drain", pumps[index]!)
        connection.onBytes = () => {}
        connection.onFailure = () => {}
      })
      if (error === undefined) resolve({ messages: sent, seconds })
      else reject(error)
    }
    let before = -1
    const watchdog = setInterval(() => {
      if (kept === before) finish(new Error(`stalled: ${kept} of ${sent} messages have receipts`))
      before = kept
    }, STALLED_AFTER_MS)

    for (const { connection, feed, publisher } of publishers) {
      const count = publisher.makeReceipts()
      let waiting = 0
      const pump = () => {
        while (publishing && waiting < share && !connection.socket.writableNeedDrain) {
          const chunk = feed.take()
          waiting += chunk.messages
          sent += chunk.messages
          connection.socket.write(chunk.bytes)
          publishing = more(sent, performance.now() - started)
        }
      }
      pumps.push(pump)
      connection.onFailure = finish
      connection.onBytes = (bytes, length) => {
        const more = count(bytes, length)
        waiting -= more
        kept += more
        if (waiting < 0) finish(new Error("more receipts came than messages were sent"))
        else if (publishing) pump()
        else if (kept === sent) finish()
      }
      connection.socket.on("drain", pump)
    }
    for (const pump of pumps) pump()
  })

export interface DurablePublishPlan {
  readonly publishers: number
  readonly payload: Buffer
  /** In bytes of payload, of all publishers together. */
  readonly windowBytes: number
  readonly warmUpMs: number
  readonly publishMs: number
}

/** One value: messages with a receipt per second, after a warm-up on the same connections. */
export const measureDurablePublish = async (
  system: DurableSystem,
  running: Running,
  plan: DurablePublishPlan
): Promise<Sample> => {
  await withConnection(system, running.port, (connection) => ask(connection, system.make, "making the log"))
  const publishers = await openPublishers(system, running.port, plan.payload, plan.publishers)
  const window = Math.floor(plan.windowBytes / plan.payload.length)
  try {
    const warm = await publishAll(publishers, window, (_, elapsed) => elapsed < plan.warmUpMs)
    const cpu = watchCpu(running)
    const all = await publishAll(publishers, window, (_, elapsed) => elapsed < plan.publishMs)
    const used = cpu()
    await checkStored(system, running.port, warm.messages + all.messages)
    return { values: [all.messages / all.seconds], ...used }
  } finally {
    for (const { connection } of publishers) connection.close()
  }
}
