/** Processes of the `polestar` command for tests: started from the sources, waited for by what they print. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { Deferred, Effect, type Scope } from "effect"

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url))

/** A process; killed with the scope. */
export interface Running {
  readonly pid: number
  /** Waits until the output matches, and answers the match; fails if it ends without. */
  readonly stdout: (pattern: RegExp) => Effect.Effect<RegExpExecArray, Error>
  readonly stderr: (pattern: RegExp) => Effect.Effect<RegExpExecArray, Error>
  readonly write: (text: string) => Effect.Effect<void>
  readonly endInput: Effect.Effect<void>
  /** Closes this end of its standard output. */
  readonly closeOutput: Effect.Effect<void>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Waits until it has ended. */
  readonly ended: Effect.Effect<Ended>
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Nothing of the machine's own environment that the command would read. */
const environment = (extra: Readonly<Record<string, string>>): Record<string, string | undefined> => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(POLESTAR_|OTEL_|FORCE_COLOR)|^(HOST|PORT|LOG_LEVEL)$/.test(name)
    )
  ),
  // Nothing on disk unless a test asks for it.
  ...(extra.POLESTAR_DATA_DIR === undefined ? { POLESTAR_DURABILITY: "> = memory" } : {}),
  POLESTAR_HTTP_PORT: "0",
  ...extra
})

/** Text as it comes, and a wait for what it matches. */
class Watched {
  text = ""
  private readonly waiting = new Set<() => void>()
  private hasEnded = false
  private others = ""

  constructor(stream: NodeJS.ReadableStream) {
    stream.setEncoding("utf8")
    stream.on("data", (chunk: string) => {
      this.text += chunk
      this.check()
    })
  }

  /** `others` is what came elsewhere, which may say why. */
  end(others: string): void {
    this.others = others
    this.hasEnded = true
    this.check()
  }

  match(pattern: RegExp): Effect.Effect<RegExpExecArray, Error> {
    return Effect.callback((resume) => {
      const check = () => {
        const found = pattern.exec(this.text)
        if (found !== null) resume(Effect.succeed(found))
        else if (this.hasEnded)
          resume(Effect.fail(new Error(`ended without ${pattern}: ${this.text}\n${this.others}`)))
        else return
        this.waiting.delete(check)
      }
      this.waiting.add(check)
      check()
      return Effect.sync(() => {
        this.waiting.delete(check)
      })
    })
  }

  private check(): void {
    for (const check of [...this.waiting]) check()
  }
}

/** Starts `polestar` with these arguments, in the directory `cwd` if it is given. */
export const start = (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  cwd?: string
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, [main, ...args], { env: environment(env), cwd })),
      kill
    )
    const stdout = new Watched(child.stdout)
    const stderr = new Watched(child.stderr)
    const ended = Deferred.makeUnsafe<Ended>()
    child.stdin.on("error", () => {})
    child.on("close", (code) => {
      stdout.end(stderr.text)
      stderr.end(stdout.text)
      Deferred.doneUnsafe(ended, Effect.succeed({ code, stdout: stdout.text, stderr: stderr.text }))
    })
    return {
      pid: child.pid ?? 0,
      stdout: (pattern) => stdout.match(pattern),
      stderr: (pattern) => stderr.match(pattern),
      write: (text) => Effect.sync(() => void child.stdin.write(text)),
      endInput: Effect.sync(() => void child.stdin.end()),
      closeOutput: Effect.sync(() => void child.stdout.destroy()),
      signal: (signal) => Effect.sync(() => void child.kill(signal)),
      ended: Deferred.await(ended)
    }
  })

const kill = (child: ChildProcess): Effect.Effect<void> =>
  Effect.promise(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, "close")
    child.kill("SIGKILL")
    await closed
  })

/** Runs `polestar` to its end, with nothing to read. */
export const run = (
  args: ReadonlyArray<string>,
  env?: Readonly<Record<string, string>>,
  cwd?: string
): Effect.Effect<Ended, never, Scope.Scope> =>
  Effect.flatMap(start(args, env, cwd), (process) => Effect.andThen(process.endInput, process.ended))

/** The lines of an output, each an object of JSON. */
export const jsonLines = (text: string): ReadonlyArray<unknown> =>
  text
    .trimEnd()
    .split("\n")
    .map((line): unknown => JSON.parse(line))
