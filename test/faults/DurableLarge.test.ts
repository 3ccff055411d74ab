/**
 * Ten million messages through a hub process, which take a minute: run with POLESTAR_LONG=1. Starting again, seeking and
 * replaying stay fast, and what the hub keeps in memory is no more than before. The figures are printed.
 */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Console, Effect } from "effect"
import type { Start } from "../../src/protocol/Position.ts"
import type { Polestar } from "../../src/sdk/Polestar.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { temporaryFolder } from "../cli/DurableHub.ts"
import { range, take } from "../contracts/sdk/Kit.ts"
import { freePort, sdkClient } from "./Faults.ts"
import { type HubProcess, startHub } from "./HubProcess.ts"

const messages = 10_000_000
const perCall = 500
const topic = Topic.raw("large.one")

const settings = { maxMessagesPerTopic: 1e12, persistentTierBytes: 1e14, dataMaxBytes: 1e14 }

/** Megabytes of the process that are its own, and not the log's file. */
const ownMemory = ({ child }: HubProcess): number => {
  const status = readFileSync(`/proc/${child.process.pid}/status`, "utf8")
  return Math.round(Number(/RssAnon:\s+(\d+)/.exec(status)?.[1]) / 1024)
}

const millis = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, number], E, R> =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.map(effect, (value) => [value, performance.now() - began] as const)
  })

const rate = (elapsed: number): string =>
  `${Math.round(messages / elapsed).toLocaleString("en")},000 messages/s`

const publishAll = (star: Polestar["Service"]) => {
  const payload = new Uint8Array(128).fill(7)
  const batch = range(perCall).map(() => payload)
  return Effect.forEach(range(messages / perCall), () => star.publishAll(topic, batch), {
    concurrency: 32,
    discard: true
  })
}

/** Reads from there to the end without decoding; answers how many there were. */
const count = (star: Polestar["Service"], start: Start, end: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const session = yield* star.client.openSession()
      const inbox = yield* session.subscribe({
        pattern: topic.name,
        start,
        overflow: "wait",
        echo: true,
        queueSize: 100_000,
        queueBytes: 67_108_864
      })
      let seen = 0
      for (let next = -1; next < end; ) {
        for (const item of yield* inbox.take) {
          if (item._tag !== "Messages") return assert.fail(`heard ${item._tag}`)
          const { count, offset } = item.batch
          if (next >= 0) assert.strictEqual(offset, next)
          next = offset + count
          seen += count
        }
      }
      return seen
    })
  )

describe.skipIf(process.env.POLESTAR_LONG !== "1")("faults - a large topic (with POLESTAR_LONG=1)", () => {
  it.live(
    "large topic - a hub with ten million messages starts, seeks and replays fast, and its memory stays flat",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* temporaryFolder
        const port = yield* freePort
        const first = yield* startHub({ ...settings, port, dataDir })
        const star = yield* sdkClient(port, { queueSize: 50_000, queueBytes: 67_108_864 })
        yield* star.publish(topic, new Uint8Array(1))
        const before = ownMemory(first)
        let most = before
        const watch = Effect.sync(() => {
          most = Math.max(most, ownMemory(first))
        })
        yield* Effect.forkScoped(Effect.forever(Effect.delay(watch, "500 millis")))
        const [, publishing] = yield* millis(publishAll(star))
        yield* Console.log(
          `publish: ${rate(publishing)}; memory ${before} MB before, ${most} MB at most, ${ownMemory(first)} MB after`
        )
        yield* first.child.kill("SIGKILL")

        const [hub, starting] = yield* millis(startHub({ ...settings, port, dataDir }))
        const reader = yield* sdkClient(port)
        const fresh = ownMemory(hub)
        const [info] = yield* reader.topics(topic.name)
        assert.strictEqual(info?.nextOffset, messages + 1)
        const epoch = info?.epoch ?? 0
        const middle = messages / 2
        const firstFrom = (
          from: { readonly time: number } | { readonly position: { epoch: number; offset: number } }
        ) => millis(Effect.map(take(reader.subscribe(topic, { from, overflow: "wait" }), 1), ([one]) => one!))
        const [one, byOffset] = yield* firstFrom({ position: { epoch, offset: middle } })
        assert.strictEqual(one.position.offset, middle)
        const [timed, byTime] = yield* firstFrom({ time: one.timestamp })
        assert.strictEqual(timed.timestamp, one.timestamp)
        assert.isAtMost(timed.position.offset, middle)
        assert.isAbove(timed.position.offset, middle / 2)
        yield* Console.log(
          `started in ${starting.toFixed(0)} ms after a kill; first message from the middle by offset in ` +
            `${byOffset.toFixed(1)} ms, by time in ${byTime.toFixed(1)} ms`
        )
        const position = { epoch, offset: 0 }
        const [seen, replaying] = yield* millis(count(reader, { _tag: "Position", position }, messages + 1))
        assert.strictEqual(seen, messages + 1)
        const after = ownMemory(hub)
        yield* Console.log(`replay: ${rate(replaying)}; memory ${fresh} MB before, ${after} MB after`)
        assert.isBelow(starting, 5000)
        assert.isBelow(byOffset, 200)
        assert.isBelow(byTime, 200)
        assert.isBelow(after, fresh + 150)
        // A group catches up from the middle of it, too.
        const group = yield* reader.join(topic, {
          group: "late",
          start: { position: { epoch, offset: middle } }
        })
        const [got, joining] = yield* millis(take(group.messages, 1000))
        assert.strictEqual(got[0]?.position.offset, middle)
        yield* Console.log(`a group's first 1,000 messages from the middle in ${joining.toFixed(0)} ms`)
      }),
    600_000
  )
})
