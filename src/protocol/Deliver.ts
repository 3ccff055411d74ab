/**
 * The DELIVER frame: messages of one topic for one subscription.
 *
 *     u32 length | u8 op | u8 attempt | u32 session | u32 subscription | u64 epoch | u64 offset
 *     | u64 timestamp, ms | u32 skip | u32 count | PUBLISH frames, as they came
 *
 * `attempt` is 0 for a live subscription; for a member of a group it says the how manieth delivery of these messages
 * this is, 255 standing for that and more. The messages are `count` of those in the PUBLISH frames, after leaving out the first `skip`; they stand at
 * `offset`, `offset + 1` and so on.
 */
import { readU32, readU64, writeU32, writeU64 } from "./Bytes.ts"
import { Op } from "./Op.ts"

/** Bytes before the PUBLISH frames. */
export const deliverHeaderBytes = 46

/** A run of PUBLISH frames of one topic with the place that the log gave it. */
export interface Placed {
  /** The PUBLISH frames are `bytes[start, end)`. */
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
  /** Messages to leave out at the front. */
  readonly skip: number
  /** Messages after those. */
  readonly count: number
  readonly epoch: number
  /** The offset of the first message that is not left out. */
  readonly offset: number
  /** Milliseconds since 1970 at which the hub took the batch. */
  readonly timestamp: number
}

/** Writes the header at `at`; the PUBLISH frames follow it. */
export const writeDeliverHeader = (
  to: Uint8Array,
  at: number,
  session: number,
  subscription: number,
  batch: Placed,
  attempt = 0
): void => {
  writeU32(to, at, deliverHeaderBytes - 4 + batch.end - batch.start)
  to[at + 4] = Op.Deliver
  to[at + 5] = attempt
  writeU32(to, at + 6, session)
  writeU32(to, at + 10, subscription)
  writeU64(to, at + 14, batch.epoch)
  writeU64(to, at + 22, batch.offset)
  writeU64(to, at + 30, batch.timestamp)
  writeU32(to, at + 38, batch.skip)
  writeU32(to, at + 42, batch.count)
}

export interface Deliver extends Placed {
  readonly session: number
  readonly subscription: number
  /** 0 for a live subscription; 255 stands for that and more. */
  readonly attempt: number
}

/** Reads the frame `bytes[start, end)`. The PUBLISH frames in it are not looked at, and not copied. */
export const readDeliver = (bytes: Uint8Array, start: number, end: number): Deliver | undefined => {
  if (end - start < deliverHeaderBytes) return undefined
  return {
    session: readU32(bytes, start + 6),
    subscription: readU32(bytes, start + 10),
    attempt: bytes[start + 5]!,
    epoch: readU64(bytes, start + 14),
    offset: readU64(bytes, start + 22),
    timestamp: readU64(bytes, start + 30),
    skip: readU32(bytes, start + 38),
    count: readU32(bytes, start + 42),
    bytes,
    start: start + deliverHeaderBytes,
    end
  }
}
