/** `polestar replay`: what the hub has of topics, from a start to where it ends now, printed or published again. */
import { type Array as Arr, Clock, Effect, Option, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { Message } from "../protocol/Message.ts"
import { isLiteral } from "../protocol/Pattern.ts"
import { checkTopicName } from "../protocol/TopicName.ts"
import type { ClientSession } from "../sdk/Client.ts"
import type { Delivery } from "../sdk/Delivery.ts"
import { Polestar, type TopicInfo } from "../sdk/Polestar.ts"
import { UsageError } from "./ExitCode.ts"
import { atLeast, pointOf } from "./Flags.ts"
import { jsonFlag, Output, type Printed } from "./Output.ts"
import { type Past, type PastEvent, pastOf } from "./Past.ts"
import { lineOf, noticeOf } from "./Printing.ts"
import { type Point, pointForms } from "./StartAt.ts"
import { connect, targetFlags } from "./Target.ts"

const flags = {
  pattern: Argument.String("pattern").pipe(
    Argument.withDescription("A topic; * stands for one segment, a final > for one or more")
  ),
  from: Flag.String("from").pipe(
    Flag.withMetavar("<where>"),
    Flag.withDescription(`Starts there: "last <number>", ${pointForms}`),
    Flag.optional
  ),
  last: atLeast("last", 0).pipe(
    Flag.withDescription("Starts with the last so many messages of each topic"),
    Flag.optional
  ),
  toTopic: Flag.String("to-topic").pipe(
    Flag.withMetavar("<topic>"),
    Flag.withDescription(
      "Publishes the messages there and does not print them; prefix.> puts prefix. before each one's own topic"
    ),
    Flag.optional
  ),
  rate: atLeast("rate", 1).pipe(Flag.withDescription("At most so many messages a second"), Flag.optional),
  count: atLeast("count", 1).pipe(Flag.withDescription("Ends after so many messages"), Flag.optional),
  ...jsonFlag,
  ...targetFlags
}

type Flags = Command.Command.Config.Infer<typeof flags>
type Begin = Point | { readonly last: number }

export const replay = Command.make("replay", flags, (given) =>
  Effect.gen(function* () {
    const begin = yield* beginOf(given)
    const target = yield* targetOf(given.toTopic)
    yield* run(given, begin, target).pipe(Effect.provide(connect(given, { name: "polestar replay" })))
  }).pipe(Effect.provide(Output.layerOf(given)))
).pipe(
  Command.withDescription(
    "Print what the hub has of each topic, from a start to where the topic ends now, then end. Messages are printed as " +
      "polestar sub prints them, one topic after the other. With --to-topic they are published again, with their " +
      "payload, key, content type and headers. Standard error says how many there were, and what is missing."
  ),
  Command.withShortDescription("Print or publish again what the hub has, then end"),
  Command.withExamples([
    { command: "polestar replay 'orders.>' --from first", description: "All that is kept" },
    { command: "polestar replay orders.eu --from 1h --json", description: "The last hour" },
    {
      command: "polestar replay 'orders.>' --from 2026-01-31 --to-topic 'again.>' --rate 100",
      description: "Publish again, orders.eu as again.orders.eu, 100 a second"
    }
  ])
)

const usage = (message: string): UsageError => new UsageError({ message })

const beginOf = Effect.fnUntraced(function* (given: Flags): Effect.fn.Return<Begin, UsageError> {
  const { from, last, pattern } = given
  if (Option.isSome(from) === Option.isSome(last)) return yield* usage("--last and --from: give one of them")
  if (Option.isSome(last)) return { last: last.value }
  const text = Option.getOrElse(from, () => "").trim()
  const count = /^last (\d+)$/.exec(text)
  if (count !== null) return { last: Number(count[1]) }
  const point = yield* pointOf("from", text, '"last <number>", ')
  if (point === "first" || "time" in point || isLiteral(pattern)) return point
  return yield* usage("--from: an offset is of one topic; give no pattern")
})

/** The name under which a topic's messages are published again. */
type Rename = (topic: string) => string

const targetOf = Effect.fnUntraced(function* (
  given: Option.Option<string>
): Effect.fn.Return<Rename | undefined, UsageError> {
  if (Option.isNone(given)) return undefined
  const to = given.value
  const prefix = to.endsWith(".>") ? to.slice(0, -1) : undefined
  const fault = checkTopicName(prefix?.slice(0, -1) ?? to)
  if (fault !== undefined) return yield* usage(`--to-topic: ${fault.message}`)
  return (topic) => (prefix === undefined ? to : `${prefix}${topic}`)
})

const run = Effect.fnUntraced(function* (given: Flags, begin: Begin, rename: Rename | undefined) {
  const star = yield* Polestar
  const session = yield* star.client.openSession()
  const topics = yield* star.topics(given.pattern)
  const pasts = topics.flatMap((topic) => pastFrom(topic, begin))
  const all = Stream.flatMap(Stream.fromIterable(pasts), (past) => pastOf(session, past))
  let left = Option.getOrElse(given.count, () => Number.POSITIVE_INFINITY)
  const wanted = Stream.takeUntil(all, (event) => event._tag === "Message" && --left === 0)
  const pace = yield* paceOf(Option.getOrUndefined(given.rate))
  const told = new Told()
  yield* Stream.runForEachArray(wanted, (events) =>
    Effect.forEach(runsOf(events, pace.most), (part) => deliver(part, session, rename, pace, told), {
      discard: true
    })
  )
  const output = yield* Output
  // Who publishes again has no other result.
  yield* rename === undefined
    ? output.notice(told.printed("replayed"))
    : output.print(told.printed("republished"))
}, Effect.scoped)

/** From where to where a topic is replayed; nothing if there is nothing to replay. */
const pastFrom = (topic: TopicInfo, begin: Begin): ReadonlyArray<Past> => {
  const { epoch, firstOffset, name, nextOffset } = topic
  const end = { epoch, offset: nextOffset }
  const from = (offset: number): ReadonlyArray<Past> => [{ topic: name, from: { epoch, offset }, end }]
  if (begin !== "first" && "time" in begin) return [{ topic: name, from: begin, end }]
  if (begin !== "first" && "position" in begin) {
    const { epoch: given = epoch, offset } = begin.position
    return given === epoch && offset >= nextOffset
      ? []
      : [{ topic: name, from: { epoch: given, offset }, end }]
  }
  const offset = begin === "first" ? firstOffset : Math.max(firstOffset, nextOffset - begin.last)
  return offset < nextOffset ? from(offset) : []
}

type Part = Arr.NonEmptyReadonlyArray<Delivery<Uint8Array>> | Exclude<PastEvent, Delivery<Uint8Array>>

/** Messages of one topic together, but no more than `most`; gaps between them. */
const runsOf = (events: ReadonlyArray<PastEvent>, most: number): ReadonlyArray<Part> => {
  const parts: Array<Part> = []
  let run: Arr.NonEmptyArray<Delivery<Uint8Array>> | undefined
  for (const event of events) {
    if (event._tag === "Gap") {
      run = undefined
      parts.push(event)
    } else if (run === undefined || run.length >= most || run[0].topic !== event.topic) {
      run = [event]
      parts.push(run)
    } else run.push(event)
  }
  return parts
}

const deliver = Effect.fnUntraced(function* (
  part: Part,
  session: ClientSession,
  rename: Rename | undefined,
  pace: Pace,
  told: Told
) {
  const output = yield* Output
  if ("_tag" in part) {
    told.gap(part)
    const notice = noticeOf(part)
    if (notice !== undefined) yield* output.notice(notice)
    return
  }
  yield* pace.wait(part.length)
  if (rename === undefined) yield* output.write(part.map((message) => lineOf(output, message)).join(""))
  else yield* session.publishAll(rename(part[0].topic), part.map(messageOf))
  told.messages(part)
})

/** What is published again; without the id, by which it might be taken for the one that is there. */
const messageOf = ({ contentType, headers, key, value }: Delivery<Uint8Array>): Message => ({
  payload: value,
  contentType,
  key,
  headers: Object.keys(headers).length === 0 ? undefined : headers
})

interface Pace {
  /** Messages at once. */
  readonly most: number
  readonly wait: (messages: number) => Effect.Effect<void>
}

const mostAtOnce = 1000

/** Twenty times a second, or for each message if they are fewer. */
const paceOf = Effect.fnUntraced(function* (rate: number | undefined): Effect.fn.Return<Pace> {
  if (rate === undefined) return { most: mostAtOnce, wait: () => Effect.void }
  const start = yield* Clock.currentTimeMillis
  let sent = 0
  return {
    most: Math.min(mostAtOnce, Math.max(1, Math.floor(rate / 20))),
    wait: (messages) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const due = start + (sent * 1000) / rate
        sent += messages
        return due > now ? Effect.sleep(due - now) : Effect.void
      })
  }
})

/** What a replay says at its end. */
class Told {
  private count = 0
  private gaps = 0
  private missing = 0
  private readonly topics = new Set<string>()

  messages(all: Arr.NonEmptyReadonlyArray<Delivery<Uint8Array>>): void {
    this.count += all.length
    this.topics.add(all[0].topic)
  }

  gap({ from, to }: Exclude<PastEvent, Delivery<Uint8Array>>): void {
    this.gaps++
    // Across epochs nobody knows.
    if (from.epoch === to.epoch) this.missing += Math.max(0, to.offset - from.offset)
  }

  printed(what: "replayed" | "republished"): Printed {
    const total = `${what} ${counted(this.count, "message")} of ${counted(this.topics.size, "topic")}`
    const lack = `${counted(this.gaps, "gap")}, ${this.missing} missing`
    return {
      text: (paint) =>
        this.gaps === 0 ? paint("dim", `${total}, no gaps`) : `${total}, ${paint("red", lack)}`,
      json: () => ({
        notice: what === "replayed" ? "Replayed" : "Republished",
        messages: this.count,
        topics: this.topics.size,
        gaps: this.gaps,
        missing: this.missing
      })
    }
  }
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`
