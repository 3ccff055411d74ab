/** Parts of texts that lie one after the other. Pure. */
import { type Texts, textStart } from "../../protocol/json/Texts.ts"

/** The texts `from` to before `to`, as a view. */
export const sliceTexts = (texts: Texts, from: number, to: number): Texts => {
  const start = textStart(texts, from)
  const ends = texts.ends.slice(from, to)
  return {
    bytes: texts.bytes.subarray(start, ends.at(-1) ?? start),
    ends: ends.map((end) => end - start)
  }
}
