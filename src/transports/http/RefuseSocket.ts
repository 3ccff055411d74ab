/** Refuses what is no request yet, or no longer: a problem as an HTTP response on a bare socket, which then closes. */
import type { Duplex } from "node:stream"
import type { Hub } from "../../actors/Hub.ts"
import { type Problem, problemHeaders } from "../../protocol/json/Problem.ts"
import { anonymous } from "../../services/auth/Identity.ts"
import { peerOf } from "../PeerText.ts"
import { refusedProblem } from "./Caller.ts"
import { closeSoon } from "./CloseSoon.ts"

export const refuseSocket = (socket: Duplex, problem: Problem): void => {
  const body = JSON.stringify(problem)
  const headers = Object.entries(problemHeaders(problem)).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(
    `HTTP/1.1 ${problem.status} ${problem.title}\r\n${headers.join("")}` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
  )
  socket.resume()
  closeSoon(socket)
}

/** Counts, logs and refuses what is no request. */
export const refuseNoRequest = (hub: Hub["Service"], socket: Duplex, problem: Problem): void => {
  const peer = peerOf(socket)
  const who = { id: crypto.randomUUID(), transport: "http", peer, identity: anonymous } as const
  refuseSocket(socket, refusedProblem(hub, who, problem))
}
