/** A connection of the load generator that speaks HTTP/1.1: one request at a time, kept open between them. */
import { type Connection, open } from "../Connection.ts"
import { ResponseReader } from "./ResponseReader.ts"

export interface HttpPeer {
  readonly connection: Connection
  onBody: (bytes: Uint8Array, from: number, to: number) => void
  /** What it throws ends the connection. */
  onEnd: (status: number) => void
}

/** All connections read into the same memory, since what is read is looked at before the next one reads. */
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024)

export const openHttp = async (port: number): Promise<HttpPeer> => {
  const connection = await open(port, readBuffer)
  const peer: HttpPeer = { connection, onBody: () => {}, onEnd: () => {} }
  const reader = new ResponseReader({
    body: (bytes, from, to) => peer.onBody(bytes, from, to),
    end: (status) => peer.onEnd(status)
  })
  connection.onBytes = (bytes, length) => reader.push(bytes, length)
  return peer
}

export const postRequest = (path: string, body: string): Buffer =>
  Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  )

export const getRequest = (path: string): Buffer =>
  Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n`)

const ANSWER_WITHIN_MS = 10_000

export interface Answer {
  readonly status: number
  readonly text: string
}

/** Sends a request, and waits for its answer. */
export const askOnce = (peer: HttpPeer, request: Buffer): Promise<Answer> =>
  new Promise((resolve, reject) => {
    let text = ""
    const timer = setTimeout(() => settle(() => reject(new Error("no answer in time"))), ANSWER_WITHIN_MS)
    const settle = (act: () => void) => {
      clearTimeout(timer)
      peer.onBody = () => {}
      peer.onEnd = () => {}
      peer.connection.onFailure = () => {}
      act()
    }
    peer.connection.onFailure = (error) => settle(() => reject(error))
    peer.onBody = (bytes, from, to) => {
      text += Buffer.from(bytes.subarray(from, to)).toString()
    }
    peer.onEnd = (status) => settle(() => resolve({ status, text }))
    peer.connection.socket.write(request)
  })

/** A number of `GET /stats`. */
export const statistic = async (
  peer: HttpPeer,
  name: "total_messages" | "total_subscribers"
): Promise<number> => {
  const { text } = await askOnce(peer, getRequest("/stats"))
  const stats: unknown = JSON.parse(text)
  if (stats === null || typeof stats !== "object") return Number.NaN
  return Number(new Map<string, unknown>(Object.entries(stats)).get(name))
}
