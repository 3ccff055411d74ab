/** Refuses what is no request yet, or no longer: a problem as an HTTP response on a bare socket, which then closes. */
import { STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { type Problem, problemHeaders } from "../../protocol/json/Problem.ts"

export const refuseSocket = (socket: Duplex, problem: Problem): void => {
  const body = JSON.stringify(problem)
  const headers = Object.entries(problemHeaders(problem)).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? "Error"}\r\n${headers.join("")}` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
  )
}
