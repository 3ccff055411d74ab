/** `polestar key`: makes API keys. The hub keeps only what cannot be turned back into one. */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { stringify } from "yaml"
import { PatternSet } from "../protocol/PatternSet.ts"
import { generateKey } from "../services/auth/ApiKey.ts"
import { appendEntry } from "../services/auth/AppendEntry.ts"
import { isName, limitNames, nameLength } from "../services/auth/Identity.ts"
import type { KeyEntry } from "../services/auth/KeyEntries.ts"
import { UsageError } from "./ExitCode.ts"
import { atLeast } from "./Flags.ts"
import { jsonFlag, Output } from "./Output.ts"

const patterns = (name: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("<pattern>"),
    Flag.withDescription(`${description}; may be given again`),
    Flag.atLeast(0)
  )

const limit = (name: string, description: string) =>
  atLeast(name, 1).pipe(Flag.withDescription(description), Flag.optional)

const flags = {
  name: Flag.String("name").pipe(Flag.withDescription("Whose key it is, for people")),
  publish: patterns("publish", "Topics that it may publish"),
  subscribe: patterns("subscribe", "Topics that it may subscribe"),
  group: Flag.String("group").pipe(
    Flag.withDescription("Name of a group that it may join (otherwise any); may be given again"),
    Flag.atLeast(0)
  ),
  messagesPerMinute: limit("messages-per-minute", "Messages that it may publish in a minute"),
  connections: limit("connections", "Connections that it may have at once"),
  messageSize: limit("message-size", "Bytes of the largest message that it may publish"),
  append: Flag.String("append").pipe(
    Flag.withMetavar("<file>"),
    Flag.withDescription("Adds the entry to this file, of settings or of keys, JSON or YAML"),
    Flag.optional
  ),
  ...jsonFlag
}

const create = Command.make("create", flags, (given) =>
  Effect.gen(function* () {
    const output = yield* Output
    const wanted = yield* wantedOf(given)
    const { hash, id, key } = yield* Effect.sync(generateKey)
    const entry: KeyEntry = { id, hash, ...wanted }
    const append = Option.getOrUndefined(given.append)
    // First: a key that the hub will not know is not to be handed out.
    if (append !== undefined) yield* appendEntry(append, entry)
    const shown = append === undefined ? `\n${stringify({ authKeys: [entry] }, { lineWidth: 0 })}` : ""
    yield* output.write(output.isJson ? `${JSON.stringify({ key, entry })}\n` : `${key}\n${shown}`)
    const stored = append === undefined ? "put the entry into the hub's settings" : `added to ${append}`
    yield* output.notice({
      text: () => `the key is not shown again; ${stored}`,
      json: () => ({ notice: "Created", id, append })
    })
  }).pipe(Effect.provide(Output.layerOf(given)))
).pipe(
  Command.withDescription(
    "Make an API key. It prints the key, this once, and the entry for authKeys in the hub's settings or in its " +
      "authKeysFile, which has only a hash of it; with --append the entry goes into the file and only the key is printed. For the claims of a JWT see polestar key --help"
  ),
  Command.withShortDescription("Make an API key"),
  Command.withExamples([
    {
      command: "polestar key create --name sensors --publish 'weather.>' --append keys.yaml",
      description: "A key that may only publish, known to a hub with --auth-keys-file keys.yaml"
    }
  ])
)

interface Given {
  readonly name: string
  readonly publish: ReadonlyArray<string>
  readonly subscribe: ReadonlyArray<string>
  readonly group: ReadonlyArray<string>
  readonly messagesPerMinute: Option.Option<number>
  readonly connections: Option.Option<number>
  readonly messageSize: Option.Option<number>
}

/** What an entry says beside the key, without what was not given. */
const wantedOf = Effect.fnUntraced(function* (given: Given) {
  const { group, name, publish, subscribe } = given
  if (!isName(name)) {
    return yield* new UsageError({ message: `--name: allowed: one line of 1 to ${nameLength} characters` })
  }
  for (const [flag, list] of Object.entries({ publish, subscribe, group })) {
    const set = PatternSet.make(list)
    if (!(set instanceof PatternSet)) {
      const found = JSON.stringify(list[set.index] ?? "")
      return yield* new UsageError({ message: `--${flag}: found ${found}; ${set.message}` })
    }
  }
  if (publish.length === 0 && subscribe.length === 0) {
    return yield* new UsageError({ message: "a key that may do nothing: give --publish or --subscribe" })
  }
  const limits = Object.fromEntries(
    limitNames.flatMap((key) => Option.toArray(Option.map(given[key], (value) => [key, value] as const)))
  )
  return {
    name,
    publish,
    subscribe,
    ...(group.length === 0 ? {} : { consumerGroups: group }),
    ...(Object.keys(limits).length === 0 ? {} : { limits })
  } satisfies Partial<KeyEntry>
})

export const key = Command.make("key").pipe(
  Command.withDescription(
    "API keys: ps_<id>_<secret>, given as a token. The hub keeps a hash of each; removing its entry takes a key back. A " +
      "JWT needs no entry: its claims say what an entry does, sub (its id, required), exp (required unless the hub has " +
      "--no-auth-require-expiry), name, publish, subscribe, consumerGroups (lists of patterns, or one text with spaces " +
      `between them) and limits (${limitNames.join(", ")}). The hub's log says why a token is refused`
  ),
  Command.withShortDescription("Make API keys"),
  Command.withSubcommands([create])
)
