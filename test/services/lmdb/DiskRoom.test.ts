/** Room behind the pages of a file, on a disk of a few megabytes (skipped where nothing can be mounted). */
import { rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { boundless, DiskRoom } from "../../../src/services/lmdb/DiskRoom.ts"
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
      assert.deepStrictEqual(room.room(full), { toKeep: 0, toFree: 4 * megabyte })
      assert.deepStrictEqual(room.room(full), { toKeep: 2 * megabyte, toFree: 6 * megabyte })
      assert.strictEqual(statSync(path).size, 8 * megabyte)
      // Nobody else gets it, so it is still there when LMDB has used half of it.
      assert.throws(() => writeFileSync(join(disk, "more"), new Uint8Array(megabyte)))
      assert.deepStrictEqual(room.room(use(5 * megabyte, 5 * megabyte)), {
        toKeep: -megabyte,
        toFree: 3 * megabyte
      })
      // Pages that retention freed within the file are used before those behind it.
      assert.deepStrictEqual(room.room(use(5 * megabyte, megabyte)), { toKeep: 0, toFree: 3 * megabyte })
      assert.deepStrictEqual(room.room(use(6 * megabyte, megabyte)), {
        toKeep: (-3 / 4) * megabyte,
        toFree: 2 * megabyte
      })
      rmSync(ballast)
      rmSync(join(disk, "more"), { force: true })
      assert.deepStrictEqual(room.room(full), { toKeep: 6 * megabyte, toFree: 10 * megabyte })
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
