/** WebSocket as the load generator speaks it: the handshake, masked text frames, and counting what comes. */
import { connect, type Socket } from "node:net"

const upgrade = (port: number): string =>
  [
    "GET /ws HTTP/1.1",
    `Host: 127.0.0.1:${port}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "\r\n"
  ].join("\r\n")

/** A client's frames are masked; with a key of zeros the text stays as it is, so that it can be stamped in place. */
export const textFrame = (text: string): Buffer => {
  const length = Buffer.byteLength(text)
  const header = length < 126 ? [0x81, 0x80 | length] : [0x81, 0x80 | 126, length >>> 8, length & 255]
  return Buffer.concat([Buffer.from([...header, 0, 0, 0, 0]), Buffer.from(text)])
}

const text = 0x81

/** Counts the text messages that end in what it is given, piece by piece. */
export const makeCounter = (): ((bytes: Uint8Array) => number) => {
  let left = 0
  let isText = false
  /** Bytes of a header that is not whole. */
  let held: number[] = []
  return (bytes) => {
    let count = 0
    let at = 0
    while (at < bytes.length) {
      if (left > 0) {
        const taken = Math.min(left, bytes.length - at)
        left -= taken
        at += taken
        if (left === 0 && isText) count++
        continue
      }
      held.push(bytes[at++]!)
      const short = held[1] ?? 0
      const digits = short < 126 ? 0 : short === 126 ? 2 : 8
      if (held.length < 2 + digits) continue
      left = digits === 0 ? short : held.slice(2).reduce((sum, digit) => sum * 256 + digit, 0)
      isText = held[0] === text
      held = []
    }
    return count
  }
}

export interface Peer {
  readonly socket: Socket
  /** Told of what comes. */
  onBytes: (bytes: Buffer) => void
}

/** A connection that has been greeted, and if it subscribed, has its ack. */
export const open = (port: number, subscribe?: object): Promise<Peer> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true })
    const peer: Peer = { socket, onBytes: () => {} }
    let said = ""
    const listen = (bytes: Buffer) => {
      const before = said.includes("\r\n\r\n")
      said += bytes.toString("latin1")
      if (!before && said.includes("\r\n\r\n") && subscribe !== undefined)
        socket.write(textFrame(JSON.stringify(subscribe)))
      if (!said.includes(subscribe === undefined ? "\r\n\r\n" : '"ack"')) return
      socket.off("data", listen)
      socket.on("data", (more) => peer.onBytes(more))
      resolve(peer)
    }
    socket.on("data", listen)
    socket.once("error", reject)
    socket.once("connect", () => socket.write(upgrade(port)))
  })
