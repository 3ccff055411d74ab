/**
 * What a queued message costs: the growth of a system's resident memory for each message that waits for a
 * subscriber that has stopped reading. A second subscriber, which reads, tells when the system has taken in
 * everything; at the end the stalled one reads on, and has to get every message: nothing may have been dropped.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { type Connection, openPublisher, openSubscriber } from "./Connection.ts"
import type { Running } from "./Processes.ts"
import type { System } from "./peers/System.ts"
import { median } from "./Statistics.ts"
import { type Sample, watchCpu } from "./Throughput.ts"
import { batchedCycle, Feed, PAYLOAD_BYTES } from "./Workload.ts"

export interface MemoryPlan {
  readonly topic: string
  readonly messages: number
  /** Bytes of payload by which the publisher may be ahead of the subscriber that reads. */
  readonly windowBytes: number
  /** How long the system may come to rest before its memory is read, and for how long it is read. */
  readonly settleMs: number
}

const STALLED_AFTER_MS = 10_000
const READINGS = 10

/** Settles when `count` messages have come; fails when for ten seconds none does. */
const delivered = (
  system: System,
  connection: Connection,
  count: number,
  onProgress: (total: number) => void
) =>
  new Promise<void>((resolve, reject) => {
    const counter = system.makeCounter()
    let total = 0
    let before = -1
    const finish = (error?: Error) => {
      clearInterval(watchdog)
      connection.onBytes = () => {}
      connection.onFailure = () => {}
      if (error === undefined) resolve()
      else reject(error)
    }
    const watchdog = setInterval(() => {
      if (total === before) finish(new Error(`stalled: ${total} of ${count} messages were delivered`))
      before = total
    }, STALLED_AFTER_MS)
    connection.onFailure = finish
    connection.onBytes = (bytes, length) => {
      total += counter(bytes, length)
      if (total >= count) finish()
      else onProgress(total)
    }
  })

/** Publishes so many messages, and waits until the subscriber that reads has them. */
const publishAll = async (
  system: System,
  total: number,
  windowBytes: number,
  { socket }: Connection,
  feed: Feed,
  reading: Connection
) => {
  const window = windowBytes / PAYLOAD_BYTES
  let sent = 0
  let received = 0
  const pump = () => {
    while (sent < total && !socket.writableNeedDrain && sent - received < window) {
      const chunk = feed.take()
      sent += chunk.messages
      socket.write(chunk.bytes)
    }
  }
  socket.on("drain", pump)
  const all = delivered(system, reading, total, (count) => {
    received = count
    pump()
  })
  pump()
  await all
  socket.off("drain", pump)
}

/** The median of what is resident once the system has come to rest. */
const resident = async (running: Running, settleMs: number): Promise<number> => {
  await sleep(settleMs)
  const readings: number[] = []
  for (let i = 0; i < READINGS; i++) {
    readings.push(running.residentBytes())
    await sleep(settleMs / READINGS)
  }
  return median(readings)
}

/** One value: bytes of resident memory per queued message. */
export const measureMemory = async (system: System, running: Running, plan: MemoryPlan): Promise<Sample> => {
  const stalled = await openSubscriber(system, running.port, plan.topic, 0)
  const reading = await openSubscriber(system, running.port, plan.topic, 1)
  const publisher = await openPublisher(system, running.port)
  const cycle = batchedCycle(system, plan.topic)
  const feed = new Feed(system, cycle)
  // Only whole writes are sent.
  const whole = (messages: number) => Math.ceil(messages / cycle[0]!.messages) * cycle[0]!.messages
  try {
    // Warm both paths, so that code and pools are not counted as messages.
    const few = whole(plan.messages / 100)
    const warm = delivered(system, stalled, few, () => {})
    await publishAll(system, few, plan.windowBytes, publisher, feed, reading)
    await warm
    stalled.socket.pause()
    const cpu = watchCpu(running)
    const before = await resident(running, plan.settleMs)
    const queued = whole(plan.messages)
    await publishAll(system, queued, plan.windowBytes, publisher, feed, reading)
    const after = await resident(running, plan.settleMs)
    const used = cpu()
    const caughtUp = delivered(system, stalled, queued, () => {})
    stalled.socket.resume()
    await caughtUp
    return { values: [(after - before) / queued], ...used }
  } finally {
    for (const connection of [publisher, stalled, reading]) connection.close()
  }
}
