/** The settings of what speaks HTTP and WebSocket: rows of the table in `SettingsTable.ts`. */
import { Schema } from "effect"
import { isOriginPattern } from "../protocol/Origins.ts"
import { Overflows } from "../protocol/Position.ts"
import {
  bytes,
  choice,
  flag,
  integer,
  milliseconds,
  optionalList,
  optionalPort
} from "../protocol/SettingKinds.ts"

const SECOND = 1000
const HOUR = 3_600_000
const MIB = 1_048_576
const GIB = 1024 * MIB

/** Of a hub that is run, and not embedded. */
export const defaultHttpPort = 8080

export const webSettings = {
  httpPort: optionalPort({
    description:
      "Port of HTTP and WebSocket. 0 takes any free port, `off` none. Unless given: 8080 for `polestar hub`, and no listener for an embedded hub."
  }),
  wsPort: optionalPort({ description: "A further port, for WebSocket alone." }),
  httpReadTimeout: milliseconds({
    default: 30 * SECOND,
    minimum: 1,
    maximum: HOUR,
    description:
      "How long the head of a request may take, and how long its body may go without 64 KiB, its end or, line by line, a message."
  }),
  httpIdleTimeout: milliseconds({
    default: 60 * SECOND,
    minimum: 1,
    maximum: HOUR,
    description: "How long a connection of HTTP may stand idle between requests."
  }),
  httpPublishTimeout: milliseconds({
    default: 30 * SECOND,
    minimum: 1,
    maximum: HOUR,
    description:
      "How long a publish by HTTP may wait for its receipt before it is answered by 503; it may still take effect."
  }),
  maxRequestBody: bytes({
    default: 16 * MIB,
    minimum: 1024,
    maximum: GIB,
    description:
      "The largest body of a request of many messages. Line by line it holds for what is not published yet."
  }),
  maxPollTimeout: milliseconds({
    default: 60 * SECOND,
    minimum: 0,
    maximum: HOUR,
    description: "How long a poll may wait at most, whatever it asks for."
  }),
  maxPollMessages: integer({
    default: 1000,
    minimum: 1,
    maximum: 100_000,
    unit: "messages",
    description: "Messages that answer one poll or one replay at most, whatever it asks for."
  }),
  maxPollsPerClient: integer({
    default: 16,
    minimum: 1,
    maximum: 10_000,
    unit: "polls",
    description: "Polls that may wait at once under one client_id."
  }),
  allowedOrigins: optionalList(Schema.String.check(Schema.makeFilter(isOriginPattern)), {
    allowed: 'origins such as "https://app.example", "https://*.example" or "*"',
    description:
      "Pages that may use the hub from a browser, besides those of its own address. Clients that are no browsers are not asked for one."
  }),
  clientOverflow: choice(Overflows, {
    default: "drop-oldest",
    description:
      "What happens when the queue of a subscription of WebSocket in JSON or of a stream of events is full, unless its client says: its publishers `wait`, the oldest or the newest message is dropped, or the client is closed."
  }),
  rateLimitPerClient: integer({
    default: 0,
    minimum: 0,
    maximum: 1_000_000_000,
    unit: "messages a minute",
    description: "Messages that one identity, or one address, may publish in a minute. 0 is without a limit."
  }),
  wsDeflate: flag({
    default: false,
    description:
      "Whether WebSocket messages are compressed (permessage-deflate): less to send, more to compute."
  })
}
