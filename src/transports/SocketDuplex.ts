/** A TCP or TLS socket of Node as a `Duplex`. */
import type { Socket } from "node:net"
import type { Duplex, DuplexListeners } from "../protocol/Duplex.ts"
import { peerOf } from "./PeerText.ts"

export const socketDuplex = (socket: Socket): Duplex => {
  const peer = peerOf(socket)
  return {
    transport: "tcp",
    peer,
    write: (chunks) => {
      if (!socket.writable) return true
      if (chunks.length === 1) return socket.write(chunks[0]!)
      socket.cork()
      let hasRoom = true
      for (const chunk of chunks) hasRoom = socket.write(chunk)
      socket.uncork()
      return hasRoom
    },
    pending: () => socket.writableLength,
    copies: true,
    pause: () => {
      socket.pause()
    },
    resume: () => {
      socket.resume()
    },
    end: () => {
      socket.end()
    },
    destroy: () => {
      socket.destroy()
    },
    listen: (listeners: DuplexListeners) => {
      let error: Error | undefined
      socket.on("data", listeners.onData)
      socket.on("drain", listeners.onDrain)
      socket.on("error", (cause) => {
        error = cause
      })
      socket.on("close", () => listeners.onClose(error))
      if (socket.destroyed) listeners.onClose(undefined)
    }
  }
}
