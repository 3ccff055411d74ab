/**
 * A WebSocket that carries the binary protocol, the server's side, as a `Duplex`: its binary messages one after the
 * other are the stream of bytes, however they were cut. A text message on it breaks the protocol and ends it.
 */
import type { Duplex as NodeDuplex } from "node:stream"
import type { WebSocket } from "ws"
import { CloseReasons } from "../../protocol/CloseReason.ts"
import type { Duplex, DuplexListeners } from "../../protocol/Duplex.ts"
import { frameHeader, Opcode } from "./ServerFrame.ts"

/** `early` is what came before there was anybody to listen; `socket` is the one under `ws`. */
export const webSocketDuplex = (
  ws: WebSocket,
  socket: NodeDuplex,
  peer: string,
  early: ReadonlyArray<Uint8Array> = []
): Duplex => {
  const isCompressed = ws.extensions !== ""
  return {
    peer,
    write: (chunks) => {
      if (ws.readyState !== ws.OPEN || !socket.writable) return true
      return isCompressed ? writeCompressed(ws, chunks) : writePlain(socket, chunks)
    },
    pending: () => ws.bufferedAmount,
    pause: () => {
      ws.pause()
    },
    resume: () => {
      ws.resume()
    },
    end: () => {
      ws.close(CloseReasons.normal)
      // The answer to the close is read only if the socket is.
      ws.resume()
    },
    destroy: () => {
      ws.terminate()
    },
    listen: (listeners) => listen(ws, socket, listeners, early)
  }
}

const listen = (
  ws: WebSocket,
  socket: NodeDuplex,
  listeners: DuplexListeners,
  early: ReadonlyArray<Uint8Array>
): void => {
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
  for (const chunk of early) listeners.onData(chunk)
  if (ws.readyState === ws.CLOSED) listeners.onClose(undefined)
}

/** One message of all the chunks, which are not copied. */
const writePlain = (socket: NodeDuplex, chunks: ReadonlyArray<Uint8Array>): boolean => {
  let length = 0
  for (const chunk of chunks) length += chunk.length
  socket.cork()
  let hasRoom = socket.write(frameHeader(Opcode.binary, length))
  for (const chunk of chunks) hasRoom = socket.write(chunk)
  socket.uncork()
  return hasRoom
}

const compressedHighWater = 65_536

/** Compressing is asynchronous: what waits for it counts as not written, and the drain comes with the socket's. */
const writeCompressed = (ws: WebSocket, chunks: ReadonlyArray<Uint8Array>): boolean => {
  for (const chunk of chunks) ws.send(chunk)
  return ws.bufferedAmount < compressedHighWater
}
