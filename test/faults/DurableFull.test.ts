/** Disks that are full, and a log that may not grow: publishes are refused, all else goes on, and it passes by itself. */
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { Polestar } from "../../src/sdk/Polestar.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { temporaryFolder } from "../cli/DurableHub.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { chance } from "../protocol/Chance.ts"
import { eventually, freePort, joined, sdkClient, seeded, soon } from "./Faults.ts"
import { joinMember } from "./GroupMembers.ts"
import { GroupRecord } from "./GroupRecord.ts"
import { startHub } from "./HubProcess.ts"
import { Ledger, replay, Value } from "./Ledger.ts"
import { canMount, smallDisk } from "./Mounts.ts"

const topic = "full.one"
const inMemory = Topic.make("mem.one", Value)
const megabyte = 1_048_576

/** Publishes until it is refused; answers why. */
const refusal = (star: Polestar["Service"], length: number) =>
  soon(
    "a refusal",
    Effect.flip(Effect.forever(star.publish(Topic.make(topic, Value), [1000, 0, "y".repeat(length)]))).pipe(
      Effect.map(({ reason }) => (reason._tag === "Rejected" ? reason.code : reason._tag))
    )
  )

/** Takes all the room that there is. */
const fill = (path: string): void => {
  const file = openSync(path, "w")
  try {
    for (;;) writeSync(file, new Uint8Array(65_536))
  } catch {
    closeSync(file)
  }
}

describe("faults - no room", () => {
  it.live.skipIf(!canMount())(
    "full disk - refuses, serves all else, confirms nothing falsely, and goes on when there is room (skipped unless root may mount)",
    () =>
      seeded(Date.now() % 100_000, (seed) =>
        Effect.gen(function* () {
          const disk = yield* smallDisk(40 * megabyte)
          const filler = join(disk, "filler")
          const port = yield* freePort
          const settings = {
            port,
            dataDir: join(disk, "data"),
            durability: "mem.> = memory, > = stored",
            hotTierMessages: 1_000_000,
            hotTierBytes: 1e9
          }
          let life = 0
          let hub = yield* startHub(settings, "pipe")
          // The library would print what it could not write, and then the process may end.
          const isWhole = () => {
            assert.strictEqual(hub.child.errors, "")
            assert.isNull(hub.child.process.exitCode ?? hub.child.process.signalCode)
          }
          writeFileSync(filler, new Uint8Array(30 * megabyte))
          const ledger = new Ledger()
          const record = new GroupRecord("workers", () => life)
          const publishing = yield* Effect.forkScoped(
            Effect.forEach(
              range(3),
              (who) =>
                Effect.flatMap(sdkClient(port), (star) =>
                  ledger.publish(star, { who, topic, random: chance(seed + who), length: 400 })
                ),
              { concurrency: "unbounded", discard: true }
            )
          )
          const options = {
            port,
            pattern: "full.>",
            record,
            random: chance(seed),
            failsOneIn: 100,
            life: () => life
          } as const
          const member = yield* Effect.forkScoped(joinMember(options))
          // What is in memory, and whoever reads.
          const other = yield* sdkClient(port)
          const heard: Array<number> = []
          const { messages } = yield* other.open(inMemory, { overflow: "wait" })
          yield* Effect.forkScoped(
            Stream.runForEach(messages, ({ value }) => Effect.sync(() => heard.push(value[1])))
          )
          let sent = 0
          const sending = yield* Effect.forkScoped(
            Effect.forever(
              Effect.andThen(
                Effect.suspend(() => other.publish(inMemory, [0, sent++, ""])),
                Effect.sleep("2 millis")
              )
            )
          )
          const hasty = yield* sdkClient(port, { maxRetries: 0 })
          assert.strictEqual(yield* refusal(hasty, 400), "storage-full")

          const whileFull = Effect.fnUntraced(function* () {
            const heardBefore = heard.length
            yield* eventually(
              "what is in memory to go on",
              Effect.sync(() => heard.length > heardBefore + 50)
            )
            const { epoch, found } = yield* replay(other, topic)
            ledger.check(
              topic,
              epoch,
              found.filter((item) => !("value" in item) || item.value[0] < 1000),
              0,
              "refused"
            )
            assert.isAbove(Number((yield* other.stats).storageFull), 0)
          })
          yield* whileFull()
          isWhole()
          rmSync(filler)
          const goesOn = Effect.fnUntraced(function* () {
            const before = [ledger.told.length, record.confirmed]
            yield* eventually(
              "receipts and confirmations by itself",
              Effect.sync(() => ledger.told.length > before[0]! + 300 && record.confirmed > before[1]! + 300),
              () => `${before} ${ledger.told.length} ${record.confirmed}`
            )
          })
          yield* goesOn()

          // Full again, and killed while it is.
          fill(filler)
          assert.strictEqual(yield* refusal(hasty, 400), "storage-full")
          yield* whileFull()
          isWhole()
          yield* hub.child.kill("SIGKILL")
          life++
          rmSync(filler)
          hub = yield* startHub(settings, "pipe")
          yield* goesOn()

          ledger.isOver = true
          yield* joined("all receipts", publishing)
          const { epoch, found } = yield* replay(other, topic)
          const known = found.filter((item) => !("value" in item) || item.value[0] < 1000)
          ledger.checkWhole(topic, epoch, known, "refused")
          yield* eventually(
            "everything to be acknowledged",
            Effect.map(other.groups.info("workers"), ({ lag }) => lag === 0)
          )
          assert.strictEqual(record.faults.slice(0, 10).join("\n"), "")
          isWhole()
          assert.isUndefined(member.pollUnsafe())
          assert.isUndefined(sending.pollUnsafe())
        })
      ),
    120_000
  )

  it.live("dataMaxBytes - refuses beyond it, and takes again what retention made room for", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryFolder
      const hub = yield* startHub({ dataDir, dataMaxBytes: 2 * megabyte, persistentTierRetention: 3000 })
      const star = yield* sdkClient(hub.port, { maxRetries: 0 })
      assert.strictEqual(yield* refusal(star, 10_000), "storage-full")
      const { found } = yield* replay(star, topic)
      assert.isAbove(found.length, 150)
      assert.isBelow(found.length, 220)
      // A patient client needs to do nothing.
      const patient = yield* sdkClient(hub.port)
      const receipt = yield* soon(
        "retention to make room",
        patient.publish(Topic.make(topic, Value), [0, 0, "z".repeat(10_000)])
      )
      assert.strictEqual(receipt.durability, "stored")
      assert.strictEqual(receipt.position.offset, found.length)
    })
  )
})
