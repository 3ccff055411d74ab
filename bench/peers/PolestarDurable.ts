/** Polestar with all topics on disk: a receipt means that the messages are flushed. */
import {
  type Converse,
  type DurablePublisher,
  type DurableSystem,
  IN_FLIGHT,
  type Question,
  TOPIC
} from "../durable/DurableSystem.ts"
import { launchHub } from "./PolestarHub.ts"
import {
  encodeConnect,
  encodePublish,
  encodeSubscribe,
  fieldsOf,
  frame,
  makeReader,
  NOTHING,
  Op,
  REQUESTS,
  SESSION,
  stamp,
  text8,
  UNLIMITED,
  u32,
  u64
} from "./PolestarWire.ts"
import type { Counter } from "./System.ts"

const GROUP = "workers"
const RECEIPT_WANTED = 1
const STORED = 1
const LAST_ONE = Buffer.from([1, 1, 0, 0, 0])
const FIRST = Buffer.from([5])
/** Records of a frame, as the SDK sends them when it has many. */
const BATCH = 64

const connectWith = (features: number): Question => ({
  send: encodeConnect(features),
  answer: (received) => (fieldsOf(received, Op.Opened) === undefined ? undefined : 0)
})

/** Counts the messages that receipts stand for. */
const makeReceipts = (): Counter => {
  let messages = 0
  const read = makeReader({
    // u32 session, u32 first, u32 last, u64 epoch, u64 offset, u32 count, u8 durability, bool duplicate
    frame: (op, fields) => {
      if (op !== Op.Receipt) return
      if (fields[32] !== STORED) throw new Error("a receipt does not say that the messages are stored")
      if (fields[33] !== 0) throw new Error("a receipt says that its messages were there before")
      messages += fields.readUInt32LE(28)
    }
  })
  return (bytes, length) => {
    messages = 0
    read(bytes, length)
    return messages
  }
}

const publisherOf = (batch: number) => (): DurablePublisher => ({
  connect: connectWith(NOTHING),
  encodePublish: (payload, count) => {
    const whole = encodePublish(TOPIC, payload, Math.min(batch, count), RECEIPT_WANTED)
    return Buffer.concat(Array.from({ length: Math.ceil(count / batch) }, () => whole))
  },
  stamp,
  makeReceipts
})

const asked = (method: string, body: object, read: (answer: unknown) => number): Question => ({
  send: frame(Op.Request, 0, u32(1), text8(method), Buffer.from(JSON.stringify(body))),
  answer: (received) => {
    const fields = fieldsOf(received, Op.Response)
    return fields === undefined ? undefined : read(JSON.parse(fields.subarray(4).toString()))
  }
})

const numberAt = (answer: unknown, name: string): number => {
  const found: unknown = answer !== null && typeof answer === "object" ? { ...answer }[name] : undefined
  if (typeof found !== "number") throw new Error(`the hub's answer has no ${name}`)
  return found
}

/** Everything from the first message on; the hub must say that so many were its past. */
const replay: Converse = (total, send) => {
  const read = makeReader({
    // u32 session, u32 subscription, u32 messages
    frame: (op, fields) => {
      const past = op === Op.CaughtUp ? fields.readUInt32LE(8) : total
      if (past !== total) throw new Error(`the hub replayed ${past} messages, of ${total}`)
    }
  })
  return { begin: () => send(encodeSubscribe(TOPIC, FIRST)), read }
}

const notGiven16 = Buffer.from([255, 255])
const ANY_ORDER = Buffer.from([0])

const joining: Buffer = frame(
  Op.Join,
  0,
  ...[SESSION, u32(2), u32(1), text8(GROUP), text8(TOPIC), UNLIMITED, UNLIMITED, FIRST, ANY_ORDER],
  // ack wait, deliveries at most, in flight, backoff, longest backoff
  ...[u32(30_000), notGiven16, u32(IN_FLIGHT), UNLIMITED, UNLIMITED]
)

/** Positions that were delivered, as ranges. */
class Ranges {
  #ranges: [from: number, to: number][] = []
  epoch = 0
  count = 0

  add(epoch: number, offset: number, count: number): void {
    this.epoch = epoch
    this.count += count
    const last = this.#ranges.at(-1)
    if (last?.[1] === offset) last[1] = offset + count
    else this.#ranges.push([offset, offset + count])
  }

  /** An ACK frame of all of them, which are then forgotten. */
  take(request: number): Buffer {
    const ranges = this.#ranges.flatMap(([from, to]) => [u64(from), u64(to)])
    const length = u32(this.#ranges.length)
    this.#ranges = []
    this.count = 0
    return frame(
      Op.Ack,
      0,
      SESSION,
      u32(request),
      text8(GROUP),
      text8(TOPIC),
      u64(this.epoch),
      length,
      ...ranges
    )
  }
}

/**
 * Acknowledges what came with each chunk in one frame, and asks for its answer: a message is done when the hub has
 * said that its acknowledgement is stored.
 */
const consume: Converse = (_, send) => {
  const ranges = new Ranges()
  const asked = new Map<number, number>() // messages of the requests without an answer
  let request = 2
  let done = 0
  const reader = makeReader({
    frame: (op, fields) => {
      if (op !== Op.Acked) return
      const answered = fields.readUInt32LE(4)
      done += asked.get(answered) ?? 0
      asked.delete(answered)
    },
    delivery: (attempt, epoch, offset, count) => {
      if (attempt !== 1) throw new Error(`a message came for the ${attempt}th time`)
      ranges.add(epoch, offset, count)
    }
  })
  const read: Counter = (bytes, length) => {
    done = 0
    reader(bytes, length)
    if (ranges.count > 0) {
      asked.set(++request, ranges.count)
      send(ranges.take(request))
    }
    return done
  }
  return { begin: () => send(joining), read }
}

const last: Converse = (total, send) => ({
  begin: () => send(encodeSubscribe(TOPIC, LAST_ONE)),
  read: makeReader({
    delivery: (_flags, _epoch, offset, count) => {
      if (offset + count !== total) throw new Error(`message ${offset + count} is the newest, of ${total}`)
    }
  })
})

const durable = (name: string, batch: number, frames: string): DurableSystem => ({
  name,
  settings: `all topics on disk, no limit of messages a topic; ${frames}; receipts come after the flush`,
  launch: (port, dir) =>
    launchHub(port, {
      POLESTAR_DATA_DIR: dir,
      POLESTAR_DURABILITY: "> = stored",
      POLESTAR_MAX_MESSAGES_PER_TOPIC: "1000000000"
    }),
  batch,
  publisher: publisherOf(batch),
  connect: () => connectWith(REQUESTS),
  make: asked("topics", {}, () => 0),
  // Offsets begin at 0, and tell how many there ever were.
  stored: asked("topics", { pattern: TOPIC }, (answer) =>
    Array.isArray(answer) && answer.length === 0
      ? 0
      : numberAt(Array.isArray(answer) ? answer[0] : answer, "nextOffset")
  ),
  unacknowledged: asked("group", { name: GROUP }, (answer) =>
    ["lag", "inFlight", "waiting", "parked"].reduce((sum, name) => sum + numberAt(answer, name), 0)
  ),
  replay,
  consume,
  last
})

export const polestarDurable: readonly DurableSystem[] = [
  durable("polestar", BATCH, `${BATCH} records a frame`),
  durable("polestar-single", 1, "one record a frame")
]
