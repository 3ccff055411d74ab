/**
 * What can be done with a log that holds many messages: its size on disk, reading all of it, a group's work through
 * it, and opening it after the process was killed while it worked.
 */
import { lstatSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { ask } from "../Connection.ts"
import type { Running } from "../Processes.ts"
import { median } from "../Statistics.ts"
import { type Sample, watchCpu } from "../Throughput.ts"
import { checkStored, converse, withConnection } from "./Converse.ts"
import type { Converse, DurableSystem } from "./DurableSystem.ts"
import { openPublishers, publishAll } from "./Publish.ts"

const OPENS_WITHIN_MS = 60_000
const TRY_AGAIN_AFTER_MS = 2
const BLOCK_BYTES = 512
/** The log is measured once in a run, so it is replayed more often. */
const REPLAYS = 3

export interface LogPlan {
  readonly payload: Buffer
  readonly messages: number
  readonly windowBytes: number
  /** How long the system may come to rest before its files are looked at. */
  readonly settleMs: number
}

/** Bytes that a directory takes on disk: of sparse files, the blocks that are there. */
const diskBytes = (directory: string): number =>
  readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { name, parentPath }) => sum + lstatSync(join(parentPath, name)).blocks * BLOCK_BYTES, 0)

/** Publishes the messages, in whole writes; answers how many that were. */
const fill = async (system: DurableSystem, running: Running, plan: LogPlan): Promise<number> => {
  const publishers = await openPublishers(system, running.port, plan.payload, 1)
  try {
    const window = Math.floor(plan.windowBytes / plan.payload.length)
    const { messages } = await publishAll(publishers, window, (sent) => sent < plan.messages)
    await checkStored(system, running.port, messages)
    return messages
  } finally {
    for (const { connection } of publishers) connection.close()
  }
}

/** Messages per second from the first word of a conversation to its last message. */
const rate = async (
  system: DurableSystem,
  running: Running,
  make: Converse,
  messages: number
): Promise<number> =>
  withConnection(system, running.port, async (connection) => {
    const started = performance.now()
    await converse(connection, make, messages)
    return messages / ((performance.now() - started) / 1000)
  })

/** Milliseconds from starting the killed system again to the first answer that is right. */
const opening = async (running: Running, attempt: () => Promise<void>): Promise<number> => {
  const started = await running.restart()
  for (;;) {
    try {
      await attempt()
      return performance.now() - started
    } catch (error) {
      if (performance.now() - started > OPENS_WITHIN_MS) throw error
      await sleep(TRY_AGAIN_AFTER_MS)
    }
  }
}

/**
 * Five values: messages per second acknowledged by a group and replayed, bytes on disk for a message, and the
 * milliseconds to open the log after a `kill -9`, and to open one without messages.
 */
export const measureLog = async (system: DurableSystem, running: Running, plan: LogPlan): Promise<Sample> => {
  const { port } = running
  await withConnection(system, port, (connection) => ask(connection, system.make, "making the log"))
  const empty = await opening(running, () => checkStored(system, port, 0))
  const messages = await fill(system, running, plan)
  await sleep(plan.settleMs)
  const bytes = diskBytes(running.dir) / messages
  const cpu = watchCpu(running)
  const replays: number[] = []
  for (let i = 0; i < REPLAYS; i++) replays.push(await rate(system, running, system.replay, messages))
  const consumed = await rate(system, running, system.consume, messages)
  const used = cpu()
  const left = await withConnection(system, port, (connection) =>
    ask(connection, system.unacknowledged, "what the group has left")
  )
  if (left !== 0) throw new Error(`${left} acknowledged messages are still the group's`)
  const opened = await opening(running, () =>
    withConnection(system, port, (connection) =>
      converse(connection, (_, send) => system.last(messages, send), 1)
    )
  )
  await checkStored(system, port, messages)
  return { values: [consumed, median(replays), bytes, opened, empty], ...used }
}
