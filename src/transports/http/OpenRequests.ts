/**
 * The requests that are not answered to their end, by their sockets: to be waited for when the server closes, and to be
 * bounded until then. Each is closed with its socket, also while it stands behind others.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { Effect } from "effect"

/** Requests of one connection that may wait for their answers; it is cut off if it sends more. */
export const maxPipelined = 256

interface Open {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

export class OpenRequests {
  /** Of every socket that has asked for something and is open. */
  private readonly sockets = new Map<Socket, Set<Open>>()
  private count = 0
  private onEmpty: () => void = () => {}

  /** Answers whether the request is to be answered. */
  add(request: IncomingMessage, response: ServerResponse): boolean {
    const { socket } = request
    // What was read with or after what came before it, and closes the connection.
    if (socket.destroyed || socket.writableEnded) return false
    const open = this.sockets.get(socket) ?? this.opened(socket)
    if (open.size >= maxPipelined) {
      socket.destroy()
      return false
    }
    const one = { request, response }
    open.add(one)
    this.count++
    response.once("close", () => {
      open.delete(one)
      this.count--
      if (this.count === 0) this.onEmpty()
    })
    return true
  }

  private opened(socket: Socket): Set<Open> {
    const open = new Set<Open>()
    this.sockets.set(socket, open)
    socket.once("close", () => {
      this.sockets.delete(socket)
      // Node closes the first one alone, which is a moment later gone from here.
      queueMicrotask(() => {
        for (const { response } of [...open]) {
          response.destroy()
          response.emit("close")
        }
      })
    })
    return open
  }

  /** Whether anything that is written to the socket now would stand in for another answer, or in the midst of one. */
  isAnswering(socket: Socket): boolean {
    for (const { request, response } of this.sockets.get(socket) ?? [])
      if (request.complete || response.headersSent) return true
    return false
  }

  /** Whether answers are still owed on the socket. */
  owes(socket: Duplex): boolean {
    return socket instanceof Socket && (this.sockets.get(socket)?.size ?? 0) > 0
  }

  /** Whether a socket on which nothing moves is done with: idle between requests, or not taking an answer. */
  isOver(socket: Socket): boolean {
    const open = this.sockets.get(socket)
    if (open === undefined) return false
    const [first] = open
    return first === undefined || first.response.writableEnded || socket.writableLength > 0
  }

  /** Done when there is none. For one to wait at a time. */
  readonly empty: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.count === 0) return resume(Effect.void)
    this.onEmpty = () => resume(Effect.void)
  })
}
