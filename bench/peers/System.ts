/**
 * What the benchmark has to know of a system under load: how its process is started, and its wire.
 * All else (sockets, flow control, clocks, figures) is the same code for every system.
 */

import type { DurableSystem } from "../durable/DurableSystem.ts"

/** Topics and patterns are given in dotted form (`bench.t1`, `bench.>`); a system translates them. */
export type Role = "publisher" | "subscriber"

/**
 * Told each chunk of a subscriber's stream (`bytes` up to `length`), in order and split anywhere; answers how
 * many messages ended in it. It keeps no reference to `bytes`, and throws on what is no delivery.
 */
export type Counter = (bytes: Uint8Array, length: number) => number

export interface Launch {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export interface System {
  readonly name: string
  /** Why this system cannot be measured here, or undefined when it can. */
  readonly missing: () => string | undefined
  readonly version: () => string
  /** What differs from its defaults, for the report. */
  readonly settings: string
  /** How to start it on a port of 127.0.0.1; `dir` is an empty directory of its own. */
  readonly launch: (port: number, dir: string) => Launch
  /** The first bytes of a connection, and whether what came back (all of it, so far) accepts them. */
  readonly encodeConnect: (role: Role, index: number) => Buffer
  readonly connected: (received: Buffer) => boolean
  /** One subscription, never losing a message to a slow subscriber where the system can choose. */
  readonly encodeSubscribe: (pattern: string) => Buffer
  readonly subscribed: (received: Buffer) => boolean
  /** `count` messages of one topic: one frame of `count` records where the wire has such, else `count` commands. */
  readonly encodePublish: (topic: string, payload: Buffer, count: number) => Buffer
  /**
   * For a wire whose publisher must number its frames: writes the numbers from `first` on into a buffer of whole
   * frames, and answers the number after the last. The wires without leave it out.
   */
  readonly stamp?: (frames: Buffer, first: number) => number
  readonly makeCounter: () => Counter
  /** How many repeats are enough of a system that is far off, unless the command line says. */
  readonly repeats?: number
  /** How to start it so that it queues a million messages for a subscriber that does not read; undefined if it cannot. */
  readonly launchQueueing: ((port: number, dir: string) => Launch) | undefined
  /** How it is measured as a system that keeps messages on disk: a row for each. */
  readonly durable?: readonly DurableSystem[]
}

/** `count` times the same command, for wires whose unit is one message. */
export const repeated = (command: Buffer, count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => command))
