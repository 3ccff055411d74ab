/**
 * The names of a hub's topics in order, by code points: of those that are open, and of those that only the log knows. A
 * walk through them goes slice by slice, so that however many there are, nobody waits for all of it.
 */
import { isLiteral, matches } from "../protocol/Pattern.ts"
import { compareTopicNames } from "../protocol/TopicName.ts"
import { SortedList } from "./groups/SortedList.ts"

/** Names that are looked at in one slice. */
export const sliceLength = 512

export interface NameSlice {
  /** Those that the pattern matches, in order; maybe none. */
  readonly names: ReadonlyArray<string>
  /** After which name to go on; `undefined` if there are no more. */
  readonly last: string | undefined
}

export class TopicNames {
  private readonly open = new SortedList<string>(compareTopicNames)
  private readonly stored: (after: string) => Iterable<string>

  /** `stored` answers the names after one that the log knows, in order, whether they are open or not. */
  constructor(stored: (after: string) => Iterable<string>) {
    this.stored = stored
  }

  /** One that is not there. */
  add(name: string): void {
    this.open.add(name)
  }

  remove(name: string): void {
    this.open.remove(name)
  }

  /** The next names that the pattern matches. That of a pattern without wildcards is answered whether it is there or not. */
  slice(pattern: string, after: string): NameSlice {
    if (isLiteral(pattern))
      return { names: compareTopicNames(after, pattern) < 0 ? [pattern] : [], last: undefined }
    const prefix = prefixOf(pattern)
    const looked = this.following(prefix, compareTopicNames(after, prefix) < 0 ? prefix : after)
    const last = looked.length < sliceLength ? undefined : looked.at(-1)
    return { names: looked.filter((name) => matches(pattern, name)), last }
  }

  /** As many as one slice has of those that begin with the prefix. */
  private following(prefix: string, after: string): ReadonlyArray<string> {
    const open = this.openAfter(prefix, after)
    const names: Array<string> = []
    let next = 0
    for (const name of this.stored(after)) {
      if (names.length >= sliceLength || !name.startsWith(prefix)) break
      while (next < open.length && compareTopicNames(open[next]!, name) < 0) names.push(open[next++]!)
      if (open[next] === name) next++
      names.push(name)
    }
    while (next < open.length) names.push(open[next++]!)
    return names.slice(0, sliceLength)
  }

  private openAfter(prefix: string, after: string): ReadonlyArray<string> {
    const names: Array<string> = []
    // One that is not after it may come first.
    this.open.collect(
      after,
      (name) =>
        names.length <= sliceLength && (name.startsWith(prefix) || compareTopicNames(name, after) <= 0),
      names
    )
    return names.filter((name) => compareTopicNames(name, after) > 0)
  }
}

/** What all names begin with that the pattern matches: its segments before the first wildcard, and a dot. */
const prefixOf = (pattern: string): string => {
  const wildcard = pattern.search(/[*>]/)
  return pattern.slice(0, wildcard)
}
