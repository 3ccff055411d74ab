/**
 * The hub inside an application: one process serves its own fibers in memory and other programs over TCP, and
 * watches itself.
 *
 *     node examples/embedded.ts
 */
import { Console, Effect, Fiber, Layer, Schema, Stream } from "effect"
import { Hub, HubServer, TcpServer } from "../src/hub.ts"
import { Polestar, Topic } from "../src/index.ts"

const Order = Topic.make("orders.{region}", Schema.Struct({ id: Schema.Int, total: Schema.Number }))

const application = Effect.gen(function* () {
  const hub = yield* Hub
  const { port } = yield* TcpServer
  const inProcess = yield* Polestar

  const orders = yield* inProcess.open(Order)
  const handling = yield* orders.messages.pipe(
    Stream.take(3),
    Stream.runForEach(({ params, value }) =>
      Console.log(`order ${value.id} from ${params.region}: ${value.total}`)
    ),
    Effect.forkChild
  )

  // Another program would do this from elsewhere; only the Layer differs.
  const elsewhere = Effect.gen(function* () {
    const star = yield* Polestar
    yield* star.publishAll(Order.at({ region: "north" }), [
      { id: 1, total: 12.5 },
      { id: 2, total: 99 }
    ])
    yield* star.publish(Order.at({ region: "south" }), { id: 3, total: 7.25 })
  })
  yield* elsewhere.pipe(Effect.provide(Polestar.layerTcp({ host: "127.0.0.1", port })))
  yield* Fiber.join(handling)

  const metrics = yield* hub.metrics
  yield* Console.log(`${metrics.messagesReceived} received, ${metrics.messagesDelivered} delivered`)
  if (metrics.queueCapacity > 0.8) yield* Console.log("a topic's queue is nearly full")
}).pipe(Effect.scoped)

await Effect.runPromise(
  application.pipe(
    Effect.provide(Polestar.layerHub.pipe(Layer.provideMerge(HubServer.layerWith({ port: 0 }))))
  )
)
