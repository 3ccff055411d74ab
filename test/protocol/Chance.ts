/** Repeatable chance for tests that break bytes by the thousand: the same seed gives the same run. */

export interface Chance {
  /** An integer from 0 to before `limit`. */
  readonly below: (limit: number) => number
  readonly pick: <A>(items: ReadonlyArray<A>) => A
  readonly bytes: (length: number) => Uint8Array
}

export const chance = (seed: number): Chance => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let value = Math.imul(state ^ (state >>> 15), state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return (value ^ (value >>> 14)) >>> 0
  }
  const below = (limit: number): number => next() % limit
  return {
    below,
    pick: (items) => items[below(items.length)]!,
    bytes: (length) => Uint8Array.from({ length }, () => below(256))
  }
}

const telling = [0, 1, 2, 127, 128, 254, 255]

/** The bytes with one thing wrong: a byte, a few, a 32-bit number, cut off, made longer, or a part twice. */
export const mutated = (random: Chance, bytes: Uint8Array): Uint8Array => {
  const copy = bytes.slice()
  const at = random.below(Math.max(1, copy.length))
  switch (random.below(6)) {
    case 0:
      copy[at] = random.pick(telling)
      return copy
    case 1:
      for (let left = 1 + random.below(4); left > 0; left--)
        copy[random.below(Math.max(1, copy.length))] = random.below(256)
      return copy
    case 2:
      copy.fill(random.pick([0, 255]), at, at + 4)
      return copy
    case 3:
      return copy.slice(0, at)
    case 4:
      return concat([copy, random.bytes(1 + random.below(9))])
    default:
      return concat([copy.slice(0, at), copy.slice(random.below(at + 1))])
  }
}

export const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
