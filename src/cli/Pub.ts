/** `polestar pub`: publishes what is given or read from standard input, and prints the receipts. */
import { Array as Arr, Clock, Effect, Option, Predicate, Stdio, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { encodeText } from "../protocol/Bytes.ts"
import type { Receipt } from "../sdk/Client.ts"
import { decodePublisherSettings } from "../sdk/ClientSettings.ts"
import { Polestar } from "../sdk/Polestar.ts"
import type { PublishOptions } from "../sdk/Publishing.ts"
import { publisherOptions } from "../sdk/TcpSettings.ts"
import * as Topic from "../sdk/Topic.ts"
import { configFlag, readClientConfig } from "./ClientConfig.ts"
import { telemetry } from "./ClientLog.ts"
import { UsageError } from "./ExitCode.ts"
import { atLeast, between, duration, durationOf, present } from "./Flags.ts"
import { Output, type Printed } from "./Output.ts"
import { codecOf, guessKind, isKind, LineSplitter, type PayloadKind } from "./Payload.ts"
import { parseMoment } from "./StartAt.ts"
import { connect, targetFlags } from "./Target.ts"

/** As large as the largest message that any hub takes. */
const maxPayload = 1_073_741_824
/** Messages of one payload that are handed to the SDK at once. */
const batchSize = 1000

const flags = {
  topic: Argument.String("topic").pipe(Argument.withDescription("Name of the topic")),
  payload: Argument.String("payload").pipe(
    Argument.withDescription("The message; - or nothing: all of standard input"),
    Argument.optional
  ),
  lines: present("lines", "Each line of standard input is a message, published as it comes"),
  header: Flag.String("header").pipe(
    Flag.withAlias("H"),
    Flag.withMetavar("<name=value>"),
    Flag.withDescription("A header of the message; may be given again"),
    Flag.atLeast(0)
  ),
  id: Flag.String("id").pipe(
    Flag.withDescription("Names the message; another of that name soon after is not stored"),
    Flag.optional
  ),
  key: Flag.String("key").pipe(Flag.withDescription("Messages of one key belong together"), Flag.optional),
  priority: between("priority", 0, 9).pipe(Flag.withDescription("0 to 9, 9 the most urgent"), Flag.optional),
  ttl: duration("ttl", "Not delivered after that, such as 30s; a number is milliseconds"),
  deliverAt: Flag.String("deliver-at").pipe(
    Flag.withMetavar("<time>"),
    Flag.withDescription("The hub holds it until then: an ISO time, or milliseconds since 1970"),
    Flag.optional
  ),
  delay: duration("delay", "The hub holds it for so long, such as 5m (by this machine's clock)"),
  json: present("json", "The payload is JSON"),
  text: present("text", "The payload is text in UTF-8"),
  binary: present("binary", "The payload is bytes"),
  count: atLeast("count", 1).pipe(
    Flag.withDescription("Publishes the message so many times"),
    Flag.withDefault(1)
  ),
  config: configFlag("a publisher"),
  ...targetFlags
}

type Flags = Command.Command.Config.Infer<typeof flags>

export const pub = Command.make("pub", flags, (given) =>
  Effect.gen(function* () {
    const message = yield* messageOf(given)
    const config = yield* readClientConfig(given.config, decodePublisherSettings)
    const base = { name: "polestar pub", ...(config === undefined ? {} : publisherOptions(config)) }
    // What is wrong with the message is said before a hub is looked for.
    const publishing = given.lines ? publishLines(given.topic, message) : yield* publishOne(given, message)
    yield* publishing.pipe(Effect.provide(connect(given, base)), Effect.provide(telemetry))
  }).pipe(Effect.provide(Output.layer))
).pipe(
  Command.withDescription(
    "Publish messages, and print the receipt of each: its topic, epoch:offset (held, if it waits for --deliver-at) and " +
      "what the receipt is worth. " +
      "Unless told otherwise, a payload is called JSON if it parses as JSON, else text if it is UTF-8, else binary."
  ),
  Command.withShortDescription("Publish messages"),
  Command.withExamples([
    { command: `polestar pub weather.london '{"celsius":12}'`, description: "Publish one message" },
    { command: "tail -f app.log | polestar pub logs.app --lines", description: "Publish lines as they come" }
  ])
)

/** What all messages of one run have in common. */
interface MessageOptions {
  /** What a payload is called; absent, it is guessed. */
  readonly kind: PayloadKind | undefined
  /** Of what is published now: a delay begins then. */
  readonly options: Effect.Effect<PublishOptions>
}

/** Everything that can be wrong with the flags together. */
const messageOf = Effect.fnUntraced(function* (given: Flags): Effect.fn.Return<MessageOptions, UsageError> {
  const kinds = (["json", "text", "binary"] as const).filter((kind) => given[kind])
  const usage = (message: string) => new UsageError({ message })
  if (kinds.length > 1) return yield* usage(`--${kinds.join(", --")}: give one of them`)
  if (given.lines && Option.isSome(given.payload) && given.payload.value !== "-") {
    return yield* usage("--lines: reads standard input; give no payload")
  }
  if (given.lines && given.count > 1) return yield* usage("--lines and --count: give one of them")
  if (Option.isSome(given.id) && (given.lines || given.count > 1)) {
    return yield* usage("--id: names one message; give neither --lines nor --count")
  }
  const ttl = yield* durationOf("ttl", given.ttl)
  const delay = yield* durationOf("delay", given.delay)
  const deliverAt = yield* deliverAtOf(given)
  const headers = yield* headersOf(given.header)
  const options: PublishOptions = {
    headers: Object.keys(headers).length === 0 ? undefined : headers,
    id: Option.getOrUndefined(given.id),
    key: Option.getOrUndefined(given.key),
    priority: Option.getOrUndefined(given.priority),
    ttl,
    deliverAt
  }
  return {
    kind: kinds[0],
    options:
      delay === undefined
        ? Effect.succeed(options)
        : Effect.map(Clock.currentTimeMillis, (now) => ({ ...options, deliverAt: now + delay }))
  }
})

const deliverAtOf = Effect.fnUntraced(function* (
  given: Flags
): Effect.fn.Return<number | undefined, UsageError> {
  const { deliverAt } = given
  if (Option.isNone(deliverAt)) return undefined
  if (Option.isSome(given.delay)) {
    return yield* new UsageError({ message: "--deliver-at and --delay: give one of them" })
  }
  const time = parseMoment(deliverAt.value)
  if (time !== undefined) return time
  return yield* new UsageError({
    message: `--deliver-at: found ${JSON.stringify(deliverAt.value)}; allowed: an ISO time, or milliseconds since 1970`
  })
})

/** Of a name that is given again, the last value counts; a value may hold `=` itself. */
const headersOf = Effect.fnUntraced(function* (given: ReadonlyArray<string>) {
  const pairs: Array<readonly [name: string, value: string]> = []
  for (const text of given) {
    const end = text.indexOf("=")
    if (end < 1) {
      return yield* new UsageError({
        message: `--header: found ${JSON.stringify(text)}; allowed: name=value`
      })
    }
    pairs.push([text.slice(0, end), text.slice(end + 1)])
  }
  return Object.fromEntries(pairs)
})

/** Reads the payload, and answers what publishes it. */
const publishOne = Effect.fnUntraced(function* (given: Flags, message: MessageOptions) {
  const payload = yield* payloadOf(given.payload)
  const target = Topic.named<string, Uint8Array>(given.topic, codecOf(yield* kindOf(message, payload)))
  return Effect.gen(function* () {
    const star = yield* Polestar
    if (given.count === 1) {
      return yield* printReceipts([yield* star.publish(target, payload, yield* message.options)])
    }
    const { id: _, ...options } = yield* message.options
    for (let left = given.count; left > 0; left -= batchSize) {
      const batch = Arr.makeBy(Math.min(left, batchSize), () => payload)
      yield* printReceipts(yield* star.publishAll(target, batch, options))
    }
  })
})

interface Line {
  readonly kind: PayloadKind
  readonly line: Uint8Array
}

/** Lines that come together are published together, in order; those before one that is refused are published. */
const publishLines = Effect.fnUntraced(function* (topic: string, message: MessageOptions) {
  const { stdin } = yield* Stdio.Stdio
  const star = yield* Polestar
  const splitter = new LineSplitter(maxPayload)
  let published = 0
  const publish = Effect.fnUntraced(function* (lines: ReadonlyArray<Uint8Array> | undefined) {
    if (lines === undefined) {
      return yield* new UsageError({ message: `line ${published + 1}: has more than ${maxPayload} bytes` })
    }
    const { kind } = message
    const bad = kind === undefined ? -1 : lines.findIndex((line) => !isKind(kind, line))
    const good = bad < 0 ? lines : lines.slice(0, bad)
    yield* publishRuns(good.map((line) => ({ kind: kind ?? guessKind(line), line })))
    published += good.length
    if (bad < 0) return
    return yield* new UsageError({ message: `line ${published + 1}: --${kind}: the payload is not ${kind}` })
  })
  const publishRuns = Effect.fnUntraced(function* (named: ReadonlyArray<Line>) {
    if (!Arr.isReadonlyArrayNonEmpty(named)) return
    const { id: _, ...options } = yield* message.options
    for (const run of Arr.groupWith(named, (a, b) => a.kind === b.kind)) {
      const target = Topic.named<string, Uint8Array>(topic, codecOf(run[0].kind))
      const payloads = run.map(({ line }) => line)
      yield* printReceipts(yield* star.publishAll(target, payloads, options))
    }
  })
  yield* Stream.runForEach(stdin, (chunk) => publish(splitter.push(chunk)))
  yield* publish(splitter.end())
})

const tooLarge = Effect.fail(
  new UsageError({ message: `standard input: a message has at most ${maxPayload} bytes` })
)

const payloadOf = Effect.fnUntraced(function* (argument: Option.Option<string>) {
  if (Option.isSome(argument) && argument.value !== "-") return encodeText(argument.value)
  const stdio = yield* Stdio.Stdio
  if (Option.isNone(argument) && (yield* stdio.stdinIsTerminal)) {
    return yield* new UsageError({ message: "give a payload, or - to type it" })
  }
  const chunks: Array<Uint8Array> = []
  let bytes = 0
  yield* Stream.runForEach(stdio.stdin, (chunk) => {
    bytes += chunk.length
    chunks.push(chunk)
    return bytes > maxPayload ? tooLarge : Effect.void
  })
  return chunks.length === 1 ? chunks[0]! : new Uint8Array(Buffer.concat(chunks))
})

const kindOf = ({ kind }: MessageOptions, payload: Uint8Array): Effect.Effect<PayloadKind, UsageError> =>
  kind === undefined
    ? Effect.succeed(guessKind(payload))
    : isKind(kind, payload)
      ? Effect.succeed(kind)
      : Effect.fail(new UsageError({ message: `--${kind}: the payload is not ${kind}` }))

const printReceipts = Effect.fnUntraced(function* (receipts: ReadonlyArray<Receipt>) {
  const output = yield* Output
  for (const receipt of receipts) yield* output.print(receiptLine(receipt))
})

/** No message has the epoch 0: one that the hub holds until its time has no place yet. */
const isHeld = ({ position }: Receipt): boolean => position.epoch === 0

const receiptLine = (receipt: Receipt): Printed => ({
  text: (paint) =>
    [
      paint("cyan", receipt.topic),
      isHeld(receipt) ? "held" : `${receipt.position.epoch}:${receipt.position.offset}`,
      receipt.durability,
      receipt.duplicate ? "duplicate" : undefined
    ]
      .filter(Predicate.isNotUndefined)
      .join(" "),
  json: () => {
    const { durability, duplicate, position, topic } = receipt
    const place = isHeld(receipt) ? { held: true } : { epoch: position.epoch, offset: position.offset }
    return { topic, ...place, durability, duplicate }
  }
})
