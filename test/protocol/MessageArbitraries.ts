/** Messages with every combination of fields, and the frames and runs of frames that are made of them. */
import { Arbitrary, Schema } from "effect"
import { ByteWriter } from "../../src/protocol/Bytes.ts"
import {
  jsonContentType,
  type Message,
  octetsContentType,
  textContentType
} from "../../src/protocol/Message.ts"
import { encodePublish } from "../../src/protocol/Publish.ts"
import { text } from "./FrameArbitraries.ts"

const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const maybe = <A>(of: Arbitrary.Arbitrary<A>): Arbitrary.Arbitrary<A | undefined> =>
  Arbitrary.flatMap(
    between(0, 1),
    (choice): Arbitrary.Arbitrary<A | undefined> => (choice === 0 ? Arbitrary.Constant(undefined) : of)
  )

const payload = Arbitrary.map(Arbitrary.array(between(0, 255), { maxLength: 60 }), (list) =>
  Uint8Array.from(list)
)
const headers = Arbitrary.map(Arbitrary.array(Arbitrary.all([text, text]), { maxLength: 4 }), (entries) =>
  Object.fromEntries(entries)
)
const contentType = Arbitrary.schema(
  Schema.Literals([jsonContentType, textContentType, octetsContentType, "", "image/png"])
)

export const messageArbitrary: Arbitrary.Arbitrary<Message> = Arbitrary.all({
  payload,
  id: maybe(text),
  key: maybe(text),
  contentType: maybe(contentType),
  headers: maybe(headers)
})

/** A run of PUBLISH frames, as lists of messages: at least one frame, at least one message in each. */
export const runArbitrary = Arbitrary.array(
  Arbitrary.array(messageArbitrary, { minLength: 1, maxLength: 4 }),
  {
    minLength: 1,
    maxLength: 5
  }
)

/** The message as it is read: what is absent is undefined, and the plain content type is absent. */
export const asRead = (message: Message): Message => ({
  payload: message.payload,
  id: message.id,
  key: message.key,
  contentType: message.contentType === octetsContentType ? undefined : message.contentType,
  headers: message.headers
})

/** The message with copies of what may be a view or have no prototype, to be compared. */
export const plain = (message: Message): Message => ({
  payload: message.payload.slice(),
  id: message.id,
  key: message.key,
  contentType: message.contentType,
  headers: message.headers === undefined ? undefined : { ...message.headers }
})

/** The bytes of the frames one after the other, and where each ends. */
export const encodeRun = (topic: string, frames: ReadonlyArray<ReadonlyArray<Message>>, ttl?: number) => {
  const writer = new ByteWriter()
  const ends = frames.map((messages, index) => {
    const error = encodePublish(writer, { session: 1, sequence: index + 1, topic, ttl }, messages)
    if (error !== undefined) throw new Error(error)
    return writer.at
  })
  return { bytes: writer.written(), ends }
}
