/** Room behind the pages of a file, on a disk of a few megabytes (skipped where nothing can be mounted). */
import { rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Allowance, boundless, DiskRoom, type Room } from "../../../src/services/lmdb/DiskRoom.ts"
import { canMount, smallDisk } from "../../faults/Mounts.ts"
import { folder } from "./TestFolder.ts"

const megabyte = 1_048_576
const pageBytes = 4096
const pages = (bytes: number) => bytes / pageBytes

/** Of a file of so many bytes, of which so many are used. */
const use = (bytes: number, used: number) => () => ({
  pageBytes,
  lastPage: pages(bytes) - 1,
  usedPages: pages(used)
})

/** In megabytes: all, and what of it is in a row. */
const allowed = ({ toFree, toKeep }: Room) => {
  const shown = ({ all, runs }: Allowance) => [all / megabyte, runs / megabyte]
  return { toKeep: shown(toKeep), toFree: shown(toFree) }
}

describe.skipIf(!canMount())("disk room (skipped where nothing can be mounted)", () => {
  it.effect("disk room - takes what there is in steps, keeps some back, and hands on what was freed", () =>
    Effect.gen(function* () {
      const disk = yield* smallDisk(16 * megabyte)
      const ballast = join(disk, "ballast")
      const path = join(disk, "data.mdb")
      writeFileSync(path, new Uint8Array(2 * megabyte))
      writeFileSync(ballast, new Uint8Array(8 * megabyte))
      const room = new DiskRoom(path)
      const full = use(2 * megabyte, 2 * megabyte)
      assert.deepStrictEqual(allowed(room.room(full)), { toKeep: [2, 2], toFree: [6, 6] })
      assert.strictEqual(statSync(path).size, 8 * megabyte)
      // Nobody else gets it, so it is still there when LMDB has used half of it.
      assert.throws(() => writeFileSync(join(disk, "more"), new Uint8Array(megabyte)))
      const used = use(5 * megabyte, 5 * megabyte)
      assert.deepStrictEqual(allowed(room.room(used)), { toKeep: [-1, 0], toFree: [3, 3] })
      // Pages that retention freed within the file are used before those behind it; not all are free at once, or in a row.
      const freed = use(5 * megabyte, megabyte)
      assert.deepStrictEqual(allowed(room.room(freed)), { toKeep: [1, 0], toFree: [5, 3] })
      const allFree = use(8 * megabyte, megabyte)
      assert.deepStrictEqual(allowed(room.room(allFree)), { toKeep: [-0.5, 0], toFree: [3.5, 0] })
      rmSync(ballast)
      rmSync(join(disk, "more"), { force: true })
      assert.deepStrictEqual(allowed(room.room(full)), { toKeep: [10, 10], toFree: [14, 14] })
      room.close()
    })
  )

  it.effect("disk room - a disk with plenty of room is left alone", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "data.mdb")
      writeFileSync(path, new Uint8Array(pageBytes))
      assert.strictEqual(new DiskRoom(path).room(use(pageBytes, pageBytes)), boundless)
      assert.strictEqual(statSync(path).size, pageBytes)
    })
  )
})
