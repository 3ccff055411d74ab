/**
 * Small codecs that are put together into the frames of `Frame.ts`, so that the layout of a frame is written
 * once and read and written from it. Reading never throws: it sets `failed` on the reader.
 */
import { type ByteReader, type ByteWriter, encodeText } from "./Bytes.ts"

export interface Codec<A> {
  readonly read: (reader: ByteReader) => A
  readonly write: (writer: ByteWriter, value: A) => void
}

export type TypeOf<C> = C extends Codec<infer A> ? A : never

export const u8: Codec<number> = { read: (r) => r.u8(), write: (w, v) => w.u8(v) }
export const u16: Codec<number> = { read: (r) => r.u16(), write: (w, v) => w.u16(v) }
export const u32: Codec<number> = { read: (r) => r.u32(), write: (w, v) => w.u32(v) }
export const u64: Codec<number> = { read: (r) => r.u64(), write: (w, v) => w.u64(v) }
/** 0 or 1, and nothing else. */
export const bool: Codec<boolean> = {
  read: (r) => {
    const value = r.u8()
    if (value > 1) r.failed = true
    return value === 1
  },
  write: (w, v) => w.u8(v ? 1 : 0)
}

/** Cuts text to `limit` bytes at a character, so that what is written can always be read. */
const truncated = (text: string, limit: number): Uint8Array => {
  const bytes = encodeText(text)
  if (bytes.length <= limit) return bytes
  let end = limit
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}

const text = (size: Codec<number>, limit: number): Codec<string> => ({
  read: (r) => r.text(size.read(r)),
  write: (w, v) => {
    const bytes = truncated(v, limit)
    size.write(w, bytes.length)
    w.raw(bytes)
  }
})

/** Text of at most 255 bytes, and of at most 65,535; longer text is cut at a character. */
export const text8: Codec<string> = text(u8, 255)
export const text16: Codec<string> = text(u16, 65_535)

/** Everything up to the end of the frame. */
export const rest: Codec<Uint8Array> = { read: (r) => r.rest(), write: (w, v) => w.raw(v) }

const hex = (byte: number): string => byte.toString(16).padStart(2, "0")

/** A UUID in its usual text form, 16 bytes on the wire. Text of another form is written as zeros. */
export const uuid: Codec<string> = {
  read: (r) => {
    const digits = Array.from(r.view(16), hex).join("")
    return [
      digits.slice(0, 8),
      digits.slice(8, 12),
      digits.slice(12, 16),
      digits.slice(16, 20),
      digits.slice(20)
    ].join("-")
  },
  write: (w, v) => {
    const digits = v.replaceAll("-", "")
    for (let i = 0; i < 32; i += 2) w.u8(Number.parseInt(digits.slice(i, i + 2), 16) || 0)
  }
}

/** One of a list of names, as its index. */
export const oneOf = <const A extends ReadonlyArray<string>>(names: A): Codec<A[number]> => ({
  read: (r) => {
    const name = names[r.u8()]
    if (name === undefined) r.failed = true
    return name ?? names[0]!
  },
  write: (w, v) => w.u8(names.indexOf(v))
})

/** A name by its number in a table; an unknown number becomes what `nameOf` makes of it. */
export const numbered = <A extends string>(
  numbers: Readonly<Record<A, number>>,
  nameOf: (number: number) => A
): Codec<A> => ({ read: (r) => nameOf(r.u16()), write: (w, v) => w.u16(numbers[v]) })

export const optional = <A>(codec: Codec<A>): Codec<A | undefined> => ({
  read: (r) => (bool.read(r) ? codec.read(r) : undefined),
  write: (w, v) => {
    bool.write(w, v !== undefined)
    if (v !== undefined) codec.write(w, v)
  }
})

/** A count and the items. A count that the bytes cannot hold fails before anything is made. */
export const list = <A>(item: Codec<A>): Codec<ReadonlyArray<A>> => ({
  read: (r) => {
    const items: Array<A> = []
    for (let left = r.u32(); left > 0 && !r.failed; left--) items.push(item.read(r))
    return r.failed ? [] : items
  },
  write: (w, v) => {
    w.u32(v.length)
    for (const each of v) item.write(w, each)
  }
})

type Fields = { readonly [name: string]: Codec<never> | Codec<unknown> }
type Struct<F> = { readonly [K in keyof F]: TypeOf<F[K]> }

/** The fields in the order in which they are named. */
export const struct = <const F extends { readonly [name: string]: unknown }>(
  fields: F & { readonly [K in keyof F]: F[K] extends Codec<infer _A> ? F[K] : never }
): Codec<Struct<F>> => {
  const entries = Object.entries(fields as Fields) as ReadonlyArray<[string, Codec<unknown>]>
  return {
    read: (r) => {
      const value: Record<string, unknown> = {}
      for (const [name, codec] of entries) value[name] = codec.read(r)
      return value as Struct<F>
    },
    write: (w, v) => {
      for (const [name, codec] of entries) codec.write(w, (v as Record<string, unknown>)[name])
    }
  }
}

type Cases = { readonly [tag: string]: Codec<unknown> }

/** A value told apart by `_tag`: the case's index, then its fields. */
export const tagged = <const C extends { readonly [tag: string]: unknown }>(
  cases: C & { readonly [K in keyof C]: C[K] extends Codec<infer _A> ? C[K] : never }
): Codec<{ [K in keyof C & string]: { readonly _tag: K } & TypeOf<C[K]> }[keyof C & string]> => {
  const entries = Object.entries(cases as unknown as Cases)
  type Value = { [K in keyof C & string]: { readonly _tag: K } & TypeOf<C[K]> }[keyof C & string]
  return {
    read: (r) => {
      const entry = entries[r.u8()]
      if (entry === undefined) r.failed = true
      const [tag, codec] = entry ?? entries[0]!
      return { _tag: tag, ...(codec.read(r) as object) } as Value
    },
    write: (w, v) => {
      const index = entries.findIndex(([tag]) => tag === v._tag)
      w.u8(index)
      entries[index]![1].write(w, v)
    }
  }
}
