import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule, Schema, Stream, Tracer } from "effect"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import { TestClock } from "effect/testing"
import * as Failure from "../../src/sdk/Failure.ts"
import { Polestar } from "../../src/sdk/Polestar.ts"
import type { PolestarError } from "../../src/sdk/PolestarError.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { makeMemoryClient } from "./MemoryClient.ts"

/** A hub of its own for each test. */
const memory = Layer.effect(
  Polestar,
  Effect.suspend(() => Polestar.fromClient(makeMemoryClient()))
)
const Numbers = Topic.make("numbers", Schema.Number)
const fromAll = { from: { last: 1000 } } as const

/** A tracer that keeps the spans it makes; `sampled` decides about those without a parent. */
const recorder = (sampled = true) => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const isSampled = options.parent._tag === "Some" ? options.parent.value.sampled : sampled
      const span = new Tracer.NativeSpan({ ...options, sampled: isSampled })
      spans.push(span)
      return span
    }
  })
  return { spans, tracer }
}

const lastHeaders = Effect.gen(function* () {
  const star = yield* Polestar
  const [delivery] = yield* Stream.runCollect(Stream.take(star.subscribe(Numbers, { from: { last: 1 } }), 1))
  return delivery?.headers ?? {}
})

describe("polestar - tracing", () => {
  it.effect("polestar - a publish is a producer's span, and its message carries it", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const { spans, tracer } = recorder()
      yield* star.publishAll(Numbers, [1, 2, 3]).pipe(Effect.withSpan("parent"), Effect.withTracer(tracer))
      assert.deepStrictEqual(
        spans.map(({ name, kind }) => [name, kind]),
        [
          ["parent", "internal"],
          ["polestar.publish", "producer"]
        ]
      )
      const [, span] = spans
      assert.strictEqual(span?.attributes.get("messaging.destination.name"), "numbers")
      assert.strictEqual(span?.status._tag, "Ended")
      assert.strictEqual((yield* lastHeaders).traceparent, `00-${span?.traceId}-${span?.spanId}-01`)
    }).pipe(Effect.provide(memory))
  )

  it.effect("polestar - a trace that is not sampled is not carried, and nothing is spent on it", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const { spans, tracer } = recorder(false)
      yield* star.publish(Numbers, 1).pipe(Effect.withSpan("parent"), Effect.withTracer(tracer))
      assert.deepStrictEqual(
        spans.map(({ name }) => name),
        ["parent"]
      )
      assert.isUndefined((yield* lastHeaders).traceparent)
    }).pipe(Effect.provide(memory))
  )

  it.effect("polestar - without a tracer no span is made", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      yield* star.publish(Numbers, 1)
      assert.isUndefined((yield* lastHeaders).traceparent)
      const { spans, tracer } = recorder()
      yield* star.publish(Numbers, 1).pipe(Effect.withTracerEnabled(false), Effect.withTracer(tracer))
      assert.deepStrictEqual(spans, [])
    }).pipe(Effect.provide(memory))
  )

  it.effect("polestar - a traceparent that was given stays", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const headers: Record<string, string> = { traceparent: "mine", other: "x" }
      yield* star.publish(Numbers, 1, { headers }).pipe(Effect.withSpan("parent"))
      assert.deepStrictEqual({ ...(yield* lastHeaders) }, headers)
    }).pipe(Effect.provide(memory))
  )

  for (const trace of ["child", "link", "off"] as const) {
    it.effect(`polestar - a handler's span: ${trace}`, () =>
      Effect.gen(function* () {
        const star = yield* Polestar
        const traceparent = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`
        yield* star.publish(Numbers, 1, { headers: { traceparent } })
        const { spans, tracer } = recorder()
        const parents: Array<string | undefined> = []
        yield* star
          .consume(
            Numbers,
            { ...fromAll, trace },
            {
              handle: () =>
                Effect.andThen(
                  Effect.withFiber((fiber) => Effect.sync(() => parents.push(fiber.cache.span?.spanId))),
                  Effect.fail("end")
                ),
              onFailure: () => Effect.fail("end")
            }
          )
          .pipe(Effect.flip, Effect.withTracer(tracer))
        const [span] = spans
        if (trace === "off") {
          assert.deepStrictEqual([spans, parents], [[], [undefined]])
          return
        }
        assert.strictEqual(span?.name, "polestar.consume")
        assert.strictEqual(span?.kind, "consumer")
        assert.deepStrictEqual(parents, [span?.spanId])
        const parent = span?.parent._tag === "Some" ? span.parent.value.spanId : undefined
        const links = span?.links.map((link) => link.span.spanId)
        assert.deepStrictEqual(
          [parent, links],
          trace === "child" ? ["cd".repeat(8), []] : [undefined, ["cd".repeat(8)]]
        )
      }).pipe(Effect.provide(memory))
    )
  }
})

describe("polestar - consume in time", () => {
  it.effect("polestar - an open circuit is tried again when its time has come, and not before", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      yield* star.publishAll(Numbers, [0, 1, 2, 3])
      const seen: Array<number> = []
      const fiber = yield* Effect.forkChild(
        star.consume(
          Numbers,
          {
            ...fromAll,
            circuitBreaker: {
              tripPolicy: CircuitBreaker.consecutive(2),
              openDuration: Schedule.exponential("10 seconds")
            }
          },
          {
            handle: ({ value }) => {
              seen.push(value)
              return value < 3 ? Effect.fail("down") : Effect.void
            },
            onFailure: () => Effect.void
          }
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(seen, [0, 1])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(seen, [0, 1, 2])
      // The probe failed: the circuit is open for twice as long.
      yield* TestClock.adjust("19999 millis")
      assert.deepStrictEqual(seen, [0, 1, 2])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(seen, [0, 1, 2, 3])
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(memory))
  )

  it.effect("polestar - a handler is retried on its schedule", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      yield* star.publish(Numbers, 0)
      let attempts = 0
      const fiber = yield* Effect.forkChild(
        star.consume(
          Numbers,
          { ...fromAll, retry: Schedule.spaced("1 second") },
          {
            handle: () => {
              attempts++
              return Effect.fail("busy")
            },
            onFailure: () => Effect.void
          }
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust(0)
      assert.strictEqual(attempts, 1)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(attempts, 4)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(memory))
  )
})

describe("polestar - types", () => {
  it.effect("polestar - what a handler and its failure may be is inferred", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const City = Topic.make("weather.{city}", Schema.Struct({ celsius: Schema.Number }))
      // Compiled, not run: the parameters, the value and the error have their types without annotations.
      const live = star.consume(
        City,
        { retry: Schedule.recurs(2) },
        {
          handle: ({ params, value }) =>
            value.celsius > 40 ? Effect.fail({ hot: params.city }) : Effect.void,
          onFailure: (error, { params }) => Effect.log(error.hot.toUpperCase(), params.city)
        }
      )
      const group: Effect.Effect<void, PolestarError | 7> = star.consume(
        City,
        { group: "g" },
        {
          handle: ({ attempt, params }) => (attempt > 2 ? Effect.fail({ hot: params.city }) : Effect.void),
          onFailure: (error, { attempt }) => {
            if (attempt > 9) return Effect.fail(7 as const)
            return error.hot === "" ? Failure.park : Effect.succeed(Failure.retryAfter("1 second"))
          }
        }
      )
      const plain: Effect.Effect<void, PolestarError> = star.consume(
        City,
        { group: "g", retry: Schedule.exponential("1 second"), whenExhausted: "park" },
        ({ attempt, value }) => (value.celsius > attempt ? Effect.fail("hot") : Effect.void)
      )
      const typed = star.consume(City, { retry: Schedule.identity<string>() }, ({ value }) =>
        value.celsius > 40 ? Effect.fail("hot") : Effect.void
      )
      const inGroup = star.consume(
        City,
        { group: "g", retry: Schedule.recurs(3).pipe(Schedule.setInputType<string>()) },
        ({ value }) => (value.celsius > 40 ? Effect.fail("hot") : Effect.void)
      )
      // @ts-expect-error a live delivery is no attempt
      const noAttempt = () => star.consume(City, {}, ({ attempt }) => Effect.log(attempt))
      const noFate = () =>
        // @ts-expect-error of a group's failure something must become
        star.consume(City, { group: "g" }, { handle: () => Effect.fail(1), onFailure: () => Effect.void })
      const otherErrors = () =>
        // @ts-expect-error a schedule that takes other errors than the handler's
        star.consume(City, { retry: Schedule.identity<number>() }, () => Effect.fail("hot"))
      // @ts-expect-error the options come before the handler
      const noOptions = () => star.consume(City, () => Effect.void)
      // @ts-expect-error a family is not published to without its parameters
      const bad = () => star.publish(City, { celsius: 1 })
      // @ts-expect-error a value that is not of the schema
      const wrong = () => star.publish(City.at({ city: "x" }), { celsius: "1" })
      for (const run of [live, group, plain, typed, inGroup]) assert.isTrue(Effect.isEffect(run))
      for (const f of [bad, wrong, noAttempt, noFate, otherErrors, noOptions]) assert.isFunction(f)
    }).pipe(Effect.provide(memory))
  )
})
