/** A client of WebSocket made by hand, frame by frame, so that it can say what no library would. */
import { connect as connectTcp, type Socket } from "node:net"
import { Effect, Option, type Scope } from "effect"
import type { Said } from "./JsonPeer.ts"

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export interface FrameOptions {
  readonly opcode: number
  readonly payload?: string | Uint8Array
  readonly isFinal?: boolean
  readonly isMasked?: boolean
  /** The three reserved bits, as a number. */
  readonly reserved?: number
  /** The length that it claims to have. */
  readonly claims?: number
}

const mask = Buffer.from([1, 2, 3, 4])

export const rawFrame = ({
  claims,
  isFinal = true,
  isMasked = true,
  opcode,
  payload = "",
  reserved = 0
}: FrameOptions): Buffer => {
  const bytes = Buffer.from(payload)
  const length = claims ?? bytes.length
  const first = (isFinal ? 0x80 : 0) | (reserved << 4) | opcode
  const masking = isMasked ? 0x80 : 0
  const head =
    length < 126
      ? Buffer.from([first, masking | length])
      : length < 65_536
        ? Buffer.from([first, masking | 126, length >>> 8, length & 255])
        : Buffer.from([first, masking | 127, 0, 0, 0, 0, 0, 0, 0, 0])
  if (length >= 65_536) head.writeBigUInt64BE(BigInt(length), 2)
  if (!isMasked) return Buffer.concat([head, bytes])
  return Buffer.concat([head, mask, bytes.map((byte, i) => byte ^ mask[i % 4]!)])
}

export interface Heard {
  readonly opcode: number
  readonly payload: Buffer
}

export class RawPeer {
  readonly socket: Socket
  private bytes = Buffer.alloc(0)
  private isUpgraded = false
  private isClosed = false
  private readonly heard: Array<Heard> = []
  private watching: () => void = () => {}

  constructor(socket: Socket) {
    this.socket = socket
    socket.on("data", (chunk: Buffer) => {
      this.bytes = Buffer.concat([this.bytes, chunk])
      this.read()
      this.watching()
    })
    socket.on("error", () => {})
    socket.on("close", () => {
      this.isClosed = true
      this.watching()
    })
  }

  send(options: FrameOptions): void {
    this.socket.write(rawFrame(options))
  }

  sendJson(value: unknown): void {
    this.send({ opcode: Opcode.text, payload: JSON.stringify(value) })
  }

  /** The next frame; none if the socket was closed before one came. */
  readonly next: Effect.Effect<Option.Option<Heard>> = Effect.callback((resume) => {
    this.watching = () => {
      const frame = this.heard.shift()
      if (frame !== undefined) resume(Effect.succeed(Option.some(frame)))
      else if (this.isClosed) resume(Effect.succeedNone)
    }
    this.watching()
    return Effect.sync(() => {
      this.watching = () => {}
    })
  })

  /** The next text frame as JSON; other frames are passed over. */
  readonly nextJson: Effect.Effect<Said> = Effect.suspend(() =>
    Effect.flatMap(
      this.next,
      Option.match({
        onNone: () => Effect.die(new Error("closed before a text came")),
        onSome: ({ opcode, payload }) =>
          opcode === Opcode.text ? Effect.sync(() => JSON.parse(payload.toString())) : this.nextJson
      })
    )
  )

  /** The code with which the hub closes; 1006 if it does so without a word. */
  readonly closeCode: Effect.Effect<number> = Effect.suspend(() =>
    Effect.flatMap(
      this.next,
      Option.match({
        onNone: () => Effect.succeed(1006),
        onSome: ({ opcode, payload }) =>
          opcode === Opcode.close
            ? Effect.succeed(payload.length < 2 ? 1005 : payload.readUInt16BE(0))
            : this.closeCode
      })
    )
  )

  private read(): void {
    if (!this.isUpgraded) {
      const end = this.bytes.indexOf("\r\n\r\n")
      if (end < 0) return
      this.isUpgraded = true
      this.bytes = this.bytes.subarray(end + 4)
    }
    for (;;) {
      const { bytes } = this
      if (bytes.length < 2) return
      const short = bytes[1]! & 127
      const start = short < 126 ? 2 : short === 126 ? 4 : 10
      if (bytes.length < start) return
      const length =
        short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
      if (bytes.length < start + length) return
      this.heard.push({ opcode: bytes[0]! & 15, payload: bytes.subarray(start, start + length) })
      this.bytes = bytes.subarray(start + length)
    }
  }
}

const upgrade =
  "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

/** Upgrades, with these lines of a head too, and takes the greeting. */
export const connectRaw = (port: number, lines = ""): Effect.Effect<RawPeer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const peer = yield* Effect.acquireRelease(
      Effect.callback<RawPeer>((resume) => {
        const socket = connectTcp(port, "127.0.0.1", () => {
          socket.write(`${upgrade}${lines}\r\n`)
          resume(Effect.succeed(new RawPeer(socket)))
        })
      }),
      ({ socket }) => Effect.sync(() => socket.destroy())
    )
    yield* peer.nextJson
    return peer
  })
