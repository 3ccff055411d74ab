/**
 * Long polls that wait at once, all answered by one publish, again and again: from the publish until the first has its
 * answer, and from the first until the last; and what a poll that waits takes of memory, its connection included.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { Running } from "../Processes.ts"
import { median } from "../Statistics.ts"
import { type Sample, watchCpu } from "../Throughput.ts"
import { askOnce, getRequest, type HttpPeer, openHttp, postRequest, statistic } from "./HttpPeer.ts"
import { messageBody, TOPIC } from "./Workload.ts"

export interface LongPollPlan {
  readonly polls: number
  /** Publishes that are measured, after `warmUp` that are not. */
  readonly rounds: number
  readonly warmUp: number
  readonly settleMs: number
}

/** Connections that are made at the same time. */
const AT_ONCE = 100
const WITHIN_MS = 20_000
const poll = getRequest(`/api/v1/poll?topics=${TOPIC}&timeout=60`)
const publish = postRequest("/api/v1/messages", messageBody)

interface Round {
  readonly firstMs: number
  readonly spreadMs: number
}

/** Publishes once, and waits until every poll has been answered with that message. */
const publishOnce = (publisher: HttpPeer, peers: readonly HttpPeer[]): Promise<Round> =>
  new Promise((resolve, reject) => {
    let answered = 0
    let first = 0
    let bodyBytes = 0
    const fail = (error: Error) => {
      clearTimeout(timer)
      reject(error)
    }
    const timer = setTimeout(() => fail(new Error(`${answered} polls were answered`)), WITHIN_MS)
    const started = performance.now()
    for (const { connection } of peers) connection.onFailure = fail
    publisher.connection.onFailure = fail
    for (const peer of peers) {
      peer.onBody = (_bytes, from, to) => {
        bodyBytes += to - from
      }
      peer.onEnd = (status) => {
        if (answered === 0) first = performance.now()
        answered++
        if (status !== 200) fail(new Error(`answered ${status}`))
        if (answered < peers.length) return
        clearTimeout(timer)
        const last = performance.now()
        // An empty answer would be shorter than the message.
        if (bodyBytes < messageBody.length * peers.length)
          reject(new Error("polls were answered with nothing"))
        else resolve({ firstMs: first - started, spreadMs: last - first })
      }
    }
    publisher.connection.socket.write(publish)
  })

/** Has all of them wait. */
const wait = async (asking: HttpPeer, peers: readonly HttpPeer[]) => {
  for (const { connection } of peers) connection.socket.write(poll)
  const deadline = performance.now() + WITHIN_MS
  while ((await statistic(asking, "total_subscribers")) < peers.length) {
    if (performance.now() > deadline) throw new Error("not all polls came to wait")
    await sleep(20)
  }
}

/** Three values: ms from the publish to the first answer, ms from that to the last, bytes of each poll that waits. */
export const measureLongPoll = async (running: Running, plan: LongPollPlan): Promise<Sample> => {
  const asking = await openHttp(running.port)
  const publisher = await openHttp(running.port)
  const peers: HttpPeer[] = []
  try {
    await askOnce(asking, getRequest("/stats"))
    await sleep(plan.settleMs)
    const alone = running.residentBytes()
    for (let left = plan.polls; left > 0; left -= AT_ONCE) {
      const some = Array.from({ length: Math.min(left, AT_ONCE) }, () => openHttp(running.port))
      peers.push(...(await Promise.all(some)))
    }
    const cpu = watchCpu(running)
    const rounds: Round[] = []
    let each = Number.NaN
    for (let round = 0; round < plan.warmUp + plan.rounds; round++) {
      await wait(asking, peers)
      if (round === 0) {
        await sleep(plan.settleMs)
        each = (running.residentBytes() - alone) / plan.polls
      }
      const measured = await publishOnce(publisher, peers)
      if (round >= plan.warmUp) rounds.push(measured)
    }
    const firstMs = median(rounds.map((round) => round.firstMs))
    const spreadMs = median(rounds.map((round) => round.spreadMs))
    return { values: [firstMs, spreadMs, each], ...cpu() }
  } finally {
    for (const peer of [asking, publisher, ...peers]) peer.connection.close()
  }
}
