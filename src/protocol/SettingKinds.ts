/**
 * The kinds of setting that the hub and its clients are described with. A setting is one row of a table: the schema
 * that decodes it, its default, its unit and bounds, and a line of description. Every kind also reads its value from
 * text, since environment variables and flags have nothing else. Pure: nothing is read here.
 */
import { Effect, Result, Schema, SchemaGetter, SchemaIssue } from "effect"
import { hostFromString } from "effect/net/Host"
import { parseBoolean, parseBytes, parseInteger, parseMilliseconds } from "./SettingText.ts"
import { parsePatterns, parseTopicRules } from "./TopicRules.ts"

/** One row of a table of settings. */
export interface Setting<S extends Schema.ConstraintDecoder<unknown>> {
  readonly schema: S
  /** What holds if nothing is given. `undefined` where `schema` refuses it: the setting is required. */
  readonly default: S["Type"] | undefined
  /** What counts: `ms`, `bytes`, `messages`, … or nothing. */
  readonly unit: string
  /** What is allowed, for an error: "an integer from 1 to 10". */
  readonly allowed: string
  readonly description: string
  /** Why giving it changes nothing, if so; it is decoded and checked all the same. */
  readonly noEffect: string | undefined
  /** No error quotes what was given for it. */
  readonly isSecret?: boolean
}

export type AnySetting = Setting<Schema.ConstraintDecoder<unknown>>

interface About {
  readonly description: string
  readonly noEffect?: string
}

interface Bounded extends About {
  readonly default?: number
  readonly minimum: number
  readonly maximum: number
}

/** Decodes text that `parse` understands; where it answers `undefined`, the text is refused. */
const fromText = <A>(to: Schema.Codec<A>, parse: (text: string) => A | undefined) =>
  Schema.String.pipe(
    Schema.decodeTo(to, {
      decode: SchemaGetter.transformEffect((text: string) => {
        const value = parse(text.trim())
        return value === undefined
          ? Effect.fail(new SchemaIssue.InvalidValue(undefined))
          : Effect.succeed(value)
      }),
      encode: SchemaGetter.forbiddenEncoding
    })
  )

const number = (options: Bounded, parse: (text: string) => number | undefined) =>
  Schema.Union([Schema.Number, fromText(Schema.Number, parse)]).check(
    Schema.isBetween({ minimum: options.minimum, maximum: options.maximum })
  )

const numeric = <S extends Schema.ConstraintDecoder<number>>(
  schema: S,
  options: Bounded,
  unit: string,
  allowed: string
) => ({
  schema,
  default: options.default,
  unit,
  allowed: `${allowed} from ${options.minimum} to ${options.maximum}`,
  description: options.description,
  noEffect: options.noEffect
})

/** A whole number of `unit`. */
export const integer = (options: Bounded & { readonly unit?: string }) =>
  numeric(
    number(options, parseInteger).check(Schema.isInt()),
    options,
    options.unit ?? "",
    options.unit === undefined ? "an integer" : `a whole number of ${options.unit}`
  )

const Off = Schema.String.check(Schema.isPattern(/^\s*off\s*$/i)).pipe(
  Schema.decodeTo(Schema.Undefined, {
    decode: SchemaGetter.transform(() => undefined),
    encode: SchemaGetter.forbiddenEncoding
  })
)

/** A port, or nothing; text may also be `off`, which is nothing whatever a weaker source says. */
export const optionalPort = (options: About) => {
  const { allowed, schema, ...row } = integer({ ...options, minimum: 0, maximum: 65_535 })
  return {
    ...row,
    schema: Schema.Union([Schema.UndefinedOr(schema), Off]),
    default: undefined,
    allowed: `${allowed}, or off`
  }
}

/** Milliseconds; text may also be a duration such as "250ms", "30s", "10m", "24h", "1.5 hours". */
export const milliseconds = (options: Bounded) => {
  const setting = numeric(
    number(options, parseMilliseconds).check(Schema.isInt()),
    options,
    "ms",
    "whole milliseconds"
  )
  return { ...setting, allowed: `${setting.allowed}, or a duration such as "30s"` }
}

/** Bytes; text may also be a size such as "64 MiB" or "1MB". */
export const bytes = (options: Bounded) => {
  const setting = numeric(
    number(options, parseBytes).check(Schema.isInt()),
    options,
    "bytes",
    "a whole number of bytes"
  )
  return { ...setting, allowed: `${setting.allowed}, or a size such as "64 MiB"` }
}

/** A number that need not be whole. */
export const fraction = (options: Bounded) =>
  numeric(
    number(options, (text) => (/^\d+(\.\d+)?$|^\.\d+$/.test(text) ? Number(text) : undefined)),
    options,
    "",
    "a number"
  )

/** True or false; text may also be yes, no, on, off, 1 or 0. */
export const flag = (options: About & { readonly default: boolean }) => ({
  schema: Schema.Union([Schema.Boolean, fromText(Schema.Boolean, parseBoolean)]),
  default: options.default,
  unit: "",
  allowed: "true or false",
  description: options.description,
  noEffect: options.noEffect
})

/** One of a few words, in any case and with `_` for `-`; decoded as it stands in `values`. */
export const choice = <const Values extends ReadonlyArray<string>>(
  values: Values,
  options: About & { readonly default: Values[number] }
) => ({
  schema: fromText(Schema.Literals(values), (text): Values[number] | undefined =>
    values.find((value) => value.toLowerCase() === text.toLowerCase().replaceAll("_", "-"))
  ),
  default: options.default,
  unit: "",
  allowed: `one of ${values.join(", ")}`,
  description: options.description,
  noEffect: options.noEffect
})

/** The most characters that a text setting may have; a path is at most so long on every system. */
const TEXT_LENGTH = 4096

/** The most texts that a setting of several may have. */
const LIST_LENGTH = 1000

export const TextSchema = Schema.String.check(Schema.isPattern(/\S/), Schema.isMaxLength(TEXT_LENGTH))

/** Text that is not blank. Without a default it is required. */
export const text = (options: About & { readonly default?: string }) => ({
  schema: TextSchema,
  default: options.default,
  unit: "",
  allowed: `text of 1 to ${TEXT_LENGTH} characters`,
  description: options.description,
  noEffect: options.noEffect
})

/** The path of a file, or nothing. */
export const optionalPath = (options: About) => ({
  schema: Schema.UndefinedOr(TextSchema),
  default: undefined,
  unit: "",
  allowed: "the path of a file",
  description: options.description,
  noEffect: options.noEffect
})

const RedactedText = Schema.Union([Schema.Redacted(TextSchema), Schema.RedactedFromValue(TextSchema)])

/** Text that is shown nowhere, or nothing: the value is redacted, and an error about it does not quote it. */
export const optionalSecret = (options: About) => ({
  schema: Schema.UndefinedOr(RedactedText),
  default: undefined,
  unit: "",
  allowed: `text of 1 to ${TEXT_LENGTH} characters`,
  description: options.description,
  noEffect: options.noEffect,
  isSecret: true
})

/** At least one text: a list, or a line in which they are separated by commas. */
const texts = <S extends Schema.Codec<string>>(item: S) => {
  const list = Schema.Array(item).check(Schema.isMinLength(1), Schema.isMaxLength(LIST_LENGTH))
  const parts = fromText(Schema.Array(Schema.String), (text) => text.split(",").map((part) => part.trim()))
  return Schema.Union([list, parts.pipe(Schema.decodeTo(list))])
}

const several = "; several as a list or separated by commas"

/** Several texts, or nothing. */
export const optionalList = <S extends Schema.Codec<string>>(
  item: S,
  options: About & { readonly allowed: string }
) => ({
  schema: Schema.UndefinedOr(texts(item)),
  default: undefined,
  unit: "",
  allowed: `${options.allowed}${several}`,
  description: options.description,
  noEffect: options.noEffect
})

const ObjectList = Schema.Array(Schema.Record(Schema.String, Schema.Unknown))

/** A list of objects, or nothing; text is JSON. What is in them is for whoever uses the setting to check. */
export const optionalObjects = (options: About & { readonly allowed: string }) => ({
  schema: Schema.UndefinedOr(Schema.Union([ObjectList, Schema.fromJsonString(ObjectList)])),
  default: undefined,
  unit: "",
  allowed: options.allowed,
  description: options.description,
  noEffect: options.noEffect,
  // Somebody may have put into it what belongs elsewhere.
  isSecret: true
})

/** Rules by topic in one line; the value stays text, which `parseTopicRules` understands. */
export const topicRules = <const Words extends ReadonlyArray<string>>(
  words: Words,
  options: About & { readonly default: string }
) => ({
  schema: TextSchema.check(Schema.makeFilter((text) => parseTopicRules(text, words) !== undefined)),
  default: options.default,
  unit: "",
  allowed: `rules such as "${options.default}", separated by commas, each a pattern and one of ${words.join(", ")}`,
  description: options.description,
  noEffect: options.noEffect
})

/** Patterns of topics in one line, or nothing; the value stays text, which `parsePatterns` understands. */
export const optionalPatterns = (options: About) => ({
  schema: Schema.UndefinedOr(
    TextSchema.check(Schema.makeFilter((text) => parsePatterns(text) !== undefined))
  ),
  default: undefined,
  unit: "",
  allowed: "patterns of topics, separated by commas",
  description: options.description,
  noEffect: options.noEffect
})

const HostSchema = Schema.String.check(Schema.makeFilter((host) => Result.isSuccess(hostFromString(host))))

/** An IPv4 or IPv6 address, or a host name. It is not looked up. */
export const host = (options: About & { readonly default: string }) => ({
  schema: HostSchema,
  default: options.default,
  unit: "",
  allowed: "an IPv4 or IPv6 address, or a host name",
  description: options.description,
  noEffect: options.noEffect
})
