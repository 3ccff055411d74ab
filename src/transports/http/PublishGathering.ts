/**
 * Single messages that requests bring in one turn of the event loop, published together: a batch for each topic, so that
 * the topic, its log and every subscriber are asked once for all of them. Each has its own receipt. A message that comes
 * alone waits for no more than the end of the turn.
 */
import { Effect } from "effect"
import type { LocalReceipt } from "../../actors/LocalConnection.ts"
import type { TopicMessage } from "../../protocol/json/MessageJson.ts"
import { type PlannedBatch, planBatches } from "./BulkPlan.ts"
import { type HttpPublisher, unconfirmed } from "./HttpPublisher.ts"
import type { Refusal } from "./Refusal.ts"

interface Asked {
  readonly message: TopicMessage
  readonly answer: (answer: Effect.Effect<LocalReceipt, Refusal>) => void
}

export class PublishGathering {
  private readonly publisher: Pick<HttpPublisher, "publish">
  private readonly fork: (publishing: Effect.Effect<void>) => void
  private asked: Array<Asked> = []

  /** `fork` starts a fiber for each batch. */
  constructor(publisher: Pick<HttpPublisher, "publish">, fork: (publishing: Effect.Effect<void>) => void) {
    this.publisher = publisher
    this.fork = fork
  }

  /** If it is interrupted the message may have been published. */
  publish(message: TopicMessage): Effect.Effect<LocalReceipt, Refusal> {
    return Effect.callback((resume) => {
      // After everything that the sockets have brought by now.
      if (this.asked.length === 0) setImmediate(this.publishAsked)
      this.asked.push({ message, answer: resume })
    })
  }

  private readonly publishAsked = (): void => {
    const asked = this.asked
    this.asked = []
    for (const batch of planBatches(asked.map(({ message }, place) => [place, message] as const))) {
      const answers = batch.places.flatMap((place) => asked[place]?.answer ?? [])
      this.fork(this.publishBatch(batch, answers))
    }
  }

  private publishBatch(
    { deliverAt, messages, priority, topic, ttl }: Omit<PlannedBatch, "places">,
    answers: ReadonlyArray<Asked["answer"]>
  ): Effect.Effect<void> {
    const options = { deliverAt, priority, ttl }
    return Effect.matchEffect(this.publisher.publish(topic, messages, options), {
      onSuccess: (receipt) =>
        Effect.sync(() => {
          const { epoch, offset } = receipt
          for (const [index, answer] of answers.entries())
            answer(Effect.succeed(epoch === 0 ? receipt : { ...receipt, offset: offset + index }))
        }),
      onFailure: (refused) => {
        const mayPass =
          messages.length > 1 && refused !== unconfirmed && refusedForOne.has(refused.problem.code)
        if (!mayPass) {
          return Effect.sync(() => {
            for (const answer of answers) answer(Effect.fail(refused))
          })
        }
        // What is wrong with one message, or has no room, is not the others' fault; and the batch has left no trace.
        return Effect.forEach(
          answers,
          (answer, index) =>
            this.publishBatch({ ...options, topic, messages: messages.slice(index, index + 1) }, [answer]),
          { discard: true }
        )
      }
    })
  }
}

/** Why a whole batch is refused where some of its messages might pass. */
const refusedForOne: ReadonlySet<string> = new Set(["BAD_REQUEST", "MESSAGE_TOO_LARGE", "QUEUE_FULL"])
