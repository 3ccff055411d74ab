/** Long lists in answers that fit into a frame. */
import { encodeText } from "../protocol/Bytes.ts"

/**
 * As many items, which come in order of their names, as fit into `maxBytes` of JSON: at least one if there is any; those
 * after the name `after`, if it is given.
 */
export const pageOf = <A>(
  all: Iterable<A>,
  nameOf: (item: A) => string,
  after: string | undefined,
  maxBytes: number
): Uint8Array => {
  const items: Array<string> = []
  let bytes = 0
  for (const each of all) {
    const name = nameOf(each)
    if (after !== undefined && name <= after) continue
    const item = JSON.stringify(each)
    // A character takes up to three bytes.
    bytes += encodeText(item).length + 1
    if (items.length > 0 && bytes > maxBytes) break
    items.push(item)
  }
  return encodeText(`[${items.join(",")}]`)
}
