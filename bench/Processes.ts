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
import type { System } from "./peers/System.ts"

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
  /** Resident memory in bytes, or NaN where the machine does not say (it does on Linux). */
  readonly residentBytes: () => number
  /** CPU time used so far by all its threads, in seconds, or NaN. */
  readonly cpuSeconds: () => number
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

export class Processes {
  readonly #live = new Map<ChildProcess, string>()

  constructor() {
    process.once("exit", () => this.#killAll())
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => process.exit(130))
    }
  }

  #killAll(): void {
    for (const [child, dir] of this.#live) {
      child.kill("SIGKILL")
      rmSync(dir, { recursive: true, force: true })
    }
    this.#live.clear()
  }

  /** Starts a system; it is ready when its port answers. Fails if it exits or does not answer in 15 s. */
  async start(name: string, launch: System["launch"]): Promise<Running> {
    const port = await freePort()
    const dir = mkdtempSync(join(tmpdir(), "polestar-bench-"))
    const { args, command, env } = launch(port, dir)
    const child = spawn(command, args, {
      cwd: dir,
      env: { ...process.env, ...env },
      stdio: ["ignore", "ignore", "pipe"]
    })
    this.#live.set(child, dir)
    let said = ""
    let failure = ""
    child.stderr.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2000)
    })
    child.once("error", (error) => {
      failure = error.message
    })
    const ended = new Promise<void>((resolve) => {
      child.once("exit", () => resolve())
      child.once("error", () => resolve())
    })
    const stop = async () => {
      child.kill("SIGKILL")
      await ended
      rmSync(dir, { recursive: true, force: true })
      this.#live.delete(child)
    }
    const deadline = performance.now() + READY_WITHIN_MS
    while (!(await answers(port))) {
      if (failure !== "" || child.exitCode !== null || performance.now() > deadline) {
        await stop()
        throw new Error(`${name} did not start: ${failure} ${said}`.trim())
      }
      await sleep(20)
    }
    return { port, residentBytes: () => residentBytes(child), cpuSeconds: () => cpuSeconds(child), stop }
  }
}
