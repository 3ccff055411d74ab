/** The Effect face of a session: everything that a program does with one. */
import { Cause, Deferred, Effect, Exit, type Scope } from "effect"
import { SecureRandom } from "effect/crypto"
import type { Message } from "../../protocol/Message.ts"
import { checkPattern } from "../../protocol/Pattern.ts"
import { checkTopicName } from "../../protocol/TopicName.ts"
import type {
  ClientSession,
  Inbox,
  JoinOptions,
  Membership,
  PublishOptions,
  Receipt,
  SubscribeOptions
} from "../Client.ts"
import { Closed, messageInvalid, PolestarError, Rejected } from "../PolestarError.ts"
import type { Settled } from "./Acknowledgements.ts"
import type { ClientEngine } from "./ClientEngine.ts"
import type { GroupMember } from "./GroupMember.ts"
import { byTopic } from "./OffsetRanges.ts"
import { attributesOf, PublishCall } from "./PublishCall.ts"
import { drain, SessionEngine } from "./SessionEngine.ts"

/** Waits until so many messages may be published. */
export type RateLimit = (messages: number) => Effect.Effect<void>

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export const closed = (): PolestarError => new PolestarError({ reason: new Closed() })

/** Opens a session and waits for the hub. When the scope closes, what waits is sent, for `writeTimeout` at most. */
export const openSession = Effect.fnUntraced(function* (
  engine: ClientEngine,
  rateLimit: RateLimit | undefined,
  options: { readonly id?: string | undefined; readonly name?: string | undefined } = {}
): Effect.fn.Return<ClientSession, PolestarError, Scope.Scope> {
  const id = (options.id ?? SecureRandom.uuidV4Unsafe()).toLowerCase()
  if (!uuidForm.test(id)) return yield* messageInvalid("the session's id is not a UUID")
  const opened = yield* Deferred.make<void, PolestarError>()
  const session = yield* Effect.acquireRelease(
    Effect.suspend(() => {
      if (engine.ended !== undefined) return Effect.fail(engine.ended)
      const session = new SessionEngine(id, options.name ?? engine.options.name, engine)
      session.settled = (exit) => Deferred.doneUnsafe(opened, exit)
      engine.sessions.add(session)
      session.attach()
      return Effect.succeed(session)
    }),
    (session) =>
      Effect.andThen(
        drain(session, engine.options.writeTimeout),
        Effect.sync(() => {
          session.close(closed())
          engine.sessions.delete(session)
        })
      )
  )
  yield* Effect.onError(Deferred.await(opened), () => Effect.sync(() => engine.sessions.delete(session)))
  return faceOf(engine, session, rateLimit)
})

const faceOf = (
  engine: ClientEngine,
  session: SessionEngine,
  rateLimit: RateLimit | undefined
): ClientSession => {
  const send = (topic: string, messages: ReadonlyArray<Message>, options: PublishOptions | undefined) =>
    publish(session, topic, messages, options)
  const limited: typeof send =
    rateLimit === undefined
      ? send
      : (topic, messages, options) =>
          Effect.andThen(rateLimit(messages.length), send(topic, messages, options))
  return {
    id: session.id,
    publish: (topic, message, options) => Effect.map(limited(topic, [message], options), first),
    publishAll: (topic, messages, options) =>
      messages.length === 0 ? Effect.succeed([]) : limited(topic, messages, options),
    subscribe: (options) => subscribe(engine, session, options),
    join: (options) => join(engine, session, options)
  }
}

const first = (receipts: ReadonlyArray<Receipt>): Receipt => receipts[0]!

const publish = (
  session: SessionEngine,
  topic: string,
  messages: ReadonlyArray<Message>,
  options: PublishOptions | undefined
): Effect.Effect<ReadonlyArray<Receipt>, PolestarError> =>
  Effect.callback((resume) => {
    const { publisher } = session
    const attributes = attributesOf(options)
    if (attributes instanceof PolestarError) return resume(Effect.fail(attributes))
    const fault = publisher.queue.knows(topic) ? undefined : checkTopicName(topic)
    if (fault !== undefined) return resume(Effect.fail(refused("invalid-topic", fault.message)))
    const call = new PublishCall(topic, messages, attributes, resume)
    publisher.publish(call)
    return Effect.sync(() => publisher.cancel(call))
  })

const subscribe = Effect.fnUntraced(function* (
  engine: ClientEngine,
  session: SessionEngine,
  options: SubscribeOptions
): Effect.fn.Return<Inbox, PolestarError, Scope.Scope> {
  const fault = checkPattern(options.pattern)
  if (fault !== undefined) return yield* refused("invalid-pattern", fault.message)
  const confirmed = yield* Deferred.make<void, PolestarError | Cause.Done>()
  const subscription = yield* Effect.acquireRelease(
    Effect.suspend(() => {
      if (engine.ended !== undefined) return Effect.fail(engine.ended)
      return Effect.succeed(session.subscribe(options, (exit) => Deferred.doneUnsafe(confirmed, exit)))
    }),
    (subscription) => Effect.sync(() => session.unsubscribe(subscription, Exit.fail(Cause.Done())))
  )
  yield* Effect.mapError(Deferred.await(confirmed), (error) => (Cause.isDone(error) ? closed() : error))
  return subscription.inbox
})

const join = Effect.fnUntraced(function* (
  engine: ClientEngine,
  session: SessionEngine,
  options: JoinOptions
): Effect.fn.Return<Membership, PolestarError, Scope.Scope> {
  const fault = checkPattern(options.pattern)
  if (fault !== undefined) return yield* refused("invalid-pattern", fault.message)
  const confirmed = yield* Deferred.make<void, PolestarError | Cause.Done>()
  const member = yield* Effect.acquireRelease(
    Effect.suspend(() => {
      if (engine.ended !== undefined) return Effect.fail(engine.ended)
      return Effect.succeed(session.join(options, (exit) => Deferred.doneUnsafe(confirmed, exit)))
    }),
    (member) => leave(engine, session, member)
  )
  yield* Effect.mapError(Deferred.await(confirmed), (error) => (Cause.isDone(error) ? closed() : error))
  return membershipOf(member)
})

/** Waits until the hub has been told what is done, and that this member has left. */
const leave = (engine: ClientEngine, session: SessionEngine, member: GroupMember): Effect.Effect<void> => {
  const { acknowledgements } = member
  return Effect.callback<void>((resume) => {
    acknowledgements.flush()
    session.unsubscribe(member, Exit.fail(Cause.Done()), () =>
      acknowledgements.whenIdle(() => resume(Effect.void))
    )
  }).pipe(
    Effect.interruptible,
    Effect.timeoutOption(engine.options.writeTimeout),
    Effect.andThen(Effect.sync(() => acknowledgements.end(closed())))
  )
}

const membershipOf = (member: GroupMember): Membership => {
  const { acknowledgements, inbox } = member
  const answered = (tell: (settled: Settled) => void): Effect.Effect<void, PolestarError> =>
    Effect.callback((resume) => {
      if (member.hasEnded) return resume(Effect.fail(closed()))
      tell((error) => resume(error === undefined ? Effect.void : Effect.fail(error)))
    })
  return {
    take: inbox.take,
    ackWait: () => member.ackWait,
    cuts: () => member.cuts,
    queued: () => member.queued,
    acknowledge: (topic, epoch, ranges) =>
      answered((settled) => acknowledgements.acknowledgeAll(topic, epoch, ranges, settled)),
    acknowledgeUnsafe: (topic, { epoch, offset }) => {
      if (!member.hasEnded) acknowledgements.acknowledge(topic, epoch, offset, offset + 1)
    },
    refuse: (topic, epoch, ranges, refusal) =>
      answered((settled) => acknowledgements.refuse(topic, epoch, ranges, refusal, settled)),
    refuseUnsafe: (ranges, refusal) => {
      for (const [{ epoch, topic }, together] of byTopic(ranges)) {
        acknowledgements.refuseUnheard(topic, epoch, together, refusal)
      }
    }
  }
}

const refused = (code: "invalid-topic" | "invalid-pattern", message: string): PolestarError =>
  new PolestarError({ reason: new Rejected({ code, message }) })
