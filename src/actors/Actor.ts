/**
 * The one mechanism of every actor: a bounded mailbox, and a handler that sees one message after the other.
 *
 * A message to an actor that is idle is handled at once, in the sender's turn. A handler that must wait answers
 * an effect; the actor is then suspended on a fiber of its own, and what arrives meanwhile waits in the mailbox,
 * which a message never overtakes. When the mailbox is full `tellUnsafe` answers `false`, and `tell` waits.
 *
 * A handler that fails gives its message to `failed`, which decides how long the actor rests; the actor then
 * goes on with the next message.
 */
import { Cause, Effect } from "effect"
import { Deque } from "../protocol/Deque.ts"
import type { ActorSystem } from "./ActorSystem.ts"

/** Turns nest no deeper: an actor that would be called deeper takes its message into the mailbox. */
const maxDepth = 16
/** Messages that a fiber handles before it lets others run. */
const messagesPerTurn = 256

/** Limits of a mailbox. A message that is larger than they are is taken when the mailbox is empty. */
export interface MailboxLimits {
  readonly maxMessages: number
  readonly maxBytes: number
}

interface Waiting<M> {
  readonly message: M
  readonly admitted: () => void
}

export abstract class Actor<M, E = never> {
  /** What waits in the mailbox. */
  messages = 0
  bytes = 0
  /** Entries in the mailbox; beside the other fields, since it is asked for every message. */
  private queued = 0
  private busy = false
  protected readonly system: ActorSystem
  private readonly limits: MailboxLimits
  private readonly mailbox = new Deque<M>()
  /** Who waits for room in the mailbox, in order. */
  private waiting: Set<Waiting<M>> | undefined
  private idleListeners: Array<() => void> | undefined

  constructor(system: ActorSystem, limits: MailboxLimits) {
    this.system = system
    this.limits = limits
  }

  /** Handles one message; answers what to wait for before the next, if anything. */
  protected abstract handle(message: M): Effect.Effect<void, E> | undefined
  /** Told of a message that could not be handled; answers how long to rest. */
  protected abstract failed(message: M, cause: Cause.Cause<E>): Effect.Effect<void>
  /** How much of the mailbox's limits a message takes. */
  protected abstract messagesOf(message: M): number
  protected abstract bytesOf(message: M): number
  /** Called with a message before it is put in the mailbox, where it may stay for long. */
  protected abstract keep(message: M): void

  get isIdle(): boolean {
    return !this.busy
  }

  /** Handles the message now, or puts it in the mailbox; `false` if that is full. */
  tellUnsafe(message: M): boolean {
    const system = this.system
    if (!this.busy && system.depth < maxDepth) {
      this.busy = true
      system.depth++
      const wait = this.attempt(message)
      system.depth--
      if (wait !== undefined) this.suspend(wait)
      else if (this.queued === 0) this.becomeIdle()
      else this.suspend(Effect.void)
      return true
    }
    if ((this.waiting !== undefined && this.waiting.size > 0) || !this.hasRoom(message)) return false
    this.enqueue(message)
    if (!this.busy) {
      this.busy = true
      this.suspend(Effect.yieldNow)
    }
    return true
  }

  /** Waits until the message is handled or in the mailbox. Who gives up waiting has told nothing. */
  tell(message: M): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.tellUnsafe(message)) return Effect.void
      return Effect.callback<void>((resume) => {
        const waiting: Waiting<M> = { message, admitted: () => resume(Effect.void) }
        this.waiting ??= new Set()
        this.waiting.add(waiting)
        return Effect.sync(() => {
          this.waiting?.delete(waiting)
        })
      })
    })
  }

  /** Keeps the actor busy with `work`, as if a handler had answered it. The actor must be idle. */
  start(work: Effect.Effect<void>): void {
    this.busy = true
    this.suspend(work)
  }

  /** Waits until nothing is left to do. */
  readonly whenIdle: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (!this.busy) return resume(Effect.void)
    this.idleListeners ??= []
    this.idleListeners.push(() => resume(Effect.void))
  })

  private attempt(message: M): Effect.Effect<void> | undefined {
    try {
      const wait = this.handle(message)
      if (wait === undefined) return undefined
      return Effect.catchCause(wait, (cause) => this.recover(message, cause))
    } catch (error) {
      return this.recover(message, Cause.die(error))
    }
  }

  /** An actor outlives also what goes wrong with its failing. */
  private recover(message: M, cause: Cause.Cause<E>): Effect.Effect<void> {
    return Effect.catchCause(
      Effect.suspend(() => this.failed(message, cause)),
      (second) => Effect.logError("an actor could not be told of its failure", second)
    )
  }

  private hasRoom(message: M): boolean {
    if (this.queued === 0) return true
    const { maxBytes, maxMessages } = this.limits
    return (
      this.messages + this.messagesOf(message) <= maxMessages &&
      this.bytes + this.bytesOf(message) <= maxBytes &&
      this.system.queuedBytes + this.bytesOf(message) <= this.system.maxQueuedBytes
    )
  }

  private enqueue(message: M): void {
    this.keep(message)
    this.messages += this.messagesOf(message)
    this.bytes += this.bytesOf(message)
    this.system.queuedBytes += this.bytesOf(message)
    this.mailbox.push(message)
    this.queued++
  }

  private suspend(wait: Effect.Effect<void>): void {
    this.system.fork(this.run(wait))
  }

  private readonly run = Effect.fnUntraced(
    { self: this },
    function* (this: Actor<M, E>, first: Effect.Effect<void>) {
      let wait: Effect.Effect<void> | undefined = first
      while (wait !== undefined) {
        yield* wait
        wait = this.runMailbox()
      }
    }
  )

  /** Handles what waits; answers what to wait for, or `undefined` when the mailbox is empty. */
  private runMailbox(): Effect.Effect<void> | undefined {
    for (let left = messagesPerTurn; left > 0; left--) {
      const message = this.mailbox.shift()
      if (message === undefined) {
        this.becomeIdle()
        return undefined
      }
      this.queued--
      this.messages -= this.messagesOf(message)
      this.bytes -= this.bytesOf(message)
      this.system.queuedBytes -= this.bytesOf(message)
      this.admit()
      const wait = this.attempt(message)
      if (wait !== undefined) return wait
    }
    return Effect.yieldNow
  }

  private admit(): void {
    if (this.waiting === undefined) return
    for (const next of this.waiting) {
      if (!this.hasRoom(next.message)) return
      this.waiting.delete(next)
      this.enqueue(next.message)
      next.admitted()
    }
  }

  private becomeIdle(): void {
    this.busy = false
    const listeners = this.idleListeners
    if (listeners === undefined) return
    this.idleListeners = undefined
    for (const listener of listeners) listener()
  }
}
