/**
 * A hub process under load from several publishers and two groups is killed again and again: 10 times, and with
 * POLESTAR_LONG=1 100 times.
 */
import { assert, describe, it } from "@effect/vitest"
import { Console, Effect, Fiber } from "effect"
import { encodeText } from "../../src/protocol/Bytes.ts"
import type { Frame } from "../../src/protocol/Frame.ts"
import { notGiven, unlimitedCredit } from "../../src/protocol/Op.ts"
import { type Order, Orders } from "../../src/protocol/Position.ts"
import { temporaryFolder } from "../cli/DurableHub.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { chance } from "../protocol/Chance.ts"
import { eventually, freePort, joined, sdkClient, seeded, wireClient } from "./Faults.ts"
import { allDone } from "./GroupEnd.ts"
import { consumeMember, joinMember, type MemberOptions, rawMember } from "./GroupMembers.ts"
import { GroupRecord } from "./GroupRecord.ts"
import { Child, startHub } from "./HubProcess.ts"
import { Ledger } from "./Ledger.ts"

const isLong = process.env.POLESTAR_LONG === "1"
const rounds = isLong ? 100 : 10
const topics = ["kill.one", "kill.two"]
const publishers = 4
/** What each round must have brought, so that a kill always meets work. */
const progress = 100

const settingsOf = (port: number, dataDir: string) => ({
  port,
  dataDir,
  maxMessagesPerTopic: 1_000_000_000,
  persistentTierBytes: 1e12,
  dataMaxBytes: 1e12
})

/** Joins with so much credit, as frames. */
const joining = (order: Order, creditMessages: number): Frame => ({
  _tag: "Join",
  session: 1,
  request: 1000,
  subscription: 1,
  group: "raw",
  pattern: "raw.one",
  creditMessages,
  creditBytes: unlimitedCredit,
  start: { _tag: "First" },
  order,
  ackWait: notGiven.u32,
  maxDeliveries: notGiven.u16,
  maxInFlight: notGiven.u32,
  backoff: notGiven.u32,
  maxBackoff: notGiven.u32
})

describe("faults - a hub killed between a delivery and its acknowledgement", () => {
  for (const order of Orders)
    it.live(
      `kill - the next hub takes acknowledgements of what the one before delivered, in order ${order}`,
      () =>
        Effect.gen(function* () {
          const dataDir = yield* temporaryFolder
          let hub = yield* startHub({ dataDir })
          const first = yield* wireClient(hub.port)
          yield* first.begin()
          const messages = range(6).map((n) => ({ payload: encodeText(`m${n}`), key: `k${n % 2}` }))
          const { position } = yield* first.publishAndWait("raw.one", messages)
          first.send(joining(order, unlimitedCredit))
          yield* first.messages(1, order === "any" ? 6 : 2)
          for (let life = 0; life < 2; life++) {
            yield* hub.child.kill("SIGKILL")
            hub = yield* startHub({ dataDir })
            const client = yield* wireClient(hub.port)
            yield* client.begin()
            client.send(joining(order, 0))
            yield* client.next("Joined")
            if (life === 0) {
              const { epoch } = position
              const ranges = [{ from: 1, to: 3 }]
              client.send({
                _tag: "Ack",
                session: 1,
                request: 7,
                group: "raw",
                topic: "raw.one",
                epoch,
                ranges
              })
              yield* client.next("Acked")
            }
            client.credit(1, 100)
            // In order "key" one of each key, and the others of a key only after it.
            const expected = order === "any" ? [0, 3, 4, 5] : [0, 3]
            const got = yield* client.messages(1, expected.length)
            yield* client.settled
            const offsets = [...got, ...client.delivered(1)].map(({ offset }) => offset)
            assert.deepStrictEqual(
              offsets.toSorted((a, b) => a - b),
              expected
            )
          }
        })
    )
})

describe("faults - a hub killed under load", () => {
  it.live(
    `kill - ${rounds} times: receipts hold, each message is there once, groups get all, and nothing after its confirmation`,
    () =>
      seeded(Date.now() % 100_000, (seed) =>
        Effect.gen(function* () {
          const random = chance(seed)
          const port = yield* freePort
          const dataDir = yield* temporaryFolder
          const settings = settingsOf(port, dataDir)
          let life = 0
          let hub = yield* startHub(settings)

          const ledger = new Ledger()
          const shared = new GroupRecord("shared", () => life)
          const keyed = new GroupRecord("keyed", () => life)
          const member = (record: GroupRecord, failsOneIn: number): MemberOptions => {
            const own = chance(random.below(1_000_000))
            return { port, pattern: "kill.>", record, random: own, failsOneIn, life: () => life }
          }
          const publishing = yield* Effect.forkScoped(
            Effect.forEach(
              range(publishers),
              (who) => {
                const topic = topics[who % topics.length]!
                return Effect.flatMap(sdkClient(port), (star) =>
                  ledger.publish(star, { who, topic, random: chance(seed + who) })
                )
              },
              { concurrency: "unbounded", discard: true }
            )
          )
          const members = yield* Effect.forEach(
            [
              joinMember(member(shared, 50)),
              joinMember(member(shared, 50)),
              consumeMember(member(shared, 200)),
              rawMember(member(keyed, 2000)),
              rawMember(member(keyed, 2000))
            ],
            (running) => Effect.forkScoped(running)
          )

          const moved = Effect.fnUntraced(function* () {
            const before = [ledger.told.length, shared.done, keyed.done, shared.confirmed, keyed.confirmed]
            const now = () => [ledger.told.length, shared.done, keyed.done, shared.confirmed, keyed.confirmed]
            yield* eventually(
              `the work to go on in life ${life}`,
              Effect.sync(() => now().every((count, index) => count > before[index]! + progress)),
              () =>
                `${before} ${now()} ${members.map((each) => each.pollUnsafe())} ${publishing.pollUnsafe()}`
            )
          })
          for (let round = 0; round < rounds; round++) {
            yield* moved()
            yield* Effect.sleep(random.below(250))
            yield* hub.child.kill("SIGKILL")
            life++
            if (round % 4 === 3) {
              // Killed again while it opens its folder.
              const opening = yield* Child.spawn(
                "./HubMain.ts",
                Object.entries(settings).map(([key, value]) => `${key}=${value}`)
              )
              yield* Effect.sleep(200 + random.below(500))
              yield* opening.kill("SIGKILL")
              life++
            }
            hub = yield* startHub(settings)
            if (isLong && round % 10 === 9)
              yield* Console.log(
                `round ${round + 1}: ${ledger.told.length} receipts, ${shared.done} and ${keyed.done} done`
              )
          }
          yield* moved()
          ledger.isOver = true
          yield* joined("all receipts", publishing)

          const star = yield* sdkClient(port)
          const total = yield* allDone(star, ledger, topics, [shared, keyed])
          for (const record of [shared, keyed]) {
            const info = yield* star.groups.info(record.name)
            assert.deepStrictEqual([info.inFlight, info.waiting, info.parked, info.lost], [0, 0, 0, 0])
            assert.isAbove(record.redelivered, 0)
          }
          assert.deepStrictEqual(yield* star.deadLetters.list(), [])
          for (const each of members) assert.isUndefined(each.pollUnsafe(), "a member ended")
          yield* Effect.forEach(members, Fiber.interrupt)
          const duplicates = ledger.told.filter(({ duplicate }) => duplicate).length
          if (!isLong) return
          yield* Console.log(
            `${rounds} kills: ${total} messages, ${duplicates} receipts of what was there already, ` +
              `${shared.redelivered} and ${keyed.redelivered} deliveries again`
          )
        })
      ),
    isLong ? 900_000 : 120_000
  )
})
