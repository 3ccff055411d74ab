/**
 * What the benchmark has to know of a system that keeps messages on disk: how its process is started, and its wire.
 * All messages go to one topic. Sockets, windows, clocks and figures are the same code for every system.
 */
import type { Counter, Launch } from "../peers/System.ts"

/** Asked once on a connection. `answer` is told all that came so far; it throws if the system refused. */
export interface Question {
  readonly send: Buffer
  readonly answer: (received: Buffer) => number | undefined
}

/**
 * A side of a conversation that sends as it reads. `read` answers how many messages are done, with all that the case
 * asks for: received, or acknowledged too. It throws on what is not in order.
 */
export interface Dialogue {
  readonly begin: () => void
  readonly read: Counter
}

export type Converse = (total: number, send: (bytes: Uint8Array) => void) => Dialogue

/** The wire of one publisher. Each has a connection of its own. */
export interface DurablePublisher {
  readonly connect: Question
  /** `count` messages that ask for their receipts: frames of as many records as the system is to send at once. */
  readonly encodePublish: (payload: Buffer, count: number) => Buffer
  /** As in `System`. */
  readonly stamp?: (frames: Buffer, first: number) => number
  /** Counts messages that the system has said it keeps; throws if it refused one, or promises less than it should. */
  readonly makeReceipts: () => Counter
}

export interface DurableSystem {
  /** The name of its row. */
  readonly name: string
  /** What differs from its defaults and what a receipt means, for the report. */
  readonly settings: string
  /** Its data goes to `dir`. */
  readonly launch: (port: number, dir: string) => Launch
  /** Messages of a frame; the unit of what a publisher sends. 1 if the wire has no frames of many. */
  readonly batch: number
  readonly publisher: (index: number) => DurablePublisher
  /** The beginning of a connection that does not publish. */
  readonly connect: () => Question
  /** Makes the log; asked once, before anything is published. */
  readonly make: Question
  /** How many messages were ever stored. */
  readonly stored: Question
  /** How many messages the group has not acknowledged. */
  readonly unacknowledged: Question
  /** All messages, from the oldest on. */
  readonly replay: Converse
  /** Joins a new group that begins with the oldest message, and acknowledges each; in flight at once: `IN_FLIGHT`. */
  readonly consume: Converse
  /** The newest message of `total`, and no other. */
  readonly last: Converse
}

/** Messages that a group's member may have without having acknowledged them. */
export const IN_FLIGHT = 10_000

export const TOPIC = "bench.t00000"
