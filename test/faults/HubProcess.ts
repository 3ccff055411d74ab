/** Starts, asks, signals and ends processes of the tests' own. All are killed with their scope. */
import { type ChildProcess, fork, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Effect, Schema, type Scope } from "effect"
import { eventually, type FaultError, soon } from "./Faults.ts"

export class Child {
  readonly process: ChildProcess
  readonly messages: Array<unknown> = []
  /** What it wrote to stderr, if that is piped. */
  errors = ""
  private readonly listeners = new Set<() => void>()

  constructor(script: string, args: ReadonlyArray<string>, stderr: "inherit" | "pipe") {
    this.process = fork(fileURLToPath(new URL(script, import.meta.url)), args, {
      execArgv: ["--expose-gc"],
      serialization: "advanced",
      stdio: ["ignore", "inherit", stderr, "ipc"]
    })
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text
    })
    this.process.on("message", (message) => {
      this.messages.push(message)
      for (const listener of [...this.listeners]) listener()
    })
  }

  static spawn(
    script: string,
    args: ReadonlyArray<string> = [],
    stderr: "inherit" | "pipe" = "inherit"
  ): Effect.Effect<Child, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => new Child(script, args, stderr)),
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

  /** Sends the signal and waits for the end. */
  kill(signal: NodeJS.Signals): Effect.Effect<void> {
    return killed(this.process, signal)
  }
}

/** Waits for the process's end after the signal. */
const killed = (child: ChildProcess, signal: NodeJS.Signals): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill(signal)
  })

const Listening = Schema.Struct({ port: Schema.Number, webPort: Schema.Number, wsPort: Schema.Number })
const Memory = Schema.Struct({
  memory: Schema.Struct({ peak: Schema.Number, heapUsed: Schema.Number, arrayBuffers: Schema.Number })
})

export interface HubProcess {
  readonly child: Child
  readonly port: number
  /** Of HTTP, and of WebSocket alone; 0 where there is none. */
  readonly webPort: number
  readonly wsPort: number
  /** Bytes that are in use, after a collection: the heap, and the buffers beside it. */
  readonly memory: Effect.Effect<number, FaultError>
  /** The most bytes that the process ever had of the machine's memory. */
  readonly peak: Effect.Effect<number, FaultError>
}

/** Waits until so many bytes at most are in use: V8 gives buffers back some time after a collection. */
export const memorySettles = (hub: HubProcess, limit: number): Effect.Effect<void, FaultError> => {
  let used = 0
  const isBelow = Effect.map(hub.memory, (memory) => {
    used = memory
    return memory <= limit
  })
  return eventually(`at most ${limit} bytes in use`, isBelow, () => used)
}

/** A hub that listens, with these settings and otherwise defaults. */
export const startHub = Effect.fnUntraced(function* (
  settings: Readonly<Record<string, string | number>> = {},
  stderr: "inherit" | "pipe" = "inherit"
): Effect.fn.Return<HubProcess, FaultError, Scope.Scope> {
  const args = Object.entries({ port: 0, ...settings }).map(([key, value]) => `${key}=${value}`)
  const child = yield* Child.spawn("./HubMain.ts", args, stderr)
  const listening = yield* child.next("the hub to listen", Listening)
  const asked = Effect.suspend(() => {
    child.send("memory")
    return Effect.map(child.next("the hub's memory", Memory), (message) => message.memory)
  })
  return {
    child,
    ...listening,
    memory: Effect.map(asked, ({ arrayBuffers, heapUsed }) => heapUsed + arrayBuffers),
    peak: Effect.map(asked, ({ peak }) => peak)
  }
})

/** The command `polestar hub` on that port, ready. Answers how to end it. */
export const startCommand = Effect.fnUntraced(function* (
  port: number,
  flags: ReadonlyArray<string> = []
): Effect.fn.Return<(signal: NodeJS.Signals) => Effect.Effect<void>, FaultError, Scope.Scope> {
  const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url))
  // Nothing on disk unless a test asks for it.
  const storage = flags.includes("--data-dir") ? [] : ["--durability", "> = memory"]
  const args = [
    main,
    "hub",
    "--port",
    `${port}`,
    "--http-port",
    "0",
    "--log-level",
    "error",
    ...storage,
    ...flags
  ]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })),
    (spawned) => killed(spawned, "SIGKILL")
  )
  yield* soon(
    "the hub to be ready",
    Effect.callback<void>((resume) => {
      child.stdout.on("data", (chunk: Buffer) => {
        if (chunk.toString().includes("ready")) resume(Effect.void)
      })
    })
  )
  return (signal) => killed(child, signal)
})
