/**
 * Typed topics: a name or a pattern with the codec of what is published to it.
 *
 *     const Temperature = Topic.make("weather.temperature.{city}", Schema.Struct({ celsius: Schema.Number }))
 *     Temperature.at({ city: "london" })      // the topic weather.temperature.london
 *     Temperature.pattern                     // weather.temperature.*
 *     Temperature.parse("weather.temperature.london")   // { city: "london" }
 *
 * A parameter is a whole segment, and its names are checked by the compiler. Nothing here throws: a template, a
 * pattern or a parameter's value that cannot be is kept as a `fault`, and fails whatever uses it (`publish`,
 * `subscribe`) with `MessageInvalid`, before anything is sent.
 */
import { checkPattern } from "../protocol/Pattern.ts"
import { checkTopicName, findTextFault, textFaultMessage } from "../protocol/TopicName.ts"
import * as PayloadCodec from "./PayloadCodec.ts"

/** What one publishes to: one topic by its name. */
export interface TopicTarget<in A> {
  readonly name: string
  readonly codec: PayloadCodec.PayloadEncoder<A>
  /** Why nothing can be published to it. */
  readonly nameFault: string | undefined
}

/** What one subscribes to: every topic that matches a pattern. */
export interface TopicSource<out A, out Params = NoParams> {
  readonly pattern: string
  readonly codec: PayloadCodec.PayloadDecoder<A>
  /** Why it cannot be subscribed to. */
  readonly patternFault: string | undefined
  /** The parameters of a topic's name; `undefined` if the name is not one of these topics'. */
  readonly parse: (name: string) => Params | undefined
}

/** One topic without parameters, both published and subscribed to. */
export interface LiteralTopic<A> extends TopicTarget<A>, TopicSource<A> {
  readonly codec: PayloadCodec.PayloadCodec<A>
}

/** A family of topics, which differ in their parameters. */
export interface TopicFamily<A, Params> extends TopicSource<A, Params> {
  readonly codec: PayloadCodec.PayloadCodec<A>
  /**
   * One topic of the family. A value must be a segment of a name: not empty, without dots, white space, control
   * characters or wildcards, and in the first segment not beginning with `$`. If it is not, the target's
   * `nameFault` says which parameter is wrong, and publishing to it fails with `MessageInvalid`.
   */
  readonly at: (params: Params) => TopicTarget<A>
}

export type NoParams = { readonly [Name in never]: string }

type NameOf<Segment extends string> = Segment extends `{${infer Name}}` ? Name : never

/** The names of a template's parameters: `"city"` for `"weather.{city}"`. */
export type ParamNames<Template extends string> = Template extends `${infer Segment}.${infer Rest}`
  ? NameOf<Segment> | ParamNames<Rest>
  : NameOf<Template>

/** A template's parameters; of a template that the compiler does not know, any. */
export type ParamsOf<Template extends string> = string extends Template
  ? Readonly<Record<string, string>>
  : { readonly [Name in ParamNames<Template>]: string }

/** What `make` answers: a `LiteralTopic` for a template without parameters, else a `TopicFamily`. */
export type Topic<A, Template extends string> = string extends Template
  ? LiteralTopic<A> & TopicFamily<A, ParamsOf<Template>>
  : [ParamNames<Template>] extends [never]
    ? LiteralTopic<A>
    : TopicFamily<A, ParamsOf<Template>>

/** What `raw` and `dynamic` answer: something that can be published to unless it has a wildcard. */
export type Named<A, Pattern extends string> = Pattern extends `${string}${"*" | ">"}${string}`
  ? TopicSource<A>
  : LiteralTopic<A>

export interface TopicOptions {
  /** How values become payloads; JSON if not given. */
  readonly codec?: PayloadCodec.PayloadFormat | undefined
}

/**
 * A typed topic, or a family of them. Segments of the template are text or a parameter, `{name}`, of letters,
 * digits and underscores; each name is used once. A template is not a pattern: see `pattern` for those.
 */
export const make = <const Template extends string, A>(
  template: Template,
  schema: PayloadCodec.PayloadSchema<A>,
  options?: TopicOptions
): Topic<A, Template> => {
  const codec = (options?.codec ?? PayloadCodec.json)(schema)
  const parsed = parseTemplate(template)
  const family: TopicFamily<A, Readonly<Record<string, string>>> & Partial<TopicTarget<A>> = {
    pattern: parsed.pattern,
    patternFault: parsed.fault,
    codec,
    parse: (name) => matchTemplate(parsed.segments, name),
    at: (params) => targetAt(parsed, codec, params),
    ...(parsed.isLiteral ? { name: template, nameFault: parsed.fault } : undefined)
  }
  // The compiler read the same parameters out of the template's type as `parseTemplate` did out of its text.
  return family as Topic<A, Template>
}

/** All topics that match a pattern, `weather.>`, with values of one schema and no parameters. */
export const pattern = <const Pattern extends string, A>(
  text: Pattern,
  schema: PayloadCodec.PayloadSchema<A>,
  options?: TopicOptions
): Named<A, Pattern> => named(text, (options?.codec ?? PayloadCodec.json)(schema))

/** Bytes as they are, of one topic or of all that match a pattern. */
export const raw = <const Pattern extends string>(text: Pattern): Named<Uint8Array, Pattern> =>
  named(text, PayloadCodec.bytes)

/** Values of no given type, of one topic or of all that match a pattern; see `PayloadCodec.dynamic`. */
export const dynamic = <const Pattern extends string>(text: Pattern): Named<unknown, Pattern> =>
  named(text, PayloadCodec.dynamic)

/** With a codec of one's own. Publishing to a pattern fails with `MessageInvalid`. */
export const named = <const Pattern extends string, A>(
  text: Pattern,
  codec: PayloadCodec.PayloadCodec<A>
): Named<A, Pattern> => {
  const topic: LiteralTopic<A> = {
    name: text,
    nameFault: checkTopicName(text)?.message,
    pattern: text,
    patternFault: checkPattern(text)?.message,
    codec,
    parse: parseNothing
  }
  // A pattern is answered as less than it is: its type has no name to publish to.
  return topic as Named<A, Pattern>
}

const noParams: NoParams = {}
const parseNothing = (): NoParams => noParams

type Segment = { readonly text: string } | { readonly param: string }

interface Template {
  readonly segments: ReadonlyArray<Segment>
  readonly pattern: string
  readonly isLiteral: boolean
  readonly fault: string | undefined
}

/** The first character is a letter, so that no name is `__proto__`. */
const paramName = /^[A-Za-z][A-Za-z0-9_]*$/

const parseTemplate = (template: string): Template => {
  const names = new Set<string>()
  let fault: string | undefined
  const segments = template.split(".").map((text): Segment => {
    if (!text.includes("{") && !text.includes("}")) return { text }
    const param = text.startsWith("{") && text.endsWith("}") ? text.slice(1, -1) : undefined
    if (param === undefined || !paramName.test(param)) {
      fault ??= "the template has a brace that is not part of a whole segment {name}"
      return { text }
    }
    if (names.has(param)) fault ??= `the template names the parameter ${param} twice`
    names.add(param)
    return { param }
  })
  const text = segments.map((segment) => ("text" in segment ? segment.text : "*")).join(".")
  // A stand-in for each parameter, so that what is left can be checked as a name: no wildcards.
  const example = segments.map((segment) => ("text" in segment ? segment.text : "x")).join(".")
  return {
    segments,
    pattern: text,
    isLiteral: names.size === 0,
    fault: fault ?? checkTopicName(example)?.message
  }
}

const matchTemplate = (
  segments: ReadonlyArray<Segment>,
  name: string
): Readonly<Record<string, string>> | undefined => {
  const found = name.split(".")
  if (found.length !== segments.length) return undefined
  const params: Record<string, string> = {}
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!
    const value = found[i]!
    if ("text" in segment) {
      if (segment.text !== value) return undefined
    } else if (segmentFault(value, i) === undefined) params[segment.param] = value
    else return undefined
  }
  return params
}

const targetAt = <A>(
  template: Template,
  codec: PayloadCodec.PayloadCodec<A>,
  params: Readonly<Record<string, string>>
): TopicTarget<A> => {
  let nameFault = template.fault
  const { segments } = template
  let name = ""
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!
    if (i > 0) name += "."
    if ("text" in segment) name += segment.text
    else {
      const value: unknown = Object.hasOwn(params, segment.param) ? params[segment.param] : undefined
      const fault = segmentFault(value, i)
      if (fault !== undefined) nameFault ??= `the parameter ${segment.param} ${fault}`
      name += typeof value === "string" ? value : ""
    }
  }
  return { name, codec, nameFault: nameFault ?? checkTopicName(name)?.message }
}

/** Why a value cannot be a segment of a name; it ends a sentence that begins with what is at fault. */
const segmentFault = (value: unknown, index: number): string | undefined => {
  if (typeof value !== "string") return "is missing"
  if (value.includes(".")) return "has a dot"
  if (value.includes("*") || value.includes(">")) return "has a wildcard"
  if (index === 0 && value.startsWith("$")) return "begins with `$`, and only the hub's own topics do"
  const fault = findTextFault(value)
  return fault === undefined ? undefined : textFaultMessage[fault]
}
