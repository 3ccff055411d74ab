/**
 * A stream of bytes both ways: what the wire needs of a TCP socket, a WebSocket or a pair in memory.
 *
 * Chunks arrive in order through `onData` until `onClose`, which is called once. A chunk that was given or
 * written belongs to both sides and is never changed, but see `copies`. Listeners are set once, before anything else is
 * called.
 */
import type { Transport } from "./Transport.ts"

export interface Duplex {
  /** What carries it. */
  readonly transport: Transport
  /** Where the peer is, for logs: `127.0.0.1:50312`, `memory`. */
  readonly peer: string
  /** Writes chunks in order. Answers `false` if the caller should wait for `onDrain` before it writes more. */
  readonly write: (chunks: ReadonlyArray<Uint8Array>) => boolean
  /** Bytes that were written and not yet handed to the peer or its operating system. */
  readonly pending: () => number
  /** Whether what was written may be changed once nothing is pending: whoever has it then has a copy. */
  readonly copies: boolean
  /** Stops and resumes `onData`; a chunk or two may still come after `pause`. */
  readonly pause: () => void
  readonly resume: () => void
  /** Closes after all that was written has gone out. */
  readonly end: () => void
  /** Closes at once. */
  readonly destroy: () => void
  readonly listen: (listeners: DuplexListeners) => void
}

export interface DuplexListeners {
  readonly onData: (chunk: Uint8Array) => void
  readonly onDrain: () => void
  readonly onClose: (error: Error | undefined) => void
}
