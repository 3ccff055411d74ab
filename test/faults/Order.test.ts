import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Topic from "../../src/sdk/Topic.ts"
import { range, take } from "../contracts/sdk/Kit.ts"
import { joined, sdkClient } from "./Faults.ts"
import { Child, startHub } from "./HubProcess.ts"

const name = "order.all"
const topic = Topic.make(name, Schema.Tuple([Schema.Number, Schema.Number]))
const publishers = 8
const each = 5000
const total = publishers * each

const Ready = Schema.Struct({ ready: Schema.Boolean })
const Published = Schema.Struct({
  published: Schema.Array(Schema.Struct({ who: Schema.Number, offsets: Schema.Array(Schema.Number) }))
})

describe("faults - order", () => {
  it.live(
    "order - eight publishers at once: one order for all subscribers, the receipts' and each publisher's",
    () =>
      Effect.gen(function* () {
        const hub = yield* startHub()
        const processes = yield* Effect.forEach(
          [0, 4],
          (first) => Child.spawn("./PublisherMain.ts", [name, `${hub.port}`, `${first}`, "4", `${each}`]),
          { concurrency: "unbounded" }
        )
        for (const child of processes) yield* child.next("a publisher to be ready", Ready)
        const subscribers = yield* Effect.forEach(range(3), () => sdkClient(hub.port))
        const pattern = Topic.pattern("order.>", Schema.Tuple([Schema.Number, Schema.Number]))
        const reading = yield* Effect.forEach(subscribers, (star, index) =>
          Effect.flatMap(
            star.open(index === 0 ? pattern : topic, { overflow: "wait", queueSize: 1000 * (index + 1) }),
            ({ messages }) => Effect.forkChild(take(messages, total), { startImmediately: true })
          )
        )
        for (const child of processes) child.send("go")
        const told = yield* Effect.forEach(processes, (child) => child.next("the receipts", Published))
        const [one, two, three] = yield* Effect.forEach(reading, (fiber) => joined("all messages", fiber))
        const orderOf = (deliveries: typeof one) =>
          deliveries?.map(({ position, value }) => [position.offset, ...value])
        const order = orderOf(one) ?? []
        assert.deepStrictEqual(orderOf(two), order)
        assert.deepStrictEqual(orderOf(three), order)
        assert.deepStrictEqual(
          order.map(([offset]) => offset),
          range(total)
        )
        for (const { offsets, who } of told.flatMap(({ published }) => published)) {
          const own = order.filter(([, publisher]) => publisher === who)
          assert.deepStrictEqual(
            own.map(([, , n]) => n),
            range(each)
          )
          assert.deepStrictEqual(
            own.map(([offset]) => offset),
            [...offsets]
          )
        }
      })
  )
})
