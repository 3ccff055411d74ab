/** What a publisher sends: buffers of about 64 KB, built once, written round and round. */
import type { System } from "./peers/System.ts"

export const PAYLOAD_BYTES = 128
export const WRITE_BYTES = 64 * 1024
const CYCLE_BYTES = 1024 * 1024

export const payloadOf = (bytes: number): Buffer => Buffer.from("x".repeat(bytes))

export const payload: Buffer = payloadOf(PAYLOAD_BYTES)

export interface Chunk {
  readonly bytes: Buffer
  readonly messages: number
}

/** `count` topics of equal length, so that every message of a workload has the same size. */
export const topicNames = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `bench.t${String(index).padStart(5, "0")}`)

/** How many messages of a topic fit one write. */
const messagesPerWrite = (system: System, topic: string): number => {
  const one = system.encodePublish(topic, payload, 1).length
  const two = system.encodePublish(topic, payload, 2).length
  return 1 + Math.floor((WRITE_BYTES - one) / (two - one))
}

/** One topic, as a publisher that batches sends it: each write is one frame, where the wire has frames of many. */
export const batchedCycle = (system: System, topic: string): readonly Chunk[] => {
  const messages = messagesPerWrite(system, topic)
  return Array.from({ length: Math.ceil(CYCLE_BYTES / WRITE_BYTES) }, () => ({
    bytes: system.encodePublish(topic, payload, messages),
    messages
  }))
}

/** The topics in turn, one message in each frame, in whole rounds of at least 1 MB so that the writes are full. */
export const interleavedCycle = (system: System, topics: readonly string[]): readonly Chunk[] => {
  const frames = topics.map((topic) => system.encodePublish(topic, payload, 1))
  const round = frames.reduce((sum, frame) => sum + frame.length, 0)
  const chunks: Chunk[] = []
  let gathered: Buffer[] = []
  let size = 0
  const flush = () => {
    if (gathered.length > 0) chunks.push({ bytes: Buffer.concat(gathered), messages: gathered.length })
    gathered = []
    size = 0
  }
  for (let sent = 0; sent < CYCLE_BYTES; sent += round) {
    for (const frame of frames) {
      if (size + frame.length > WRITE_BYTES) flush()
      gathered.push(frame)
      size += frame.length
    }
  }
  flush()
  return chunks
}

/**
 * A cycle as one publisher's connection sends it, its frames numbered where the wire asks for it. A chunk is written
 * to again a cycle later only, when it has long left the socket's queue, which holds a few at most.
 */
export class Feed {
  readonly #wire: Pick<System, "stamp">
  readonly #cycle: readonly Chunk[]
  #next = 0
  #sequence = 1

  constructor(wire: Pick<System, "stamp">, cycle: readonly Chunk[]) {
    this.#wire = wire
    this.#cycle = cycle
  }

  /** The next chunk. */
  take(): Chunk {
    const chunk = this.#cycle[this.#next]!
    this.#next = this.#next + 1 === this.#cycle.length ? 0 : this.#next + 1
    if (this.#wire.stamp !== undefined) this.#sequence = this.#wire.stamp(chunk.bytes, this.#sequence)
    return chunk
  }
}
