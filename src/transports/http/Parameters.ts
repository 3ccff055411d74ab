/** What stands in the paths and queries of the API: what each parameter means, and what it may be. */
import { Overflows } from "../../protocol/Position.ts"
import { maxNameBytes } from "../../protocol/TopicName.ts"

export interface Parameter {
  readonly description: string
  readonly example: string | number
  /** What it may be, where not any text will do; for whoever gave something else. */
  readonly allowed?: string
  /** Nothing is answered without it; which it says itself, with a code of its own. */
  readonly isRequired?: boolean
}

const whole = "a whole number, 0 or more"

export const parameters: Readonly<Record<string, Parameter>> = {
  topics: {
    description: "Topics and patterns, separated by commas: `*` is one segment, a final `>` one or more.",
    example: "news,alerts.>",
    isRequired: true
  },
  from: {
    description:
      "Where to start: `now`, `first`, a time (RFC 3339, or milliseconds since 1970), a position (`<epoch>-<offset>`, " +
      "of one topic), or the `next` of an answer.",
    example: "first"
  },
  last: {
    description: "Instead of `from`: the last so many messages of each topic first. Not with a `client_id`.",
    example: 5,
    allowed: whole
  },
  timeout: {
    description: "Seconds to wait if nothing is there: 30 unless given, 0 for not at all.",
    example: 30,
    allowed: "a number of seconds, 0 or more"
  },
  max: { description: "How many messages at most: 100 unless given.", example: 100, allowed: whole },
  client_id: {
    description: "The name under which messages are kept until they are acknowledged, up to 255 characters.",
    example: "client-123"
  },
  overflow: {
    description: "What happens to a reader that is too slow; unless given, what `clientOverflow` says.",
    example: "drop-oldest",
    allowed: `one of ${Overflows.join(", ")}`
  },
  token: {
    description:
      "An API key or a JWT, where the header `Authorization` cannot be set, as by an `EventSource`.",
    example: "ps_…"
  },
  name: { description: "The topic.", example: "news" },
  after: {
    description: "Topics after this name: the `next` of an answer.",
    example: "news",
    allowed: `at most ${maxNameBytes} bytes long`
  },
  limit: { description: "How many at most.", example: 100, allowed: whole },
  topic: { description: "The topic, of a body that is the payload itself.", example: "news" },
  id: { description: "The publisher's own: seen twice, the message is kept once.", example: "msg-456" },
  key: { description: "Messages of one key belong together.", example: "customer-7" },
  ttl: { description: "Seconds to live; 0 is for ever.", example: 3600 },
  priority: { description: "0 to 9, 9 the most urgent.", example: 0 },
  deliver_at: { description: "RFC 3339, or milliseconds since 1970.", example: "2030-01-01T00:00:00Z" }
}

/** What the parameter may be. */
export const allowedText = (name: string): string => {
  const allowed = parameters[name]?.allowed
  return allowed === undefined ? `\`${name}\` cannot be that` : `\`${name}\` must be ${allowed}`
}
