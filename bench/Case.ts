/** What a case of the benchmark is. */
import type { Running } from "./Processes.ts"
import type { System } from "./peers/System.ts"
import type { Sample } from "./Throughput.ts"

export interface Scale {
  readonly warmUpMs: number
  readonly publishMs: number
  readonly windowBytes: number
  readonly roundTripWarmUp: number
  readonly roundTrips: number
  readonly queued: number
  /** Messages of the log that is consumed, replayed and opened. */
  readonly logged: number
  readonly settleMs: number
}

export interface Metric {
  readonly name: string
  readonly unit: "messages/s" | "deliveries/s" | "us" | "ms" | "bytes"
  /** The peer that the target is set by. */
  readonly peer: string | undefined
}

/** A row of a case's table. */
export interface Entry {
  readonly name: string
  readonly launch: System["launch"]
  readonly measure: (running: Running, scale: Scale) => Promise<Sample>
}

export interface Case {
  readonly name: string
  readonly about: string
  /** One for each value of a sample. */
  readonly metrics: readonly Metric[]
  /** Whether the systems keep the messages on disk. */
  readonly kind: "live" | "durable"
  /** How many repeats are enough, unless the command line says. */
  readonly repeats?: number
  /** A system's rows; none when the case is not for that system. */
  readonly entries: (system: System) => readonly Entry[]
}
