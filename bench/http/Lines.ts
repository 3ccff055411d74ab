/**
 * Messages per second line by line: one request whose body does not end before the measurement, answered line by line.
 * The generator is at most a window ahead of the answers.
 */
import type { Running } from "../Processes.ts"
import { type Sample, watchCpu } from "../Throughput.ts"
import { PAYLOAD_BYTES, WRITE_BYTES } from "../Workload.ts"
import { type HttpPeer, openHttp, statistic } from "./HttpPeer.ts"
import { linesChunk, messageBody } from "./Workload.ts"

export interface LinesPlan {
  /** Bytes of payload. */
  readonly windowBytes: number
  readonly warmUpMs: number
  readonly publishMs: number
}

const STALLED_AFTER_MS = 5_000
const head = Buffer.from(
  "POST /api/v1/messages/bulk HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n" +
    "Transfer-Encoding: chunked\r\n\r\n"
)
const lastChunk = Buffer.from("0\r\n\r\n")
const perChunk = Math.floor(WRITE_BYTES / (messageBody.length + 1))
const chunk = linesChunk(perChunk)
const LF = 10

/** One request; answers how many lines it had, each answered, and how many there were in a second. */
const drive = ({ connection, ...hooks }: HttpPeer, peer: HttpPeer, windowBytes: number, publishMs: number) =>
  new Promise<readonly [lines: number, perSecond: number]>((resolve, reject) => {
    const { socket } = connection
    const window = Math.floor(windowBytes / PAYLOAD_BYTES)
    let sent = 0
    let answered = 0
    let before = -1
    let publishing = true
    const started = performance.now()
    const finish = (error?: Error) => {
      clearInterval(watchdog)
      socket.off("drain", pump)
      Object.assign(peer, hooks)
      connection.onFailure = () => {}
      if (error !== undefined) reject(error)
      else resolve([sent, sent / ((performance.now() - started) / 1000)])
    }
    const watchdog = setInterval(() => {
      if (answered === before) finish(new Error(`stalled: ${answered} of ${sent} lines were answered`))
      before = answered
    }, STALLED_AFTER_MS)
    const pump = () => {
      while (publishing && sent - answered < window && !socket.writableNeedDrain) {
        socket.write(chunk)
        sent += perChunk
        publishing = performance.now() - started < publishMs
        if (!publishing) socket.write(lastChunk)
      }
    }
    connection.onFailure = finish
    peer.onBody = (bytes, from, to) => {
      for (let at = bytes.indexOf(LF, from); at >= 0 && at < to; at = bytes.indexOf(LF, at + 1)) answered++
      pump()
    }
    peer.onEnd = (status) => {
      if (status === 202 && answered === sent) finish()
      else finish(new Error(`answered ${status}, and ${answered} of ${sent} lines`))
    }
    socket.on("drain", pump)
    socket.write(head)
    pump()
  })

/** One value: lines with an answer per second, after a request that warms up. */
export const measureLines = async (running: Running, plan: LinesPlan): Promise<Sample> => {
  const { publishMs, warmUpMs, windowBytes } = plan
  const asking = await openHttp(running.port)
  const peer = await openHttp(running.port)
  try {
    const [warm] = await drive(peer, peer, windowBytes, warmUpMs)
    const cpu = watchCpu(running)
    const [lines, rate] = await drive(peer, peer, windowBytes, publishMs)
    const used = cpu()
    const counted = await statistic(asking, "total_messages")
    if (counted !== warm + lines) throw new Error(`${counted} messages were counted, ${warm + lines} sent`)
    return { values: [rate], ...used }
  } finally {
    asking.connection.close()
    peer.connection.close()
  }
}
