/**
 * The smallest TCP relay on Node, the floor under any hub on Node: what comes from a publisher's socket is
 * written to every subscriber's, unread. A connection's first byte says which it is (`S`, else a publisher), and
 * is answered with `K`. A subscriber that is behind holds the publisher back. `node RelayServer.ts <port>`.
 */
import { createServer, type Socket } from "node:net"

const subscribers = new Set<Socket>()
createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => socket.destroy())
  socket.on("close", () => subscribers.delete(socket))
  socket.once("data", (hello) => {
    if (hello[0] === 0x53) subscribers.add(socket)
    socket.write("K")
    socket.on("data", (chunk) => {
      for (const subscriber of subscribers) {
        if (!subscriber.write(chunk) && !socket.isPaused()) {
          socket.pause()
          subscriber.once("drain", () => socket.resume())
        }
      }
    })
  })
}).listen(Number(process.argv[2]), "127.0.0.1")
