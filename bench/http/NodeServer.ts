/**
 * The same on node's server alone, and polls: kept until a message comes, then answered in a loop.
 * `node NodeServer.ts <port>`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { receipt, receipts } from "./Receipts.ts"

const polls = new Set<ServerResponse>()
let messages = 0

const answer = (response: ServerResponse, status: number, value: unknown): void => {
  const body = JSON.stringify(value)
  response
    .writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
    .end(body)
}

const publish = (request: IncomingMessage, response: ServerResponse, body: unknown): void => {
  if (request.url === "/api/v1/messages/bulk") {
    const results = receipts(body, messages)
    messages += results.length
    answer(response, 202, { accepted: results.length, rejected: 0, results })
    return
  }
  const given = receipt(body, messages++)
  answer(response, 202, given)
  if (polls.size === 0) return
  const waiting = [...polls]
  polls.clear()
  const found = {
    messages: [{ ...given, ...(body as object), timestamp: new Date().toISOString() }],
    next: "1"
  }
  for (const poll of waiting) answer(poll, 200, found)
}

createServer({ noDelay: true }, (request, response) => {
  if (request.url === "/stats")
    return answer(response, 200, { total_messages: messages, total_subscribers: polls.size })
  if (request.method === "GET") {
    polls.add(response)
    response.once("close", () => polls.delete(response))
    return
  }
  const chunks: Buffer[] = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => publish(request, response, JSON.parse(Buffer.concat(chunks).toString())))
}).listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 })
