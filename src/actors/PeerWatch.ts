/** Whether the peer of a connection is alive: it must be heard of between pings, and take what it is sent. */
import type { ConnectionWriter } from "./ConnectionWriter.ts"

export class PeerWatch {
  private readonly writer: ConnectionWriter
  /** Chunks that came, and how many had come at the last beat and at the last look at what waits. */
  private heard = 0
  private heardAtBeat = -1
  private heardAtLook = 0
  private missed = 0
  private pendingAtLook = 0
  private takenAtLook = 0

  constructor(writer: ConnectionWriter) {
    this.writer = writer
  }

  /** Something came from the peer. */
  hear(): void {
    this.heard++
  }

  /** To be called at each ping: how many in a row it has missed. One that is not read cannot be heard. */
  beat(isHeldBack: boolean): number {
    this.missed = this.heard === this.heardAtBeat && !isHeldBack ? this.missed + 1 : 0
    this.heardAtBeat = this.heard
    return this.missed
  }

  /** To be called at intervals: whether it neither took nor sent anything since the last time, though it should take. */
  isStuck(): boolean {
    const { pending, taken } = this.writer
    const isStill = taken === this.takenAtLook && this.heard === this.heardAtLook
    const isStuck = pending > 0 && this.pendingAtLook > 0 && isStill
    this.pendingAtLook = pending
    this.takenAtLook = taken
    this.heardAtLook = this.heard
    return isStuck
  }
}
