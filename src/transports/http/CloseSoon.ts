/**
 * Ends connections so that their peers can read why, even while they send: what comes after the end is thrown away for a
 * moment, since a socket that is destroyed with something unread is reset, and the answer may be lost with it.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"

/** Milliseconds for the peer to read why. */
const grace = 500

/** Sends what was written and the end; destroys the socket when the peer has ended too, or a moment later. */
export const closeSoon = (socket: Duplex): void => {
  if (socket.destroyed || socket.writableEnded) return
  socket.end()
  const timer = setTimeout(() => socket.destroy(), grace)
  socket.once("close", () => clearTimeout(timer))
}

/** To be called before the response is ended: its connection is closed so once that is out, whatever is unread. */
export const closeAfter = ({ socket }: IncomingMessage, response: ServerResponse): void => {
  // Node calls it once the response is out, if that said so in its head; its own would destroy the socket at once.
  socket.destroySoon = () => closeSoon(socket)
  response.once("finish", () => socket.destroySoon())
}
