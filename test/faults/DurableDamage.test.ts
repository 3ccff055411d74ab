/** Copies of a busy hub's folder, as they are and damaged, opened by another hub: what it says is right, or it says why not. */
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Console, Effect, type Scope, Stream } from "effect"
import type { PolestarError } from "../../src/sdk/PolestarError.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { temporaryFolder } from "../cli/DurableHub.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { type Chance, chance } from "../protocol/Chance.ts"
import { copyTo, dataFile, openFolder, whileStopped } from "./DurableFolder.ts"
import { eventually, type FaultError, joined, sdkClient, seeded, soon } from "./Faults.ts"
import { type HubProcess, startHub } from "./HubProcess.ts"
import { Ledger, replay, Value } from "./Ledger.ts"

const isLong = process.env.POLESTAR_LONG === "1"
const pageSize = 4096
const topic = "damage.one"

interface Busy {
  readonly hub: HubProcess
  readonly dataDir: string
  readonly ledger: Ledger
  /** Waits until so many more receipts were given. */
  readonly more: (receipts: number) => Effect.Effect<void, FaultError>
  /** Ends the publishers, and waits for their receipts. */
  readonly end: Effect.Effect<void, PolestarError | FaultError>
}

/** A hub process with three publishers at work. */
const busyHub = Effect.fnUntraced(function* (
  seed: number
): Effect.fn.Return<Busy, PolestarError | FaultError, Scope.Scope> {
  const dataDir = yield* temporaryFolder
  const hub = yield* startHub({ dataDir })
  const ledger = new Ledger()
  const publishing = yield* Effect.forkScoped(
    Effect.forEach(
      range(3),
      (who) =>
        Effect.flatMap(sdkClient(hub.port), (star) =>
          ledger.publish(star, {
            who,
            topic,
            random: chance(seed + who),
            length: who === 2 ? 6000 : 60,
            perCall: 4
          })
        ),
      { concurrency: "unbounded", discard: true }
    )
  )
  return {
    hub,
    dataDir,
    ledger,
    more: (receipts) => {
      const before = ledger.told.length
      return eventually(
        `${receipts} receipts`,
        Effect.sync(() => ledger.told.length >= before + receipts)
      )
    },
    end: Effect.suspend(() => {
      ledger.isOver = true
      return joined("all receipts", publishing)
    })
  }
})

/** Overwrites with zeros. */
const zero = (folder: string, from: number, bytes: number): void => {
  const file = openSync(join(folder, dataFile), "r+")
  writeSync(file, new Uint8Array(bytes), 0, bytes, from)
  closeSync(file)
}

const sizeOf = (folder: string): number => statSync(join(folder, dataFile)).size

interface Damage {
  readonly what: string
  readonly make: (folder: string, random: Chance) => void
  /** Whether the last transaction is not flushed in such a file, so that its receipts were never given. */
  readonly losesEnd?: boolean
}

const damages: ReadonlyArray<Damage> = [
  { what: "nothing", make: () => {} },
  { what: "cut in a page", make: (path) => truncateSync(join(path, dataFile), sizeOf(path) - 1000) },
  {
    what: "cut by some pages",
    make: (path) => truncateSync(join(path, dataFile), sizeOf(path) - 5 * pageSize)
  },
  {
    what: "cut anywhere",
    make: (path, random) => truncateSync(join(path, dataFile), random.below(sizeOf(path)))
  },
  { what: "the last page zero", make: (path) => zero(path, sizeOf(path) - pageSize, pageSize) },
  { what: "the last 16 pages zero", make: (path) => zero(path, sizeOf(path) - 16 * pageSize, 16 * pageSize) },
  {
    what: "any page zero",
    make: (path, random) => zero(path, (2 + random.below(sizeOf(path) / pageSize - 2)) * pageSize, pageSize)
  },
  {
    what: "half a page zero",
    make: (path, random) =>
      zero(path, (2 + random.below(sizeOf(path) / pageSize - 2)) * pageSize + 2048, 2048)
  },
  { what: "the first page zero", make: (path) => zero(path, 0, pageSize), losesEnd: true },
  { what: "the second page zero", make: (path) => zero(path, pageSize, pageSize), losesEnd: true }
]

/** Opens the folder and reads it; answers what became of it, in words. */
const look = Effect.fnUntraced(function* (folder: string, ledger: Ledger, count: number, losesEnd: boolean) {
  const opening = yield* soon("the hub to open or refuse", openFolder(folder))
  if (opening._tag === "Refused") {
    assert.isNotNull(opening.code, `a signal ended it: ${opening.stderr}`)
    assert.notStrictEqual(opening.code, 0)
    assert.match(opening.stderr, /damaged|cannot be read/i)
    return "refused"
  }
  const star = yield* sdkClient(opening.port)
  const { found } = yield* replay(star, topic)
  const missing = ledger.checkPart(topic, found, count)
  if (!losesEnd) assert.strictEqual(missing, 0, "messages are missing, and nobody says so")
  // It goes on, whatever it was.
  yield* soon("a receipt", star.publish(Topic.make(topic, Value), [99, 0, ""]))
  const lost = found.reduce((sum, item) => sum + ("lost" in item ? item.lost : 0), 0)
  return lost > 0 ? "lost some" : missing > 0 ? "lost the end" : "whole"
})

describe("faults - damaged folders", () => {
  it.live(
    "copy - taken at any moment it has whatever there were receipts for",
    () =>
      seeded(Date.now() % 100_000, (seed) =>
        Effect.gen(function* () {
          const random = chance(seed)
          const busy = yield* busyHub(seed)
          const copies = yield* temporaryFolder
          for (let round = 0; round < (isLong ? 30 : 4); round++) {
            yield* busy.more(200 + random.below(300))
            const { length } = busy.ledger.told
            const copy = yield* whileStopped(busy.hub, () => copyTo(busy.dataDir, join(copies, `${round}`)))
            assert.strictEqual(yield* Effect.scoped(look(copy, busy.ledger, length, false)), "whole")
          }
          yield* busy.end
        })
      ),
    isLong ? 300_000 : 120_000
  )

  it.live(
    "copy - torn, cut off or with pages of zeros it is refused, or says what is lost; never a wrong message",
    () =>
      seeded(Date.now() % 100_000, (seed) =>
        Effect.gen(function* () {
          const random = chance(seed)
          const busy = yield* busyHub(seed)
          const copies = yield* temporaryFolder
          yield* busy.more(1500)
          const { length } = busy.ledger.told
          const whole = yield* whileStopped(busy.hub, () => copyTo(busy.dataDir, join(copies, "whole")))
          // Not a moment but a while: pages of many transactions.
          const blurred = copyTo(busy.dataDir, join(copies, "blurred"))
          yield* busy.end
          const outcomes: Record<string, number> = {}
          const count = (what: string, outcome: string) => {
            const name = `${what}: ${outcome}`
            outcomes[name] = (outcomes[name] ?? 0) + 1
          }
          count("copied while it was written", yield* Effect.scoped(look(blurred, busy.ledger, length, true)))
          for (let round = 0; round < (isLong ? 20 : 1); round++) {
            for (const { losesEnd = false, make, what } of damages) {
              const copy = copyTo(whole, join(copies, `${round} ${what}`))
              make(copy, random)
              const looking = Effect.scoped(look(copy, busy.ledger, length, losesEnd))
              count(what, yield* Effect.onError(looking, () => Console.error(`after: ${what}`)))
            }
          }
          if (isLong) yield* Console.log(outcomes)
        })
      ),
    isLong ? 900_000 : 120_000
  )

  it.live(
    "bit - one that flipped in a payload loses its batch: replays are told, groups count it, all else is delivered",
    () =>
      seeded(Date.now() % 100_000, (seed) =>
        Effect.gen(function* () {
          const busy = yield* busyHub(seed)
          const { dataDir, ledger } = busy
          const before = yield* sdkClient(busy.hub.port)
          yield* before.groups.create("all", topic, { start: "first" })
          yield* busy.more(600)
          yield* busy.end
          yield* busy.hub.child.kill("SIGKILL")
          const victims = [ledger.told[100]!, ledger.told[ledger.told.length - 100]!]
          const file = join(dataDir, dataFile)
          const bytes = readFileSync(file)
          for (const { n, who } of victims) {
            const text = `[${who},${n},"xxxxxxxx`
            let hits = 0
            for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1), hits++)
              bytes[at + text.length]! ^= 1
            assert.isAbove(hits, 0)
          }
          writeFileSync(file, bytes)

          const opening = yield* openFolder(dataDir)
          if (opening._tag !== "Ready") return assert.fail(opening.stderr)
          const star = yield* sdkClient(opening.port)
          const { found } = yield* replay(star, topic)
          const lost = new Set(
            found.flatMap((item) =>
              "lost" in item ? range(item.lost).map((index) => item.offset + index) : []
            )
          )
          for (const { offset } of victims) assert.isTrue(lost.has(offset), `${offset}`)
          assert.isAtMost(lost.size, 2 * 64)
          assert.strictEqual(ledger.checkPart(topic, found), 0)

          const group = yield* star.join(Topic.make(topic, Value), { group: "all" })
          const got = new Set<number>()
          const gaps = new Set<number>()
          const expected = found.filter((item) => "value" in item).length
          yield* soon(
            "all that is left",
            Stream.runForEachWhile(group.events, (event) => {
              if (event._tag === "Gap")
                for (let at = event.from.offset; at < event.to.offset; at++) gaps.add(at)
              if (event._tag !== "Message") return Effect.succeed(true)
              got.add(event.position.offset)
              return Effect.as(group.acknowledge(event), got.size < expected)
            }),
            () => `${got.size} of ${expected}`
          )
          assert.deepStrictEqual([...gaps].sort(), [...lost].sort())
          const info = yield* star.groups.info("all")
          assert.deepStrictEqual([info.lost, info.lag], [lost.size, 0])
        })
      )
  )
})
