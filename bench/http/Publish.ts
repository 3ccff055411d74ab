/**
 * Messages per second by requests: every connection sends one, waits for its answer, and sends the next. What has an
 * answer is counted, and the system has to have counted as many.
 */
import type { Running } from "../Processes.ts"
import { type Sample, watchCpu } from "../Throughput.ts"
import { type HttpPeer, openHttp, postRequest, statistic } from "./HttpPeer.ts"
import { bulkBody, messageBody } from "./Workload.ts"

export interface PublishPlan {
  readonly connections: number
  /** Messages in each request; `undefined` is one, by itself. */
  readonly bulk: number | undefined
  readonly warmUpMs: number
  readonly publishMs: number
}

const STALLED_AFTER_MS = 5_000
const ACCEPTED = 202

/** Answers how many requests were answered, and in how many seconds, from the first write to the last answer. */
const drive = (peers: readonly HttpPeer[], request: Buffer, publishMs: number) =>
  new Promise<readonly [requests: number, seconds: number]>((resolve, reject) => {
    let answered = 0
    let open = peers.length
    let before = -1
    const started = performance.now()
    const finish = (error?: Error) => {
      clearInterval(watchdog)
      for (const peer of peers) {
        peer.onEnd = () => {}
        peer.connection.onFailure = () => {}
      }
      if (error !== undefined) reject(error)
      else resolve([answered, (performance.now() - started) / 1000])
    }
    const watchdog = setInterval(() => {
      if (answered === before) finish(new Error(`stalled: ${open} requests have no answer`))
      before = answered
    }, STALLED_AFTER_MS)
    for (const peer of peers) {
      peer.connection.onFailure = finish
      peer.onEnd = (status) => {
        if (status !== ACCEPTED) throw new Error(`answered ${status}`)
        answered++
        if (performance.now() - started < publishMs) peer.connection.socket.write(request)
        else if (--open === 0) finish()
      }
      peer.connection.socket.write(request)
    }
  })

/** One value: messages with an answer per second, after a warm-up on the same connections. */
export const measurePublish = async (running: Running, plan: PublishPlan): Promise<Sample> => {
  const { bulk, connections, publishMs, warmUpMs } = plan
  const asking = await openHttp(running.port)
  const peers = await Promise.all(Array.from({ length: connections }, () => openHttp(running.port)))
  const each = bulk ?? 1
  const request =
    bulk === undefined
      ? postRequest("/api/v1/messages", messageBody)
      : postRequest("/api/v1/messages/bulk", bulkBody(bulk))
  try {
    const [warm] = await drive(peers, request, warmUpMs)
    const cpu = watchCpu(running)
    const [requests, seconds] = await drive(peers, request, publishMs)
    const used = cpu()
    const counted = await statistic(asking, "total_messages")
    const sent = (warm + requests) * each
    if (counted !== sent) throw new Error(`${counted} messages were counted, and ${sent} answered`)
    return { values: [(requests * each) / seconds], ...used }
  } finally {
    for (const peer of [asking, ...peers]) peer.connection.close()
  }
}
