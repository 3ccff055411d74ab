/**
 * The power fails: what a hub had flushed to the disk is there, and nothing else. The disk is an image with a file
 * system of its own; a copy of the image has what was written to the disk, and not what the system still held in memory.
 */
import { copyFileSync, mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { Polestar } from "../../src/sdk/Polestar.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { temporaryFolder } from "../cli/DurableHub.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { chance } from "../protocol/Chance.ts"
import { openFolder, whileStopped } from "./DurableFolder.ts"
import { eventually, freePort, joined, sdkClient, seeded, soon } from "./Faults.ts"
import { joinMember } from "./GroupMembers.ts"
import { GroupRecord } from "./GroupRecord.ts"
import { startHub } from "./HubProcess.ts"
import { Ledger, replay, Value } from "./Ledger.ts"
import { canMountImages, imageDisk, makeImage } from "./Mounts.ts"

const isLong = process.env.POLESTAR_LONG === "1"
const rounds = isLong ? 20 : 2
const topic = "power.one"

/** Offsets that the group has not acknowledged. */
const leftOf = Effect.fnUntraced(function* (star: Polestar["Service"], name: string) {
  const left = new Set<number>()
  const { lag } = yield* star.groups.info(name)
  if (lag === 0) return left
  const group = yield* star.join(Topic.pattern("power.>", Value), { group: name, prefetch: 50_000 })
  yield* soon(
    "what the group has left",
    Stream.runForEachWhile(group.messages, ({ position }) =>
      Effect.sync(() => left.add(position.offset).size < lag)
    ),
    () => `${left.size} of ${lag}`
  )
  return left
})

describe("faults - the power is cut", () => {
  it.live.skipIf(!canMountImages())(
    "power - what there were receipts and confirmations for is on the disk (skipped unless images can be mounted)",
    () =>
      seeded(Date.now() % 100_000, (seed) =>
        Effect.gen(function* () {
          const random = chance(seed)
          const folder = yield* temporaryFolder
          const image = join(folder, "disk.img")
          makeImage(image, 67_108_864)
          const disk = yield* imageDisk(image)
          mkdirSync(join(disk, "data"))
          const port = yield* freePort
          const hub = yield* startHub({ port, dataDir: join(disk, "data") })
          const ledger = new Ledger()
          const record = new GroupRecord("workers", () => 0)
          const publishing = yield* Effect.forkScoped(
            Effect.forEach(
              range(3),
              (who) =>
                Effect.flatMap(sdkClient(port), (star) =>
                  ledger.publish(star, { who, topic, random: chance(seed + who), length: 200, rest: 15 })
                ),
              { concurrency: "unbounded", discard: true }
            )
          )
          yield* Effect.forkScoped(
            joinMember({ port, pattern: "power.>", record, random, failsOneIn: 100, life: () => 0 })
          )
          for (let round = 0; round < rounds; round++) {
            const before = ledger.told.length
            yield* eventually(
              "more receipts and confirmations",
              Effect.sync(() => ledger.told.length > before + 300 && record.confirmed > before + 200)
            )
            yield* Effect.sleep(random.below(200))
            const after = join(folder, `${round}.img`)
            const told = ledger.told.length
            const confirmed = record.allConfirmed(topic)
            yield* whileStopped(hub, () => copyFileSync(image, after))
            const { epoch, found, left } = yield* Effect.scoped(
              Effect.gen(function* () {
                const restored = yield* imageDisk(after)
                const opening = yield* soon("the hub to open", openFolder(join(restored, "data")))
                if (opening._tag !== "Ready") return assert.fail(opening.stderr)
                const star = yield* sdkClient(opening.port)
                return { ...(yield* replay(star, topic)), left: yield* leftOf(star, record.name) }
              })
            )
            rmSync(after)
            ledger.check(topic, epoch, found, told)
            for (const offset of left) assert.isFalse(confirmed.has(offset), `${offset} came again`)
          }
          ledger.isOver = true
          yield* joined("all receipts", publishing)
          // A full disk would have refused some, and so changed their order.
          const star = yield* sdkClient(port)
          assert.strictEqual((yield* star.stats).storageFull, 0)
        })
      ),
    isLong ? 300_000 : 120_000
  )
})
