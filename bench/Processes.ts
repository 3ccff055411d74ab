/**
 * The processes of the systems under load. Each runs in its own temporary directory on a port chosen when it
 * starts; all of them are killed and their directories removed when this process ends, however it ends
 * (SIGKILL excepted).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { Launch, System } from "./peers/System.ts"

const READY_WITHIN_MS = 15_000

/** The program's path: daemons are often in `sbin`, which is not on everyone's PATH. */
export const findProgram = (name: string): string | undefined =>
  [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"]
    .map((directory) => join(directory, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })

/** The first line that a program prints about its version. */
export const versionOf = (name: string, flag: string): string => {
  const out = spawnSync(findProgram(name) ?? name, [flag], { encoding: "utf8" })
  return `${out.stdout}${out.stderr}`.split("\n")[0]?.trim() ?? "?"
}

export interface Running {
  readonly port: number
  /** Its own directory, where its data is. */
  readonly dir: string
  /** Resident memory in bytes, or NaN where the machine does not say (it does on Linux). */
  readonly residentBytes: () => number
  /** CPU time used so far by all its threads, in seconds, or NaN. */
  readonly cpuSeconds: () => number
  /**
   * Kills it (SIGKILL) and starts it again on the same port and directory; answers the time of starting it
   * (`performance.now`), without waiting until it is ready.
   */
  readonly restart: () => Promise<number>
  readonly stop: () => Promise<void>
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = address !== null && typeof address === "object" ? address.port : 0
      server.close(() => resolve(port))
    })
  })

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
  })

const proc = (child: ChildProcess, file: string): string => {
  try {
    return readFileSync(`/proc/${child.pid}/${file}`, "utf8")
  } catch {
    return ""
  }
}

const residentBytes = (child: ChildProcess): number =>
  Number(/VmRSS:\s+(\d+)/.exec(proc(child, "status"))?.[1]) * 1024

// Fields 14 and 15 of stat, counted after the command's name, which may hold spaces; in ticks of 10 ms.
const cpuSeconds = (child: ChildProcess): number => {
  const fields = proc(child, "stat").split(") ")[1]?.split(" ") ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** A program that was started, and what became of it. */
class Started {
  readonly child: ChildProcess
  readonly ended: Promise<void>
  #said = ""
  #failure = ""

  constructor({ args, command, env }: Launch, dir: string) {
    const child = spawn(command, args, {
      cwd: dir,
      env: { ...process.env, ...env },
      stdio: ["ignore", "ignore", "pipe"]
    })
    this.child = child
    child.stderr.on("data", (chunk: Buffer) => {
      this.#said = (this.#said + chunk.toString()).slice(-2000)
    })
    child.once("error", (error) => {
      this.#failure = error.message
    })
    this.ended = new Promise<void>((resolve) => {
      child.once("exit", () => resolve())
      child.once("error", () => resolve())
    })
  }

  get hasEnded(): boolean {
    return this.#failure !== "" || this.child.exitCode !== null
  }

  get complaint(): string {
    return `${this.#failure} ${this.#said}`.trim()
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL")
    await this.ended
  }
}

export class Processes {
  readonly #live = new Map<string, Started>()

  constructor() {
    process.once("exit", () => this.#killAll())
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => process.exit(130))
    }
  }

  #killAll(): void {
    for (const [dir, started] of this.#live) {
      started.child.kill("SIGKILL")
      rmSync(dir, { recursive: true, force: true })
    }
    this.#live.clear()
  }

  #spawn(launch: Launch, dir: string): Started {
    const started = new Started(launch, dir)
    this.#live.set(dir, started)
    return started
  }

  /** Starts a system; it is ready when its port answers. Fails if it exits or does not answer in 15 s. */
  async start(name: string, launch: System["launch"]): Promise<Running> {
    const port = await freePort()
    const dir = mkdtempSync(join(tmpdir(), "polestar-bench-"))
    const how = launch(port, dir)
    let now = this.#spawn(how, dir)
    const stop = async () => {
      await now.kill()
      rmSync(dir, { recursive: true, force: true })
      this.#live.delete(dir)
    }
    const restart = async () => {
      await now.kill()
      const at = performance.now()
      now = this.#spawn(how, dir)
      return at
    }
    const deadline = performance.now() + READY_WITHIN_MS
    while (!(await answers(port))) {
      if (now.hasEnded || performance.now() > deadline) {
        await stop()
        throw new Error(`${name} did not start: ${now.complaint}`.trim())
      }
      await sleep(20)
    }
    return {
      port,
      dir,
      residentBytes: () => residentBytes(now.child),
      cpuSeconds: () => cpuSeconds(now.child),
      restart,
      stop
    }
  }
}
