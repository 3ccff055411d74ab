/**
 * A WebSocket that carries the binary protocol, the server's side, as a `Duplex`: its binary messages one after the
 * other are the stream of bytes, however they were cut. A text message on it breaks the protocol and ends it.
 */
import type { Duplex as NodeDuplex } from "node:stream"
import type { WebSocket } from "ws"
import { CloseReasons } from "../../protocol/CloseReason.ts"
import type { Duplex, DuplexListeners } from "../../protocol/Duplex.ts"
import { frameHeader, Opcode } from "./ServerFrame.ts"

/** Bytes that wait to be compressed before more is written. */
const compressedHighWater = 262_144

export class WebSocketDuplex implements Duplex {
  readonly transport = "websocket"
  readonly copies = false
  readonly peer: string
  private readonly ws: WebSocket
  private readonly socket: NodeDuplex
  private readonly early: ReadonlyArray<Uint8Array>
  private listeners: DuplexListeners | undefined
  private isPressed = false

  /** `socket` is the one under `ws`; `early` is what came before there was anybody to listen. */
  constructor(ws: WebSocket, socket: NodeDuplex, peer: string, early: ReadonlyArray<Uint8Array> = []) {
    this.ws = ws
    this.socket = socket
    this.peer = peer
    this.early = early
  }

  readonly write = (chunks: ReadonlyArray<Uint8Array>): boolean => {
    if (this.ws.readyState !== this.ws.OPEN || !this.socket.writable) return true
    return this.ws.extensions === "" ? this.writePlain(chunks) : this.writeCompressed(chunks)
  }

  readonly pending = (): number => this.ws.bufferedAmount

  readonly pause = (): void => this.ws.pause()

  readonly resume = (): void => this.ws.resume()

  readonly end = (): void => {
    this.ws.close(CloseReasons.normal)
    // The answer to the close is read only if the socket is.
    this.ws.resume()
  }

  readonly destroy = (): void => this.ws.terminate()

  readonly listen = (listeners: DuplexListeners): void => {
    const { socket, ws } = this
    this.listeners = listeners
    let error: Error | undefined
    ws.on("message", (data: Buffer, isBinary) => {
      if (ws.readyState !== ws.OPEN) return
      if (isBinary) listeners.onData(data)
      else ws.close(CloseReasons["protocol-error"], "protocol-error")
    })
    ws.on("error", (cause) => {
      error = cause
    })
    ws.on("close", () => listeners.onClose(error))
    socket.on("drain", listeners.onDrain)
    for (const chunk of this.early) listeners.onData(chunk)
    if (ws.readyState === ws.CLOSED) listeners.onClose(undefined)
  }

  /** One message of all the chunks, which are not copied. */
  private writePlain(chunks: ReadonlyArray<Uint8Array>): boolean {
    const { socket } = this
    let length = 0
    for (const chunk of chunks) length += chunk.length
    socket.cork()
    let hasRoom = socket.write(frameHeader(Opcode.binary, length))
    for (const chunk of chunks) hasRoom = socket.write(chunk)
    socket.uncork()
    return hasRoom
  }

  /** Compressing takes its time, and what waits for it waits outside the socket, which so has no drain to tell of. */
  private writeCompressed(chunks: ReadonlyArray<Uint8Array>): boolean {
    for (const chunk of chunks) this.ws.send(chunk, this.sent)
    this.isPressed ||= this.ws.bufferedAmount > compressedHighWater
    return !this.isPressed
  }

  private readonly sent = (): void => {
    if (!this.isPressed || this.ws.bufferedAmount > compressedHighWater / 2) return
    this.isPressed = false
    this.listeners?.onDrain()
  }
}
