/**
 * A weather service: stations publish typed readings, one listener follows a city, another all temperatures.
 *
 *     node examples/weather.ts          with a hub in this process
 *     node examples/weather.ts 24353    with the hub that listens on that port
 */
import { Console, Effect, Fiber, Schema, Stream } from "effect"
import { Polestar, Topic } from "../src/index.ts"

const Temperature = Topic.make("weather.temperature.{city}", Schema.Struct({ celsius: Schema.Number }))
const Everything = Topic.dynamic("weather.*.london")
const Humidity = Topic.make("weather.humidity.{city}", Schema.Struct({ percent: Schema.Number }))

const program = Effect.gen(function* () {
  const star = yield* Polestar

  const temperatures = yield* star.open(Temperature)
  const london = yield* star.open(Everything)
  const listening = yield* Effect.forkChild(
    Effect.all(
      [
        temperatures.messages.pipe(
          Stream.take(3),
          Stream.runForEach(({ params, value }) => Console.log(`${params.city}: ${value.celsius} °C`))
        ),
        london.messages.pipe(
          Stream.take(2),
          Stream.runForEach(({ topic, value }) => Console.log(`${topic}: ${JSON.stringify(value)}`))
        )
      ],
      { concurrency: "unbounded", discard: true }
    )
  )

  const receipt = yield* star.publish(Temperature.at({ city: "london" }), { celsius: 12 })
  yield* Console.log(`published at offset ${receipt.position.offset}, ${receipt.durability}`)
  yield* star.publish(Temperature.at({ city: "paris" }), { celsius: 15.5 })
  yield* star.publish(Humidity.at({ city: "london" }), { percent: 81 })
  yield* star.publish(Temperature.at({ city: "oslo" }), { celsius: -3 })
  yield* Fiber.join(listening)

  // What was published is there for those who come later.
  const last = yield* star
    .subscribe(Temperature, { from: { last: 1 } })
    .pipe(Stream.take(3), Stream.runCollect)
  yield* Console.log(
    `the last of each city: ${Array.from(last, ({ params }) => params.city)
      .sort()
      .join(", ")}`
  )
}).pipe(Effect.scoped)

const port = Number(process.argv[2])
const hub = port > 0 ? Polestar.layerTcp({ host: "127.0.0.1", port }) : Polestar.layerEmbedded()

await Effect.runPromise(program.pipe(Effect.provide(hub)))
