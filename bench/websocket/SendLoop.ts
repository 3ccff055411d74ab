/**
 * What one writes first: an event is put into text once, and `ws.send` is called for each client in a loop.
 * `node SendLoop.ts <port>`.
 */
import { type WebSocket, WebSocketServer } from "ws"

interface Said {
  readonly type: string
  readonly topic: string
  readonly message: unknown
  readonly request_id?: unknown
}

const subscribers = new Set<WebSocket>()
const server = new WebSocketServer({
  port: Number(process.argv[2]),
  host: "127.0.0.1",
  path: "/ws",
  backlog: 4096
})
server.on("connection", (socket) => {
  socket.on("close", () => subscribers.delete(socket))
  socket.on("error", () => {})
  socket.on("message", (data: Buffer) => {
    const { message, request_id, topic, type } = JSON.parse(data.toString()) as Said
    if (type === "subscribe") subscribers.add(socket)
    if (type === "publish") {
      const event = JSON.stringify({ type: "event", topic, message, ts: new Date().toISOString() })
      for (const subscriber of subscribers) subscriber.send(event)
    }
    socket.send(JSON.stringify({ type: "ack", request_id, topic, ts: new Date().toISOString() }))
  })
})
