/**
 * Compaction: of each key a topic keeps the last message, and messages without a key. What is kept keeps its offset.
 *
 * A run walks from the newest batch to the oldest, in slices of a few milliseconds, and remembers the keys it met: a
 * message whose key was met is taken out, its batch being written anew without it. The keys that are remembered are
 * bounded: when they are too many, the run goes on with half of them, by their hash, and others follow for the rest.
 * A run that fails, or is cut off, has done a part, and the next begins anew.
 */
import { crc32 } from "node:zlib"
import { forEachMessage } from "../../protocol/Publish.ts"
import {
  beforeOf,
  countOf,
  isKeyWhole,
  isValueWhole,
  offsetOf,
  partKey,
  placeKey,
  sizeOf,
  skipOf,
  topicOf
} from "./EntryKey.ts"
import type { Environment } from "./Environment.ts"
import type { LmdbTopicLog } from "./LmdbTopicLog.ts"
import { type Run, survivors } from "./Survivors.ts"
import { bytesOf } from "./TopicPlace.ts"
import type { WriteSet } from "./Writer.ts"

/** As much must have come as is left, or this if less is left. */
const leastAppended = 1_048_576
/** Bytes a second that a topic to which little comes is walked through. */
const idleRate = 32_768
const defaultKeys = 262_144
/** Runs over a topic whose keys are too many. */
const mostParts = 1024
const sliceMilliseconds = 5
const keysAtOnce = 32
/** Of batches that are written anew in one go. */
const maxRewritten = 1_048_576

/** A batch of which some messages go. */
interface Rewrite {
  readonly key: Uint8Array
  readonly isKept: ReadonlyArray<boolean>
  readonly runs: ReadonlyArray<Run>
}

export class Compaction {
  private readonly environment: Environment
  private readonly queue: Array<CompactionRun> = []
  private readonly since = new WeakMap<LmdbTopicLog, number>()
  private readonly maxKeys: number
  private isRunning = false

  /** Remembers at most `maxKeys` keys at a time. */
  constructor(environment: Environment, maxKeys = defaultKeys) {
    this.environment = environment
    this.maxKeys = maxKeys
  }

  /** Compacts the topic, now or when those before it are through, if enough has come since the last time. */
  consider(log: LmdbTopicLog, now: number): void {
    const { numbers } = log
    const since = this.since.get(log)
    if (since === undefined) this.since.set(log, now)
    const appended = numbers.appended - numbers.compactedTo
    const idle = Math.max(0, (now - (since ?? now)) / 1000) * idleRate
    if (appended <= 0 || appended + idle < Math.max(leastAppended, bytesOf(numbers))) return
    this.since.set(log, now)
    this.force(log)
  }

  /** Compacts the topic whether it is time or not; `done` is called when it is through. */
  force(log: LmdbTopicLog, done: () => void = () => undefined): void {
    if (this.queue.some((run) => run.log === log)) return
    this.queue.push(new CompactionRun(this.environment, log, this.maxKeys, done))
    if (!this.isRunning) this.next()
  }

  private next(): void {
    const run = this.queue[0]
    this.isRunning = run !== undefined
    run?.start(() => {
      this.queue.shift()
      this.next()
    })
  }
}

class CompactionRun {
  readonly log: LmdbTopicLog
  private readonly environment: Environment
  private readonly maxKeys: number
  private readonly done: () => void
  private ended: () => void = () => undefined
  private met = new Set<string>()
  /** Of keys, those are looked at whose hash leaves `part` when it is divided by `parts`. */
  private parts = 1
  private part = 0
  /** What begins here or later was walked through. */
  private at = 0
  private appended = 0

  constructor(environment: Environment, log: LmdbTopicLog, maxKeys: number, done: () => void) {
    this.environment = environment
    this.log = log
    this.maxKeys = maxKeys
    this.done = done
  }

  start(ended: () => void): void {
    this.ended = ended
    this.at = this.log.numbers.nextOffset
    this.appended = this.log.numbers.appended
    setImmediate(this.slice)
  }

  private readonly slice = (): void => {
    if (!this.log.isOpen || this.log.isRemoving) {
      this.end()
      return
    }
    const rewrites: Array<Rewrite> = []
    let isMore = true
    try {
      isMore = this.walk(rewrites)
    } catch {
      // What cannot be read is left as it is, and found by who reads it.
      this.end()
      return
    }
    const isLast = !isMore && this.part + 1 === this.parts
    const next = isMore ? this.slice : isLast ? () => this.end() : this.nextPart
    if (rewrites.length === 0 && !isLast) setImmediate(next)
    else this.write(rewrites, isLast, next)
  }

  private readonly nextPart = (): void => {
    this.part++
    this.met = new Set()
    this.at = this.log.numbers.nextOffset
    this.slice()
  }

  private end(): void {
    this.ended()
    this.done()
  }

  /** Walks on for a while; `false` at the end of the topic. */
  private walk(rewrites: Array<Rewrite>): boolean {
    const { firstOffset, id } = this.log.numbers
    const store = this.environment.messages
    const end = performance.now() + sliceMilliseconds
    let rewritten = 0
    while (performance.now() < end && rewritten < maxRewritten) {
      const keys = [...store.getKeys({ start: placeKey(id, this.at), reverse: true, limit: keysAtOnce })]
      for (const key of keys) {
        if (topicOf(key) !== id || offsetOf(key) + countOf(key) <= firstOffset) return false
        this.at = offsetOf(key)
        const value = isKeyWhole(key) ? store.get(key) : undefined
        if (value === undefined || !isValueWhole(key, value)) continue
        const rewrite = this.look(key, value)
        if (rewrite === undefined) continue
        rewrites.push(rewrite)
        rewritten += value.length
        if (performance.now() > end || rewritten > maxRewritten) return true
      }
      if (keys.length < keysAtOnce) return false
    }
    return true
  }

  private look(key: Uint8Array, value: Uint8Array): Rewrite | undefined {
    const keys: Array<string | undefined> = []
    const count = countOf(key)
    if (!forEachMessage(value, 0, value.length, skipOf(key), count, (message) => keys.push(message.key)))
      return undefined
    const isKept: Array<boolean> = new Array(count).fill(true)
    let isWhole = true
    for (let index = count - 1; index >= 0; index--) {
      const name = keys[index]
      if (name === undefined || !this.isMine(name)) continue
      if (this.met.has(name)) {
        isKept[index] = false
        isWhole = false
      } else {
        this.remember(name)
      }
    }
    return isWhole ? undefined : { key, isKept, runs: survivors(value, skipOf(key), isKept) }
  }

  private isMine(name: string): boolean {
    return this.parts === 1 || crc32(name) % this.parts === this.part
  }

  private remember(name: string): void {
    this.met.add(name)
    while (this.met.size > this.maxKeys && this.parts < mostParts) {
      this.parts *= 2
      this.met = new Set([...this.met].filter((each) => this.isMine(each)))
    }
  }

  private write(rewrites: ReadonlyArray<Rewrite>, isLast: boolean, next: () => void): void {
    const { log } = this
    const end = () => this.end()
    log.add({
      size: rewrites.reduce(
        (sum, { runs }) => sum + runs.reduce((all, { bytes }) => all + bytes.length, 0),
        0
      ),
      isRelief: true,
      prepare: (set) => {
        for (const rewrite of rewrites) this.prepare(set, rewrite)
        if (isLast) log.rewrite(set).compactedTo = this.appended
        return undefined
      },
      done() {
        log.ended(this)
        next()
      },
      failed() {
        log.ended(this)
        end()
      }
    })
  }

  private prepare(set: WriteSet, { isKept, key, runs }: Rewrite): void {
    const store = this.environment.messages
    // Retention may have taken it meanwhile.
    if (!store.doesExist(key)) return
    const numbers = this.log.rewrite(set)
    const before = bytesOf(numbers)
    const offset = offsetOf(key)
    set.remove(store, key, sizeOf(key))
    let bytes = 0
    for (const run of runs) {
      const part = { offset: offset + run.index, count: run.count, skip: 0, before: beforeOf(key) }
      set.put(store, partKey(key, part, run.bytes), run.bytes)
      bytes += run.bytes.length
    }
    const isGone = (kept: boolean, index: number) => !kept && offset + index >= numbers.firstOffset
    numbers.savedMessages += isKept.filter(isGone).length
    numbers.savedBytes += sizeOf(key) - bytes
    set.folder.bytes += bytesOf(numbers) - before
  }
}
