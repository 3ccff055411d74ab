/**
 * Frames that are written one after the other, as one piece of bytes. Connections that are given the same frames in the
 * same turn share the run, so that for all of them together the bytes are put together once. Pure.
 */
export class FrameRun {
  /** Bytes in all. */
  readonly length: number
  private readonly before: FrameRun | undefined
  private readonly last: Uint8Array
  /** What one connection put after it, which the next one most likely does too. */
  private next: FrameRun | undefined
  private whole: Uint8Array | undefined

  constructor(last: Uint8Array, before?: FrameRun) {
    this.last = last
    this.before = before
    this.length = (before?.length ?? 0) + last.length
  }

  /** This run and then those frames. */
  followedBy(frames: Uint8Array): FrameRun {
    if (this.next?.last === frames) return this.next
    const next = new FrameRun(frames, this)
    this.next = next
    return next
  }

  /** All of it; not to be changed. */
  get bytes(): Uint8Array {
    if (this.before === undefined) return this.last
    if (this.whole !== undefined) return this.whole
    const whole = Buffer.allocUnsafeSlow(this.length)
    let end = this.length
    for (let run: FrameRun | undefined = this; run !== undefined; run = run.before) {
      end -= run.last.length
      whole.set(run.last, end)
    }
    this.whole = whole
    return whole
  }
}
