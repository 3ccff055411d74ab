/** What the parts of the contract share. */
import type { Vitest } from "@effect/vitest"
import { Effect, References, type Scope, Stream } from "effect"
import { Polestar } from "../../../src/sdk/Polestar.ts"
import type { PolestarError, PolestarErrorReason } from "../../../src/sdk/PolestarError.ts"

export type Tests = Vitest.MethodsNonLive<Polestar>

/** A prefix for topics that no other test, run or program uses. */
export const ownPrefix = (): `t${string}` => `t${crypto.randomUUID().slice(0, 13)}`

/** Another client on the same connection. */
export const anotherClient: Effect.Effect<Polestar["Service"], PolestarError, Polestar | Scope.Scope> =
  Effect.flatMap(Polestar, (star) => Polestar.fromClient(star.client))

/** Exactly so many elements, as they come. */
export const take = <A, E>(stream: Stream.Stream<A, E>, count: number): Effect.Effect<Array<A>, E> =>
  Stream.runCollect(Stream.take(stream, count))

/** The reason why an effect fails. It fails itself if the effect succeeds. */
export const reasonOf = <A, R>(
  effect: Effect.Effect<A, PolestarError, R>
): Effect.Effect<PolestarErrorReason, A, R> => Effect.map(Effect.flip(effect), ({ reason }) => reason)

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** 0, 1, … */
export const range = (count: number): Array<number> => Array.from({ length: count }, (_, index) => index)

/** For a test whose subject is logged, so that the output of a good run is empty. */
export const silently = Effect.provideService(References.MinimumLogLevel, "None")
