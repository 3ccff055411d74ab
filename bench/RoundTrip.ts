/** The time from the write of one message to its arrival at a subscriber on another connection, one at a time. */
import { type Connection, openPublisher, openSubscriber } from "./Connection.ts"
import type { Running } from "./Processes.ts"
import type { System } from "./peers/System.ts"
import { percentile } from "./Statistics.ts"
import { type Sample, watchCpu } from "./Throughput.ts"
import { Feed, payload } from "./Workload.ts"

const LOST_AFTER_MS = 5_000

/** `times` round trips in a row; answers each one's duration in microseconds. */
const pingPong = (
  system: System,
  publisher: Connection,
  subscriber: Connection,
  take: () => Buffer,
  times: number
): Promise<Float64Array> =>
  new Promise((resolve, reject) => {
    const durations = new Float64Array(times)
    const count = system.makeCounter()
    let done = 0
    let before = -1
    let sentAt = 0
    const finish = (error?: Error) => {
      clearInterval(watchdog)
      for (const connection of [publisher, subscriber]) {
        connection.onBytes = () => {}
        connection.onFailure = () => {}
      }
      if (error === undefined) resolve(durations)
      else reject(error)
    }
    const send = () => {
      const message = take()
      sentAt = performance.now()
      publisher.socket.write(message)
    }
    const watchdog = setInterval(() => {
      if (done === before) finish(new Error(`stalled: message ${done} did not arrive`))
      before = done
    }, LOST_AFTER_MS)
    subscriber.onBytes = (bytes, length) => {
      if (count(bytes, length) === 0) return
      durations[done++] = (performance.now() - sentAt) * 1000
      if (done === times) finish()
      else send()
    }
    publisher.onFailure = finish
    subscriber.onFailure = finish
    send()
  })

export interface RoundTripPlan {
  readonly topic: string
  readonly warmUp: number
  readonly times: number
}

/** Two values: the median and the 99th percentile, in microseconds. */
export const measureRoundTrip = async (
  system: System,
  running: Running,
  plan: RoundTripPlan
): Promise<Sample> => {
  const subscriber = await openSubscriber(system, running.port, plan.topic, 0)
  const publisher = await openPublisher(system, running.port)
  const feed = new Feed(system, [{ bytes: system.encodePublish(plan.topic, payload, 1), messages: 1 }])
  const take = () => feed.take().bytes
  try {
    await pingPong(system, publisher, subscriber, take, plan.warmUp)
    const cpu = watchCpu(running)
    const durations = await pingPong(system, publisher, subscriber, take, plan.times)
    durations.sort()
    return { values: [percentile(durations, 0.5), percentile(durations, 0.99)], ...cpu() }
  } finally {
    publisher.close()
    subscriber.close()
  }
}
