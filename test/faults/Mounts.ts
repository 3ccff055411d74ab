/** File systems of the tests' own, for root: small ones that can be full, and one whose power can be cut. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"

const run = (command: string, ...args: ReadonlyArray<string>): void => {
  const { error, status, stderr } = spawnSync(command, args, { encoding: "utf8" })
  if (error !== undefined || status !== 0)
    throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr}`)
}

const mountAt = (...args: ReadonlyArray<string>): string => {
  const path = mkdtempSync(join(tmpdir(), "polestar-mount-"))
  try {
    run("mount", ...args, path)
    return path
  } catch (error) {
    rmdirSync(path)
    throw error
  }
}

const unmount = (path: string): void => {
  run("umount", path)
  rmdirSync(path)
}

const mounted = (...args: ReadonlyArray<string>): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => mountAt(...args)),
    (path) => Effect.sync(() => unmount(path))
  )

/** A file system in memory of so many bytes, gone with the scope. */
export const smallDisk = (bytes: number): Effect.Effect<string, never, Scope.Scope> =>
  mounted("-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs")

const canDo = (work: () => void): boolean => {
  try {
    work()
    return true
  } catch {
    return false
  }
}

/** Whether this process may mount; most may not. */
export const canMount = (): boolean => canDo(() => unmount(mountAt("-t", "tmpfs", "-o", "size=1m", "tmpfs")))

/** Makes an image of a disk with a journal. */
export const makeImage = (image: string, bytes: number): void => {
  run("truncate", "-s", `${bytes}`, image)
  run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
}

/** The image as a disk. What was not flushed to it stays in memory for as long as may be: it writes nothing by itself. */
export const imageDisk = (image: string): Effect.Effect<string, never, Scope.Scope> =>
  mounted("-o", "loop,commit=300", image)

export const canMountImages = (): boolean =>
  canDo(() => {
    const image = join(tmpdir(), `polestar-${process.pid}.img`)
    try {
      makeImage(image, 4_194_304)
      unmount(mountAt("-o", "loop", image))
    } finally {
      run("rm", "-f", image)
    }
  })
