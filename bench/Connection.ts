/**
 * A raw client connection of the load generator: every chunk is read into one buffer that is used again, so
 * that reading costs a system call and no allocation.
 */
import { connect, type Socket } from "node:net"
import type { Question } from "./durable/DurableSystem.ts"
import type { Role, System } from "./peers/System.ts"

const READ_BUFFER_BYTES = 256 * 1024
const ANSWER_WITHIN_MS = 10_000

export interface Connection {
  readonly socket: Socket
  /** Told each chunk: the bytes up to `length` are only valid during the call. What it throws ends the connection. */
  onBytes: (bytes: Uint8Array, length: number) => void
  /** Told once when the connection ends other than by `close`. */
  onFailure: (error: Error) => void
  readonly close: () => void
}

/** Connections may read into the same `buffer`. */
export const open = (
  port: number,
  buffer: Buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
): Promise<Connection> =>
  new Promise((resolve, reject) => {
    let closed = false
    const fail = (error: Error) => {
      if (closed) return
      closed = true
      socket.destroy()
      connection.onFailure(error)
    }
    const socket = connect({
      port,
      host: "127.0.0.1",
      noDelay: true,
      onread: {
        buffer,
        callback: (length, bytes) => {
          try {
            connection.onBytes(bytes, length)
          } catch (error) {
            fail(error instanceof Error ? error : new Error(String(error)))
          }
          return true
        }
      }
    })
    const connection: Connection = {
      socket,
      onBytes: () => {},
      onFailure: reject,
      close: () => {
        closed = true
        socket.destroy()
      }
    }
    socket.once("connect", () => {
      connection.onFailure = () => {}
      resolve(connection)
    })
    socket.on("error", fail)
    socket.on("close", () => fail(new Error("the connection was closed by the system")))
  })

const exchange = (connection: Connection, send: Buffer, done: (received: Buffer) => boolean, what: string) =>
  new Promise<void>((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0)
    const timer = setTimeout(() => reject(new Error(`no answer to ${what}`)), ANSWER_WITHIN_MS)
    const settle = (act: () => void) => {
      clearTimeout(timer)
      connection.onBytes = () => {}
      connection.onFailure = () => {}
      act()
    }
    connection.onFailure = (error) => settle(() => reject(error))
    connection.onBytes = (bytes, length) => {
      received = Buffer.concat([received, bytes.subarray(0, length)])
      if (done(received)) settle(resolve)
    }
    if (done(received)) settle(resolve)
    else connection.socket.write(send)
  })

/** Asks a question, and waits for its answer; fails if the system refuses, or says nothing for ten seconds. */
export const ask = async (connection: Connection, question: Question, what: string): Promise<number> => {
  let answer: number | undefined
  const done = (received: Buffer) => {
    if (received.length > 0) answer = question.answer(received)
    return answer !== undefined
  }
  await exchange(connection, question.send, done, what)
  return answer ?? Number.NaN
}

/** A publisher's connection, accepted by the system. */
export const openPublisher = (system: System, port: number): Promise<Connection> =>
  openAs(system, port, "publisher", 0)

/** A subscriber's connection whose subscription is in place. */
export const openSubscriber = async (
  system: System,
  port: number,
  pattern: string,
  index: number
): Promise<Connection> => {
  const connection = await openAs(system, port, "subscriber", index)
  await exchange(connection, system.encodeSubscribe(pattern), system.subscribed, "a subscription")
  return connection
}

const openAs = async (system: System, port: number, role: Role, index: number): Promise<Connection> => {
  const connection = await open(port)
  await exchange(connection, system.encodeConnect(role, index), system.connected, "a connection")
  return connection
}
