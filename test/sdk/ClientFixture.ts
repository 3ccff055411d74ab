/** A client of a fake hub, with one session, under the clock of the test. */
import { Effect, Exit, type Fiber, type Scope } from "effect"
import type { Message } from "../../src/protocol/Message.ts"
import type { Client, ClientOptions, ClientSession } from "../../src/sdk/Client.ts"
import { makeClient } from "../../src/sdk/MakeClient.ts"
import { PolestarError, type PolestarErrorReason } from "../../src/sdk/PolestarError.ts"
import { bytesOf, FakeHub, settle } from "./FakeHub.ts"

export interface Fixture {
  readonly hub: FakeHub
  readonly client: Client
  readonly session: ClientSession
}

export const sessionId = "0f0e0d0c-0b0a-4908-8706-050403020100"

export const connect = Effect.fnUntraced(function* (
  options: Partial<ClientOptions> = {},
  hub: FakeHub = new FakeHub()
): Effect.fn.Return<Fixture, PolestarError, Scope.Scope> {
  const client = yield* makeClient({ dial: hub.dial, ...options })
  const session = yield* client.openSession({ id: sessionId })
  return { hub, client, session }
})

export const message = (text: string): Message => ({ payload: bytesOf(text) })

/** Starts an effect and lets everything happen that needs no time. */
export const start = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Fiber.Fiber<A, E>, never, R | Scope.Scope> =>
  Effect.tap(Effect.forkScoped(effect, { startImmediately: true }), settle)

/** The result of a fiber that should be done; `undefined` if it still runs. */
export const resultOf = <A, E>(fiber: Fiber.Fiber<A, E>): Exit.Exit<A, E> | undefined => fiber.pollUnsafe()

/** The value of a fiber that should have succeeded. */
export const valueOf = <A, E>(fiber: Fiber.Fiber<A, E>): A => {
  const exit = fiber.pollUnsafe()
  if (exit === undefined || Exit.isFailure(exit)) throw new Error(`not a success: ${String(exit)}`)
  return exit.value
}

/** Why a fiber failed; `undefined` if it did not, or not yet. */
export const reasonOf = <A, E>(fiber: Fiber.Fiber<A, E>): PolestarErrorReason | undefined => {
  const exit = fiber.pollUnsafe()
  if (exit === undefined || Exit.isSuccess(exit)) return undefined
  for (const reason of exit.cause.reasons) {
    if (reason._tag === "Fail" && reason.error instanceof PolestarError) return reason.error.reason
  }
  return undefined
}
