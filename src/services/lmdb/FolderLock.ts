/**
 * One hub at a time on a folder: who owns it listens on a socket in it. The system closes that with the process, so a
 * crash leaves nothing but a name that nobody listens on, which the next takes over; and a hub that is only stopped
 * still has it. Where the folder cannot have a socket it is in the temporary folder, by a hash of the folder's path:
 * then hubs of other machines, on a shared disk, are not seen.
 */
import { createHash } from "node:crypto"
import { closeSync, openSync, realpathSync, rmSync, statSync } from "node:fs"
import { connect, createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { MessageLogError } from "../MessageLog.ts"

const socketName = "hub.sock"
const takeOverName = "hub.taking"
/** What fits into the address of a socket on every system. */
const longestAddress = 100
/** A hub that takes over needs milliseconds; who left this mark for longer is gone. */
const staleMark = 5000
const connectWait = 2000
const tries = 40
const retryDelay = 50

/** Errors of a file system that knows no sockets. */
const withoutSockets: ReadonlySet<string> = new Set([
  "EPERM",
  "EACCES",
  "ENOTSUP",
  "EOPNOTSUPP",
  "EINVAL",
  "ENOSYS",
  "ENXIO"
])

const codeOf = (error: unknown): string => {
  const code: unknown = typeof error === "object" && error !== null ? Reflect.get(error, "code") : undefined
  return typeof code === "string" ? code : ""
}

const failed = (reason: "locked" | "io", cause: unknown): MessageLogError =>
  new MessageLogError({ reason, topic: "", cause })

const lockedBy = (folder: string): MessageLogError =>
  failed("locked", new Error(`another hub uses the folder ${folder}`))

/** Where to listen, best first. */
const addressesOf = (folder: string): ReadonlyArray<string> => {
  const hash = createHash("sha256").update(realpathSync(folder)).digest("hex").slice(0, 32)
  if (process.platform === "win32") return [`\\\\.\\pipe\\polestar-${hash}`]
  const elsewhere = join(tmpdir(), `polestar-${hash}.sock`)
  const here = join(folder, socketName)
  return Buffer.byteLength(here) <= longestAddress ? [here, elsewhere] : [elsewhere]
}

/** Answers the server, or the code of the error. */
const listen = (address: string): Effect.Effect<Server | string> =>
  Effect.callback((resume) => {
    const server = createServer((socket) => socket.destroy())
    server.once("error", (error) => resume(Effect.succeed(codeOf(error))))
    server.listen(address, () => {
      // Who asks is let go at once; nobody must keep the process alive by asking.
      server.unref()
      resume(Effect.succeed(server))
    })
  })

/** Whether somebody listens; one who does not answer in time does, too. */
const isHeld = (address: string): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = connect(address)
    const answer = (held: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      resume(Effect.succeed(held))
    }
    const timer = setTimeout(() => answer(true), connectWait)
    socket.once("connect", () => answer(true))
    socket.once("error", (error) => answer(!["ECONNREFUSED", "ENOENT"].includes(codeOf(error))))
  })

/** Makes the mark of the one who takes over; `false` if another has it. */
const mark = (path: string): boolean => {
  try {
    closeSync(openSync(path, "wx"))
    return true
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error
    removeStale(path)
    return false
  }
}

const removeStale = (path: string): void => {
  try {
    if (Date.now() - statSync(path).mtimeMs > staleMark) rmSync(path, { force: true })
  } catch {
    // It is gone already.
  }
}

/** The name is there and nobody listens: only one may remove it and listen. */
const takeOver = (folder: string, address: string): Effect.Effect<Server | string, MessageLogError> => {
  const path = join(folder, takeOverName)
  return Effect.acquireUseRelease(
    Effect.try({ try: () => mark(path), catch: (cause) => failed("io", cause) }),
    (isMine) =>
      Effect.gen(function* () {
        if (!isMine) return "EEXIST"
        // Another may have been through with it before the mark was made.
        if (yield* isHeld(address)) return "EADDRINUSE"
        rmSync(address, { force: true })
        return yield* listen(address)
      }),
    (isMine) => Effect.sync(() => isMine && rmSync(path, { force: true }))
  )
}

/** In real time, whatever clock the program has: the other is another process. */
const pause: Effect.Effect<void> = Effect.callback((resume) => {
  setTimeout(() => resume(Effect.void), retryDelay)
})

const acquireAt = (folder: string, address: string): Effect.Effect<Server | string, MessageLogError> =>
  Effect.gen(function* () {
    for (let left = tries; left > 0; left--) {
      const answer = yield* listen(address)
      if (answer !== "EADDRINUSE") return answer
      if (yield* isHeld(address)) return yield* lockedBy(folder)
      const taken = yield* takeOver(folder, address)
      if (taken !== "EADDRINUSE" && taken !== "EEXIST") return taken
      yield* pause
    }
    return yield* lockedBy(folder)
  })

const acquire = (folder: string): Effect.Effect<Server, MessageLogError> =>
  Effect.gen(function* () {
    let code = ""
    for (const address of addressesOf(folder)) {
      const answer = yield* acquireAt(folder, address)
      if (typeof answer !== "string") return answer
      code = answer
      if (!withoutSockets.has(code)) break
    }
    return yield* failed("io", new Error(`the folder ${folder} cannot be locked: ${code}`))
  })

/** Owns the folder, which must be there, until the scope ends; fails with `locked` if another hub does. */
export const lockFolder = (folder: string): Effect.Effect<void, MessageLogError, Scope.Scope> =>
  Effect.acquireRelease(acquire(folder), (server) =>
    Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
    })
  ).pipe(Effect.asVoid)
