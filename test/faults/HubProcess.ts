/** Starts, asks, signals and ends processes of the tests' own. All are killed with their scope. */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Effect, Schema, type Scope } from "effect"
import { type FaultError, soon } from "./Faults.ts"

export class Child {
  readonly process: ChildProcess
  readonly messages: Array<unknown> = []
  private readonly listeners = new Set<() => void>()

  constructor(script: string, args: ReadonlyArray<string>) {
    this.process = fork(fileURLToPath(new URL(script, import.meta.url)), args, {
      execArgv: ["--expose-gc"],
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"]
    })
    this.process.on("message", (message) => {
      this.messages.push(message)
      for (const listener of [...this.listeners]) listener()
    })
  }

  static spawn(script: string, args: ReadonlyArray<string> = []): Effect.Effect<Child, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => new Child(script, args)),
      (child) => child.kill("SIGKILL")
    )
  }

  /** Waits for the next message of this form; others stay. */
  next<A>(what: string, schema: Schema.ConstraintDecoder<A>): Effect.Effect<A, FaultError> {
    const isIt = Schema.is(schema)
    return soon(
      what,
      Effect.callback<A>((resume) => {
        const look = () => {
          const index = this.messages.findIndex((message) => isIt(message))
          const [found] = index < 0 ? [] : this.messages.splice(index, 1)
          if (!isIt(found)) return
          this.listeners.delete(look)
          resume(Effect.succeed(found))
        }
        this.listeners.add(look)
        look()
        return Effect.sync(() => this.listeners.delete(look))
      })
    )
  }

  send(message: string): void {
    this.process.send(message)
  }

  get hasExited(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  /** Sends the signal and waits for the end. */
  kill(signal: NodeJS.Signals): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (this.hasExited) return resume(Effect.void)
      this.process.once("exit", () => resume(Effect.void))
      this.process.kill(signal)
    })
  }
}

const Listening = Schema.Struct({ port: Schema.Number })
const Memory = Schema.Struct({
  memory: Schema.Struct({ rss: Schema.Number, heapUsed: Schema.Number, external: Schema.Number })
})

export interface HubProcess {
  readonly child: Child
  readonly port: number
  /** Bytes that are in use, after a collection: the heap, and buffers beside it. */
  readonly memory: Effect.Effect<number, FaultError>
}

/** A hub that listens, with these settings and otherwise defaults. */
export const startHub = Effect.fnUntraced(function* (
  settings: Readonly<Record<string, string | number>> = {}
): Effect.fn.Return<HubProcess, FaultError, Scope.Scope> {
  const args = Object.entries({ port: 0, logLevel: "Error", ...settings }).map(
    ([key, value]) => `${key}=${value}`
  )
  const child = yield* Child.spawn("./HubMain.ts", args)
  const { port } = yield* child.next("the hub to listen", Listening)
  const memory = Effect.suspend(() => {
    child.send("memory")
    return Effect.map(child.next("the hub's memory", Memory), (message) => {
      return message.memory.heapUsed + message.memory.external
    })
  })
  return { child, port, memory }
})
