/**
 * Publishes what requests bring, by one client of the hub's that all of them share. A publish waits for its receipt, a
 * limited time; what is refused left no trace, and what had no receipt in time may still take effect.
 */
import { Effect, Exit, Fiber, Scope, Semaphore } from "effect"
import type { Hub } from "../../actors/Hub.ts"
import type {
  LocalClient,
  LocalConnection,
  LocalOutlet,
  LocalPublish,
  LocalReceipt
} from "../../actors/LocalConnection.ts"
import type { ErrorCode } from "../../protocol/ErrorCode.ts"
import type { Message } from "../../protocol/Message.ts"
import { anonymous } from "../../services/auth/Identity.ts"
import type { Settings } from "../../services/Settings.ts"
import { openSession, session } from "./HubClient.ts"
import { type Refusal, refusal, refusalOfClose, refusalOfError } from "./Refusal.ts"

export class HttpPublisher {
  private readonly hub: Hub["Service"]
  private readonly settings: Settings["Service"]
  private readonly scope: Scope.Scope
  private readonly fork: (work: Effect.Effect<void>) => void
  private readonly opening = Semaphore.makeUnsafe(1)
  private open: LocalConnection | undefined

  /** Its connection is closed with the scope; `fork` starts a fiber that ends with it. */
  constructor(
    hub: Hub["Service"],
    settings: Settings["Service"],
    scope: Scope.Scope,
    fork: (work: Effect.Effect<void>) => void
  ) {
    this.fork = fork
    this.hub = hub
    this.settings = settings
    this.scope = scope
  }

  /** The receipt stands for all the messages, which are of one topic and stay together. */
  publish(
    topic: string,
    messages: ReadonlyArray<Message>,
    options: LocalPublish
  ): Effect.Effect<LocalReceipt, Refusal> {
    return Effect.flatMap(this.connection, (connection) => {
      if (!connection.hasRoom(topic, messages.length, bytesOf(messages)))
        return Effect.fail(refusalOfError("queue-full"))
      const publishing = Effect.mapError(connection.publish(session, topic, messages, options), toRefusal)
      // Most topics answer at once, and then nothing has to be timed.
      return Effect.flatMap(
        Effect.forkChild(publishing, { startImmediately: true }),
        (fiber) =>
          fiber.pollUnsafe() ??
          Effect.timeoutOrElse(Fiber.join(fiber), {
            duration: this.settings.httpPublishTimeout,
            orElse: () => Effect.fail(unconfirmed)
          })
      )
    })
  }

  /** Asks the hub as a client does. */
  request(method: string, body: Uint8Array): Effect.Effect<Uint8Array, Refusal> {
    return Effect.flatMap(this.connection, (connection) =>
      Effect.mapError(connection.request(method, body), toRefusal)
    )
  }

  /** Opened when it is first needed, and again after it was ended. */
  private readonly connection: Effect.Effect<LocalConnection, Refusal> = Effect.suspend(() =>
    this.open === undefined
      ? this.opening.withPermits(1)(
          Effect.suspend(() => (this.open === undefined ? this.connect : Effect.succeed(this.open)))
        )
      : Effect.succeed(this.open)
  )

  private readonly connect: Effect.Effect<LocalConnection, Refusal> = Effect.suspend(() =>
    Effect.gen({ self: this }, function* (this: HttpPublisher) {
      const scope = yield* Scope.fork(this.scope)
      const outlet = new PublishOutlet(() => {
        this.open = undefined
        this.fork(Scope.close(scope, Exit.void))
      })
      const connection = yield* this.hub.connectLocal(outlet, everyRequest).pipe(
        Effect.mapError(refusalOfClose),
        Effect.provideService(Scope.Scope, scope),
        Effect.onError(() => Scope.close(scope, Exit.void))
      )
      openSession(connection, "http")
      this.open = connection
      return connection
    })
  )
}

/** Who asks is asked before anything comes here. */
const everyRequest: LocalClient = { transport: "http", peer: "http", identity: anonymous }

const toRefusal = (code: ErrorCode): Refusal => refusalOfError(code)

/** The one refusal after which the messages may still be published. */
export const unconfirmed = refusal(
  "QUEUE_FULL",
  "the topic did not take it in time; it may still do so: publish it again under the same id"
)

const bytesOf = (messages: ReadonlyArray<Message>): number => {
  let bytes = 0
  for (const { payload } of messages) bytes += payload.length
  return bytes
}

/** Nothing is delivered to a publisher. */
class PublishOutlet implements LocalOutlet {
  readonly isWritable = true
  readonly isWaiting = false
  readonly ended: () => void

  constructor(ended: () => void) {
    this.ended = ended
  }

  deliver(): void {}
  control(): void {}
  pumpLater(): void {}
  isTaking(): boolean {
    return true
  }
}
