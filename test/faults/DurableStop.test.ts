/** A hub process that is stopped for longer than everybody's patience, and goes on; and a second one on the same folder. */
import { assert, describe, it } from "@effect/vitest"
import { Console, Duration, Effect } from "effect"
import { temporaryFolder } from "../cli/DurableHub.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { chance } from "../protocol/Chance.ts"
import { openFolder } from "./DurableFolder.ts"
import { eventually, freePort, joined, sdkClient, seeded, soon, watchStates } from "./Faults.ts"
import { allDone } from "./GroupEnd.ts"
import { consumeMember, joinMember, type MemberOptions, rawMember } from "./GroupMembers.ts"
import { GroupRecord } from "./GroupRecord.ts"
import { startHub } from "./HubProcess.ts"
import { Ledger } from "./Ledger.ts"

const isLong = process.env.POLESTAR_LONG === "1"
/** Milliseconds for which the hub is stopped; pings and acknowledgements are waited for a third of that at most. */
const pause = isLong ? 60_000 : 2500
const topics = ["stop.one", "stop.two"]

describe("faults - a hub that is stopped", () => {
  it.live(
    `stopped for ${pause} ms - clients come back, nothing with a receipt is lost, groups go on`,
    () =>
      seeded(Date.now() % 100_000, (seed) =>
        Effect.gen(function* () {
          const port = yield* freePort
          const dataDir = yield* temporaryFolder
          const hub = yield* startHub({
            port,
            dataDir,
            pingInterval: Math.floor(pause / 8),
            groupAckWait: Math.floor(pause / 4),
            clientWriteTimeout: Math.floor(pause / 4)
          })
          const patience = {
            writeTimeout: Duration.millis(pause / 4),
            dialTimeout: Duration.millis(pause / 8),
            pingInterval: Duration.millis(pause / 8)
          }
          const ledger = new Ledger()
          const shared = new GroupRecord("shared", () => 0)
          const keyed = new GroupRecord("keyed", () => 0)
          const stars = yield* Effect.forEach(range(3), () => sdkClient(port, patience))
          const publishing = yield* Effect.forkScoped(
            Effect.forEach(
              stars,
              (star, who) =>
                ledger.publish(star, { who, topic: topics[who % 2]!, random: chance(seed + who), rest: 10 }),
              { concurrency: "unbounded", discard: true }
            )
          )
          const of = (record: GroupRecord): MemberOptions => {
            return { port, pattern: "stop.>", record, random: chance(seed), failsOneIn: 200, life: () => 0 }
          }
          const members = yield* Effect.forEach(
            [
              joinMember(of(shared), patience),
              consumeMember(of(shared), patience),
              rawMember(of(keyed)),
              rawMember(of(keyed))
            ],
            (running) => Effect.forkScoped(running)
          )
          const states = yield* watchStates(stars[0]!)
          const moved = Effect.fnUntraced(function* () {
            const now = () => [ledger.told.length, shared.confirmed, keyed.confirmed]
            const before = now()
            yield* eventually(
              "the work to go on",
              Effect.sync(() => now().every((count, index) => count > before[index]! + 100)),
              () => `${before} ${now()} ${members.map((each) => each.pollUnsafe())}`
            )
          })
          yield* moved()
          hub.child.process.kill("SIGSTOP")
          yield* Effect.sleep(Duration.millis(pause))
          hub.child.process.kill("SIGCONT")
          yield* moved()
          assert.isTrue(
            states.some(({ _tag }) => _tag === "Reconnecting"),
            "it was not noticed"
          )
          assert.strictEqual(states.at(-1)?._tag, "Connected")
          ledger.isOver = true
          yield* joined("all receipts", publishing)
          const star = yield* sdkClient(port)
          const total = yield* allDone(star, ledger, topics, [shared, keyed])
          for (const each of members) assert.isUndefined(each.pollUnsafe(), "a member ended")
          if (isLong)
            yield* Console.log(`${total} messages, ${shared.redelivered} and ${keyed.redelivered} again`)
        })
      ),
    isLong ? 200_000 : 120_000
  )
})

describe("faults - two hubs on one folder", () => {
  it.live(
    "second hub - is refused at once and says why, also while the first is stopped; not after its death",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* temporaryFolder
        const first = yield* startHub({ dataDir })
        const refused = Effect.fnUntraced(function* () {
          const opening = yield* soon("the second hub to end", openFolder(dataDir))
          if (opening._tag !== "Refused") return assert.fail("it was not refused")
          assert.strictEqual(opening.code, 1)
          assert.match(opening.stderr, /another hub uses the folder/)
          assert.include(opening.stderr, dataDir)
          assert.strictEqual(opening.stderr.trim().split("\n").length, 1)
        })
        yield* refused()
        first.child.process.kill("SIGSTOP")
        yield* refused()
        yield* first.child.kill("SIGKILL")
        const opening = yield* openFolder(dataDir)
        assert.strictEqual(opening._tag, "Ready")
      })
  )
})
