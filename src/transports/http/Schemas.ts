/** The shapes of what the API takes and answers, for its description of itself. */
import { Schema } from "effect"
import { HttpApiSchema } from "effect/http-api"
import { problemContentType, problemKinds } from "../../protocol/json/Problem.ts"
import { Durabilities, Overflows } from "../../protocol/Position.ts"

const {
  Array: list,
  Boolean,
  Finite,
  Int,
  Literals,
  NullOr,
  optionalKey,
  Record,
  String,
  Struct,
  Unknown
} = Schema

/** RFC 9457. */
const problem = Struct({
  type: String,
  title: String,
  status: Int,
  detail: String,
  code: String.annotate({ description: `One of ${Object.keys(problemKinds).join(", ")}` }),
  instance: optionalKey(String).annotate({ description: "Names this refusal: the hub's log has it too" }),
  retry_after: optionalKey(Int).annotate({ description: "Seconds" }),
  next: optionalKey(String).annotate({ description: "Of a poll: give it as `from`, so that nothing is lost" })
}).annotate({ identifier: "Problem", description: "What is wrong (RFC 9457), and a code for programs" })

/** A problem for each of these statuses. */
export const problems = <const Statuses extends ReadonlyArray<number>>(...statuses: Statuses) =>
  statuses.map((status) =>
    problem.pipe(HttpApiSchema.asJson({ contentType: problemContentType }), HttpApiSchema.status(status))
  )

const Position = Struct({ epoch: Int, offset: Int })

export const Outgoing = Struct({
  topic: String,
  payload: Unknown,
  id: optionalKey(String),
  key: optionalKey(String),
  headers: optionalKey(Record(String, String)),
  content_type: optionalKey(String),
  encoding: optionalKey(Literals(["base64"])),
  ttl: optionalKey(Finite).annotate({ description: "Seconds" }),
  priority: optionalKey(Int).annotate({ description: "0 to 9, 9 the most urgent" }),
  deliver_at: optionalKey(Unknown).annotate({ description: "RFC 3339, or milliseconds since 1970" })
}).annotate({ identifier: "Message" })

export const Receipt = Struct({
  message_id: String,
  id: optionalKey(String),
  topic: String,
  offset: Int,
  epoch: Int,
  durability: Literals(Durabilities),
  duplicate: Boolean
}).annotate({ identifier: "Receipt" })

const Refused = Struct({
  error: Struct({ code: String, message: String, retry_after: optionalKey(Int) })
})

export const Outcome = Schema.Union([Receipt, Refused]).annotate({ identifier: "Outcome" })

export const BulkBody = Struct({ messages: list(Outgoing) })
export const BulkAnswer = Struct({
  accepted: Int,
  rejected: Int,
  instance: optionalKey(String).annotate({
    description: "If any was rejected: the id by which the hub's log has it"
  }),
  results: list(Outcome)
})

const Incoming = Struct({
  message_id: String,
  topic: String,
  timestamp: String,
  attempt: optionalKey(Int),
  epoch: Int,
  offset: Int,
  id: optionalKey(String),
  payload: Unknown,
  content_type: optionalKey(String),
  encoding: optionalKey(Literals(["base64"])),
  key: optionalKey(String),
  headers: optionalKey(Record(String, String))
}).annotate({ identifier: "Delivered" })

export const Messages = Struct({
  messages: list(Incoming),
  next: optionalKey(String).annotate({ description: "Give it as `from` to go on" }),
  gaps: optionalKey(list(Struct({ topic: String, from: Position, to: Position }))).annotate({
    description: "What was between can no longer be had"
  })
})

export const AckBody = Struct({
  message_ids: optionalKey(list(String)),
  message_id: optionalKey(String),
  client_id: optionalKey(String)
})

export const Overflow = Literals(Overflows)

export const TopicList = Struct({
  topics: list(Struct({ name: String, subscribers: Int, messages: Int, dropped: Int })),
  next: optionalKey(String)
})

export const TopicDone = Struct({ message: String, topic: String })

export const Stats = Struct({
  topics: list(
    Struct({
      name: String,
      subscribers: Int,
      messages: Int,
      delivered: Int,
      dropped: Int,
      ring_buffer_size: Int,
      queue_depth: Int,
      last_publish: NullOr(String)
    })
  ),
  next: optionalKey(String),
  total_topics: Int,
  total_subscribers: Int,
  total_messages: Int,
  total_delivered: Int,
  total_dropped: Int,
  connections: Int,
  connections_by_type: Record(String, Int),
  refused: Record(String, Int).annotate({ description: "Requests and publishes, by code" }),
  groups: Int,
  queue_depth: Int,
  client_queue_depth: Int,
  received_per_second: Finite,
  delivered_per_second: Finite,
  uptime_seconds: Int,
  timestamp: String
})

export const Home = Struct({
  name: String,
  docs: String,
  openapi: String,
  health: String,
  websocket: String
})

export const Health = Struct({
  status: String,
  uptime_seconds: Int,
  topics_count: Int,
  total_subscribers: Int,
  timestamp: String
})

export const Ready = Struct({ status: String })
