/**
 * What all sessions of one connection may have in flight together, in bytes: half of what a hub holds of a
 * connection that it must hold back, so that the hub goes on reading, and so answers pings and takes credit.
 * Sessions that wait for room take turns, a round of frames each, in the order in which they came.
 */

export const maxBytesInFlight = 4_194_304

/** Who may wait for room. */
export interface WindowMember {
  /** Has it come back at the end of the turn. */
  readonly requestTurn: () => void
}

export class ConnectionWindow {
  private bytes = 0
  private readonly waiting = new Set<WindowMember>()

  get hasRoom(): boolean {
    return this.bytes < maxBytesInFlight
  }

  /** Whether the member may send one round of frames now; else it waits in line, and is told when to come back. */
  enter(member: WindowMember): boolean {
    const first = this.first
    if (this.hasRoom && (first === undefined || first === member)) {
      this.waiting.delete(member)
      return true
    }
    this.waiting.add(member)
    this.callFirst()
    return false
  }

  /** The member has nothing to send any more. */
  leave(member: WindowMember): void {
    if (this.waiting.delete(member)) this.callFirst()
  }

  add(bytes: number): void {
    this.bytes += bytes
  }

  remove(bytes: number): void {
    this.bytes -= bytes
    this.callFirst()
  }

  private get first(): WindowMember | undefined {
    for (const member of this.waiting) return member
    return undefined
  }

  private callFirst(): void {
    if (this.hasRoom) this.first?.requestTurn()
  }
}
