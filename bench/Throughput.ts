/**
 * Deliveries per second: one publisher as fast as flow control lets it, subscribers that count by parsing.
 * The publisher is never more than a window ahead of the slowest subscriber, so no system has a reason to drop,
 * and a measurement ends when every subscriber has every message: a lost message is a failure, not a figure.
 */
import { type Connection, openPublisher, openSubscriber } from "./Connection.ts"
import type { Running } from "./Processes.ts"
import type { System } from "./peers/System.ts"
import { type Chunk, Feed, PAYLOAD_BYTES } from "./Workload.ts"

export interface ThroughputPlan {
  readonly subscribers: number
  readonly pattern: string
  readonly cycle: readonly Chunk[]
  /** In bytes of payload. */
  readonly windowBytes: number
  readonly warmUpMs: number
  readonly publishMs: number
}

export interface Sample {
  readonly values: readonly number[]
  /** The share of one core that the load generator and the system used, 1 being a whole core. */
  readonly generatorCpu: number
  readonly systemCpu: number
}

const STALLED_AFTER_MS = 5_000

/** Publishes for `publishMs`, then waits until all of it is delivered everywhere; answers deliveries per second. */
const drive = (
  plan: ThroughputPlan,
  system: System,
  publisher: Connection,
  feed: Feed,
  subscribers: readonly Connection[],
  publishMs: number
): Promise<number> =>
  new Promise((resolve, reject) => {
    const window = Math.floor(plan.windowBytes / PAYLOAD_BYTES)
    const received = new Float64Array(subscribers.length)
    const { socket } = publisher
    let sent = 0
    let slowest = 0
    let publishing = true
    const started = performance.now()

    const finish = (error?: Error) => {
      const seconds = (performance.now() - started) / 1000
      clearInterval(watchdog)
      socket.off("drain", pump)
      for (const connection of [publisher, ...subscribers]) {
        connection.onBytes = () => {}
        connection.onFailure = () => {}
      }
      if (error === undefined) resolve((sent * subscribers.length) / seconds)
      else reject(error)
    }
    const pump = () => {
      while (publishing && sent - slowest < window && !socket.writableNeedDrain) {
        const chunk = feed.take()
        sent += chunk.messages
        socket.write(chunk.bytes)
        publishing = performance.now() - started < publishMs
      }
    }
    const progressed = () => {
      let least = received[0]!
      for (let i = 1; i < received.length; i++) if (received[i]! < least) least = received[i]!
      slowest = least
      if (publishing) pump()
      else if (slowest >= sent) finish(slowest > sent ? new Error("more was delivered than sent") : undefined)
    }

    let before = -1
    const watchdog = setInterval(() => {
      const now = received.reduce((sum, count) => sum + count, 0)
      if (now === before) finish(new Error(`stalled: a subscriber has ${slowest} of ${sent} messages`))
      before = now
    }, STALLED_AFTER_MS)
    subscribers.forEach((subscriber, index) => {
      const count = system.makeCounter()
      subscriber.onFailure = finish
      subscriber.onBytes = (bytes, length) => {
        const completed = count(bytes, length)
        if (completed > 0) {
          received[index]! += completed
          progressed()
        }
      }
    })
    publisher.onFailure = finish
    socket.on("drain", pump)
    pump()
  })

/** One value: deliveries per second, after a warm-up on the same connections. */
export const measureThroughput = async (
  system: System,
  running: Running,
  plan: ThroughputPlan
): Promise<Sample> => {
  const subscribers: Connection[] = []
  for (let index = 0; index < plan.subscribers; index++) {
    subscribers.push(await openSubscriber(system, running.port, plan.pattern, index))
  }
  const publisher = await openPublisher(system, running.port)
  const feed = new Feed(system, plan.cycle)
  try {
    await drive(plan, system, publisher, feed, subscribers, plan.warmUpMs)
    const cpu = watchCpu(running)
    const rate = await drive(plan, system, publisher, feed, subscribers, plan.publishMs)
    return { values: [rate], ...cpu() }
  } finally {
    for (const connection of [publisher, ...subscribers]) connection.close()
  }
}

/** Starts watching; the answer tells the CPU used by both sides until it is called. */
export const watchCpu = (running: Running) => {
  const started = performance.now()
  const own = process.cpuUsage()
  const theirs = running.cpuSeconds()
  return (): Pick<Sample, "generatorCpu" | "systemCpu"> => {
    const seconds = (performance.now() - started) / 1000
    const { system, user } = process.cpuUsage(own)
    return {
      generatorCpu: (user + system) / 1e6 / seconds,
      systemCpu: (running.cpuSeconds() - theirs) / seconds
    }
  }
}
