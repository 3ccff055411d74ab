/**
 * Orders that are charged once each: two workers share them, a failure is tried again, and what can never be charged
 * becomes a dead letter.
 *
 *     node examples/orders.ts          with a hub in this process
 *     node examples/orders.ts 24353    with the hub that listens on that port
 */
import { Console, Data, Effect, Schema } from "effect"
import { Failure, Polestar, Topic } from "../src/index.ts"

const Orders = Topic.make("orders.{region}", Schema.Struct({ id: Schema.Number, amount: Schema.Number }))

class CardRefused extends Data.TaggedError("CardRefused")<{ readonly id: number }> {}
class BankBusy extends Data.TaggedError("BankBusy") {}

const charge = Effect.fnUntraced(function* (id: number, amount: number, attempt: number) {
  if (amount > 1000) return yield* new CardRefused({ id })
  if (id === 2 && attempt === 1) return yield* new BankBusy()
  yield* Console.log(`order ${id}: ${amount} charged${attempt > 1 ? `, at attempt ${attempt}` : ""}`)
})

const worker = Effect.gen(function* () {
  const star = yield* Polestar
  yield* star.consume(
    Orders,
    { group: "billing", start: "first", order: "key", backoff: "50 millis" },
    {
      handle: ({ attempt, value }) => charge(value.id, value.amount, attempt),
      onFailure: (error) => (error._tag === "CardRefused" ? Failure.deadLetter : Failure.retry())
    }
  )
})

const program = Effect.gen(function* () {
  const star = yield* Polestar
  for (const [id, amount] of [
    [1, 20],
    [2, 35.5],
    [3, 9999],
    [4, 12]
  ] as const) {
    yield* star.publish(
      Orders.at({ region: "eu" }),
      { id, amount },
      { id: `order-${id}`, key: `customer-${id}` }
    )
  }
  // The same order again: it is not stored twice.
  const again = yield* star.publish(Orders.at({ region: "eu" }), { id: 1, amount: 20 }, { id: "order-1" })
  yield* Console.log(`order 1 again: ${again.duplicate ? "known" : "new"}`)

  yield* Effect.forkScoped(worker)
  yield* Effect.forkScoped(worker)
  yield* Effect.repeat(star.groups.list, {
    until: (groups) => groups.some(({ lag, name }) => name === "billing" && lag === 0)
  })
  for (const { topic } of yield* star.deadLetters.list({ group: "billing" })) {
    for (const { headers } of yield* star.deadLetters.show(topic)) {
      yield* Console.log(`not charged: ${headers["polestar-id"]}, ${headers["polestar-error"]}`)
    }
  }
}).pipe(Effect.scoped)

const port = Number(process.argv[2])
const hub = port > 0 ? Polestar.layerTcp({ host: "127.0.0.1", port }) : Polestar.layerEmbedded()

await Effect.runPromise(program.pipe(Effect.provide(hub)))
