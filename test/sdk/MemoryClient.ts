/**
 * The plainest client there is: a hub in a few maps, without a wire, a socket or time of its own. The typed surface
 * is tested over it where the engine and the hub would only be in the way, such as under `TestClock`.
 *
 * It keeps every message, and drops the newest of a subscription that is full, whatever was asked for.
 */
import { type Cause, Clock, Effect, Queue, Stream } from "effect"
import { ByteWriter } from "../../src/protocol/Bytes.ts"
import type { Message } from "../../src/protocol/Message.ts"
import { matches } from "../../src/protocol/Pattern.ts"
import { encodePublish } from "../../src/protocol/Publish.ts"
import type { Client, ClientSession, Inbound, Receipt, SubscribeOptions } from "../../src/sdk/Client.ts"
import type { PolestarError } from "../../src/sdk/PolestarError.ts"

interface Stored {
  readonly message: Message
  readonly publisher: string
  readonly timestamp: number
}

interface Listener {
  readonly options: SubscribeOptions
  readonly session: string
  readonly capacity: number
  readonly queue: Queue.Queue<Inbound, PolestarError | Cause.Done>
}

interface State {
  readonly topics: Map<string, Array<Stored>>
  readonly listeners: Set<Listener>
  sessions: number
  received: number
  published: number
  undecodable: number
}

const epoch = 7

export const makeMemoryClient = (): Client => {
  const state: State = {
    topics: new Map(),
    listeners: new Set(),
    sessions: 0,
    received: 0,
    published: 0,
    undecodable: 0
  }
  return {
    openSession: (options) =>
      Effect.sync(() => {
        state.sessions++
        const number = String(state.sessions).padStart(12, "0")
        return makeSession(state, options?.id ?? `00000000-0000-4000-8000-${number}`)
      }),
    request: (method, body) => Effect.sync(() => (method === "topics" ? topicsOf(state, body) : {})),
    state: Effect.succeed({ _tag: "Connected", hub: "memory", since: 0 }),
    states: Stream.make({ _tag: "Connected", hub: "memory", since: 0 }),
    metrics: Effect.sync(() => ({
      queuedMessages: 0,
      queuedBytes: 0,
      queueShare: 0,
      inFlight: 0,
      published: state.published,
      rejected: 0,
      retried: 0,
      reconnects: 0,
      received: state.received,
      dropped: 0,
      undecodable: state.undecodable
    })),
    countUndecodable: (messages) => {
      state.undecodable += messages
    }
  }
}

const topicsOf = (state: State, body: unknown): unknown => {
  const pattern = typeof body === "object" && body !== null && "pattern" in body ? String(body.pattern) : ">"
  return [...state.topics].flatMap(([name, log]) =>
    matches(pattern, name)
      ? [
          {
            name,
            subscribers: [...state.listeners].filter(({ options }) => matches(options.pattern, name)).length,
            messages: log.length,
            epoch,
            firstOffset: 0,
            nextOffset: log.length
          }
        ]
      : []
  )
}

const makeSession = (state: State, id: string): ClientSession => {
  const store = (topic: string, message: Message, timestamp: number): Receipt => {
    const log = state.topics.get(topic) ?? []
    state.topics.set(topic, log)
    const offset = log.push({ message, publisher: id, timestamp }) - 1
    state.published++
    for (const listener of state.listeners) offer(state, listener, topic, offset)
    return { topic, position: { epoch, offset }, durability: "accepted", duplicate: false, held: false }
  }
  const publishAll: ClientSession["publishAll"] = (topic, messages) =>
    Effect.map(Clock.currentTimeMillis, (now) => messages.map((message) => store(topic, message, now)))
  return {
    id,
    publish: (topic, message) => Effect.map(Clock.currentTimeMillis, (now) => store(topic, message, now)),
    publishAll,
    subscribe: (options) =>
      Effect.map(
        Effect.acquireRelease(subscribe(state, id, options), (listener) => {
          state.listeners.delete(listener)
          return Queue.end(listener.queue)
        }),
        ({ queue }) => ({ take: Queue.takeAll(queue) })
      ),
    join: () => Effect.die("this hub has no groups")
  }
}

const subscribe = (state: State, session: string, options: SubscribeOptions): Effect.Effect<Listener> =>
  Effect.map(Queue.unbounded<Inbound, PolestarError | Cause.Done>(), (queue) => {
    const listener = { options, session, capacity: options.queueSize ?? 1000, queue }
    for (const [topic, log] of state.topics) {
      for (let offset = firstOf(options, log); offset < log.length; offset++) {
        offer(state, listener, topic, offset)
      }
    }
    state.listeners.add(listener)
    return listener
  })

const firstOf = ({ start }: SubscribeOptions, log: ReadonlyArray<Stored>): number => {
  switch (start._tag) {
    case "Last":
      return Math.max(0, log.length - start.count)
    case "Position":
      return start.position.offset
    case "Time": {
      const found = log.findIndex(({ timestamp }) => timestamp >= start.time)
      return found < 0 ? log.length : found
    }
    default:
      return log.length
  }
}

const offer = (state: State, listener: Listener, topic: string, offset: number): void => {
  const { options, queue } = listener
  const stored = state.topics.get(topic)?.[offset]
  if (stored === undefined || !matches(options.pattern, topic)) return
  if (!options.echo && stored.publisher === listener.session) return
  if (Queue.sizeUnsafe(queue) >= listener.capacity) {
    const place = { topic, from: { epoch, offset }, to: { epoch, offset: offset + 1 } }
    Queue.offerUnsafe(queue, { _tag: "Dropped", ...place, count: 1 })
    return
  }
  const writer = new ByteWriter()
  encodePublish(writer, { session: 1, sequence: 1, topic }, [stored.message])
  const bytes = writer.bytes.slice(0, writer.at)
  const batch = { bytes, start: 0, end: bytes.length, skip: 0, count: 1, epoch, offset }
  state.received++
  Queue.offerUnsafe(queue, {
    _tag: "Messages",
    topic,
    batch: { ...batch, timestamp: stored.timestamp, session: 1, subscription: 1, attempt: 0 }
  })
}
