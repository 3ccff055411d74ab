/**
 * How the value of a typed topic becomes a payload, and back.
 *
 * A codec answers failures as values: what its parts throw is caught here and comes back as the failure's cause,
 * so neither a bad value nor a bad payload can break a stream. A format makes a codec of a schema. Schemas are to
 * be synchronous and without services; they are compiled to a parser once a topic, not once a message.
 */
import { Result, Schema } from "effect"
import * as SchemaBinary from "effect/encoding/SchemaBinary"
import { decodeText, encodeText } from "../protocol/Bytes.ts"
import { jsonContentType, octetsContentType, textContentType } from "../protocol/Message.ts"

export interface PayloadEncoder<in A> {
  /** What messages encoded by it are marked as. */
  readonly contentType: string
  /** The failure is whatever was wrong: a `SchemaError`, or what a custom codec threw. */
  readonly encode: (value: A) => Result.Result<Uint8Array, unknown>
}

export interface PayloadDecoder<out A> {
  /** `contentType` is what the message says it is, `application/octet-stream` if it says nothing. */
  readonly decode: (payload: Uint8Array, contentType: string) => Result.Result<A, unknown>
}

export interface PayloadCodec<in out A> extends PayloadEncoder<A>, PayloadDecoder<A> {}

/** A schema that needs no services: what a typed topic is made of. */
export type PayloadSchema<A> = Schema.ConstraintCodec<A, unknown>

/** Makes the codec of a schema. */
export type PayloadFormat = <A>(schema: PayloadSchema<A>) => PayloadCodec<A>

/** Makes a codec of two plain functions, which may throw. */
export const make = <A>(options: {
  readonly contentType: string
  readonly encode: (value: A) => Uint8Array
  readonly decode: (payload: Uint8Array, contentType: string) => A
}): PayloadCodec<A> => ({
  contentType: options.contentType,
  encode: (value) => {
    try {
      return Result.succeed(options.encode(value))
    } catch (cause) {
      return Result.fail(cause)
    }
  },
  decode: (payload, contentType) => {
    try {
      return Result.succeed(options.decode(payload, contentType))
    } catch (cause) {
      return Result.fail(cause)
    }
  }
})

/**
 * Makes a format of a serialiser of JSON-like values (MessagePack, CBOR, JSON that is compressed): the schema turns
 * a value into JSON-like data, and these two, which may throw, turn that into bytes and back.
 */
export const format =
  (options: {
    readonly contentType: string
    readonly encode: (json: unknown) => Uint8Array
    readonly decode: (payload: Uint8Array, contentType: string) => unknown
  }): PayloadFormat =>
  (schema) => {
    const codec = Schema.toCodecJson(schema)
    const encodeValue = Schema.encodeSync(codec)
    const decodeValue = Schema.decodeUnknownSync(codec)
    return make({
      contentType: options.contentType,
      encode: (value) => options.encode(encodeValue(value)),
      decode: (payload, contentType) => decodeValue(options.decode(payload, contentType))
    })
  }

const stringify = (json: unknown): string => {
  const text: string | undefined = JSON.stringify(json)
  if (text === undefined) throw new TypeError(`JSON cannot hold ${typeof json}`)
  return text
}

const slabBytes = 16_384
/** Longer texts get memory of their own. */
const longestInSlab = 1_024

/** Encodes short texts one after the other into a shared slab: a third of the time that memory of their own takes. */
const makeTextEncoder = (): ((text: string) => Uint8Array) => {
  const encoder = new TextEncoder()
  let slab = new Uint8Array(0)
  let at = 0
  return (text) => {
    // A UTF-16 unit is at most three bytes of UTF-8.
    const most = text.length * 3
    if (most > longestInSlab) return encodeText(text)
    if (slab.length - at < most) {
      slab = new Uint8Array(slabBytes)
      at = 0
    }
    const start = at
    at += encoder.encodeInto(text, slab.subarray(start)).written
    return slab.subarray(start, at)
  }
}

const decodeUtf8 = (payload: Uint8Array): string => {
  const text = decodeText(payload)
  if (text === undefined) throw new TypeError("the payload is not UTF-8")
  return text
}

const decodeJson = (payload: Uint8Array): unknown => JSON.parse(decodeUtf8(payload))

/**
 * JSON, the default. What JSON has no form for (dates, big integers, bytes, maps) takes the form that
 * `Schema.toCodecJson` gives it. A payload is read as JSON whatever its content type says.
 */
export const json: PayloadFormat = (schema) => {
  const encode = makeTextEncoder()
  const jsonFormat = format({
    contentType: jsonContentType,
    encode: (value) => encode(stringify(value)),
    decode: decodeJson
  })
  return jsonFormat(schema)
}

/**
 * Effect's compact binary form of a schema. Either side may gain optional fields without the other knowing.
 * A payload that calls itself JSON is read as JSON, so that such a topic can also be published to by hand.
 */
export const binary: PayloadFormat = (schema) => {
  const codec = SchemaBinary.toCodec(schema)
  const encodeValue = Schema.encodeSync(codec)
  const decodeValue = Schema.decodeUnknownSync(codec)
  const decodeAsJson = Schema.decodeUnknownSync(Schema.toCodecJson(schema))
  return make({
    contentType: "application/x-effect-schema",
    encode: encodeValue,
    decode: (payload, contentType) =>
      contentType === jsonContentType ? decodeAsJson(decodeJson(payload)) : decodeValue(payload)
  })
}

/** Text in UTF-8; a payload that is not UTF-8 is a failure. */
export const text: PayloadCodec<string> = make({
  contentType: textContentType,
  encode: encodeText,
  decode: decodeUtf8
})

/**
 * Bytes as they are. A payload that arrives is a view of what the socket read: who keeps it for long copies it,
 * or keeps all of its chunk.
 */
export const bytes: PayloadCodec<Uint8Array> = {
  contentType: octetsContentType,
  encode: Result.succeed,
  decode: Result.succeed
}

const encodeDynamic = (value: unknown): Uint8Array => {
  if (value instanceof Uint8Array) throw new TypeError("bytes are no JSON value: publish them to a raw topic")
  return encodeText(stringify(value))
}

/**
 * Values of no given type: published as JSON; what arrives is read as its content type says, JSON as its value,
 * text as a string, and all else as bytes.
 */
export const dynamic: PayloadCodec<unknown> = make<unknown>({
  contentType: jsonContentType,
  encode: encodeDynamic,
  decode: (payload, contentType) =>
    contentType === jsonContentType || contentType.endsWith("+json")
      ? decodeJson(payload)
      : contentType.startsWith("text/")
        ? decodeUtf8(payload)
        : payload
})
