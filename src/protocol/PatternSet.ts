/**
 * What someone may publish or subscribe: a set of patterns, asked about one topic or about a whole pattern.
 *
 * It refuses what is no topic and no pattern, whatever it is asked, and never throws. A pattern is allowed if every
 * topic that it matches is matched by some pattern of the set, and not only where one pattern covers it alone: `a.*`
 * and `a.*.>` together allow `a.>`. A wildcard in the first segment never reaches a topic of the hub's own, so
 * `$channel.*` is allowed where a pattern begins with `$channel`, and not by `>`.
 */

import { segmentsOf } from "./internal/SegmentTrie.ts"
import { checkPattern, covers, isLiteral, matches, type PatternReason } from "./Pattern.ts"
import { checkTopicName, isReserved } from "./TopicName.ts"

/** Asking about a topic walks the patterns that have a wildcard, so there are no more than this many. */
export const maxPatterns = 1000

/** Texts that are no set of patterns. The message never quotes them, since they came from outside. */
export interface PatternSetError {
  readonly _tag: "PatternSetError"
  readonly reason: PatternReason | "too-many"
  /** Which of the texts is at fault, from 0. */
  readonly index: number
  readonly message: string
}

export class PatternSet {
  /** Allows nothing. */
  static readonly none: PatternSet = new PatternSet([], false)

  /** Allows every topic and every pattern, the hub's own too: what clients may do at all is for others to say. */
  static readonly everything: PatternSet = new PatternSet([">"], true)

  /** The set of these patterns, or what is wrong with the first of them that is none. */
  static make(patterns: ReadonlyArray<string>): PatternSet | PatternSetError {
    if (patterns.length > maxPatterns) {
      const message = `there are more than ${maxPatterns} patterns`
      return { _tag: "PatternSetError", reason: "too-many", index: maxPatterns, message }
    }
    for (const [index, pattern] of patterns.entries()) {
      const error = checkPattern(pattern)
      if (error !== undefined) return { ...error, _tag: "PatternSetError", index }
    }
    return new PatternSet([...new Set(patterns)], false)
  }

  /** As they were given, each once. Of `everything` it is `>`, which says less than is meant. */
  readonly patterns: ReadonlyArray<string>

  /** Whether it is `PatternSet.everything`, so that a busy caller need not ask about each topic. */
  readonly isEverything: boolean

  readonly #literals: ReadonlySet<string>
  readonly #wild: ReadonlyArray<string>

  private constructor(patterns: ReadonlyArray<string>, isEverything: boolean) {
    this.patterns = patterns
    this.isEverything = isEverything
    this.#literals = new Set(patterns.filter(isLiteral))
    this.#wild = patterns.filter((pattern) => !isLiteral(pattern))
  }

  /** Whether the topic is matched by a pattern of the set; `false` for what is no topic. Ask once a topic. */
  allowsTopic(topic: string): boolean {
    if (checkTopicName(topic) !== undefined) return false
    if (this.isEverything || this.#literals.has(topic)) return true
    return this.#wild.some((pattern) => matches(pattern, topic))
  }

  /**
   * Whether every topic that the pattern matches is matched by a pattern of the set; `false` for what is no pattern.
   * As `covers`, it takes no account of the limit on a name's length: where only that would make it true, it is false.
   */
  allowsPattern(pattern: string): boolean {
    if (checkPattern(pattern) !== undefined) return false
    if (this.isEverything || this.#literals.has(pattern)) return true
    if (this.#wild.some((wide) => covers(wide, pattern))) return true
    // Of topics with one number of segments no union says more than its members: some topic has, at each wildcard, a
    // segment that no pattern names, so whatever matches it has a wildcard there too. A `>` asks for all the numbers.
    return pattern.endsWith(">") && allowsTail(this.#wild, segmentsOf(pattern).slice(0, -1))
  }
}

/** Whether these patterns together match every topic that goes on after `prefix`, whatever its number of segments. */
const allowsTail = (wild: ReadonlyArray<string>, prefix: ReadonlyArray<string>): boolean => {
  const lengths = new Set<number>()
  let from = Number.POSITIVE_INFINITY
  for (const pattern of wild) {
    const reached = reach(segmentsOf(pattern), prefix)
    if (reached === undefined) continue
    if (reached.andMore) from = Math.min(from, reached.segments)
    else lengths.add(reached.segments)
  }
  if (from === Number.POSITIVE_INFINITY) return false
  for (let segments = prefix.length + 1; segments < from; segments++) {
    if (!lengths.has(segments)) return false
  }
  return true
}

interface Reach {
  readonly segments: number
  readonly andMore: boolean
}

/** The number of segments with which a pattern matches all topics that begin with `prefix` and go on, if it does. */
const reach = (pattern: ReadonlyArray<string>, prefix: ReadonlyArray<string>): Reach | undefined => {
  for (const [index, segment] of pattern.entries()) {
    const wanted = prefix[index]
    const isWild = segment === ">" || segment === "*"
    if (isWild && index === 0 && wanted !== undefined && isReserved(wanted)) return undefined
    if (segment === ">") return { segments: Math.max(index, prefix.length) + 1, andMore: true }
    if (!isWild && segment !== wanted) return undefined
  }
  return pattern.length > prefix.length ? { segments: pattern.length, andMore: false } : undefined
}
