/** What is published by HTTP: one message of JSON, many in one body, or many lines. */
import { payload } from "../Workload.ts"

export const TOPIC = "bench.news"

export const messageBody: string = JSON.stringify({ topic: TOPIC, payload: payload.toString() })

export const bulkBody = (messages: number): string =>
  `{"messages":[${Array.from({ length: messages }, () => messageBody).join(",")}]}`

/** So many lines, as one chunk of a body in chunks. */
export const linesChunk = (messages: number): Buffer => {
  const lines = `${messageBody}\n`.repeat(messages)
  return Buffer.from(`${Buffer.byteLength(lines).toString(16)}\r\n${lines}\r\n`)
}
