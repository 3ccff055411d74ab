/** What a JSON client has subscribed to, found by number, by name and by topic, however much it is. Pure. */
import type { Dialect } from "../../protocol/json/ClientJson.ts"
import { isLiteral, matches } from "../../protocol/Pattern.ts"
import type { Position } from "../../protocol/Position.ts"

export interface Entry {
  readonly number: number
  readonly dialect: Dialect
  readonly pattern: string
  /** Of a member. */
  readonly group: string | undefined
  /** Where a client that resumes goes on. */
  readonly position: Position | undefined
}

export class SubscriptionEntries {
  private readonly byNumber = new Map<number, Entry>()
  /** Of one dialect and pattern there are several if a client gave several ids. */
  private readonly byPattern = new Map<string, ReadonlyArray<Entry>>()
  /** Members of groups whose pattern has wildcards. */
  private readonly wide = new Set<Entry>()

  get(number: number): Entry | undefined {
    return this.byNumber.get(number)
  }

  has(dialect: Dialect, pattern: string, group: string | undefined): boolean {
    return this.of(dialect, pattern).some((entry) => entry.group === group)
  }

  of(dialect: Dialect, pattern: string): ReadonlyArray<Entry> {
    return this.byPattern.get(nameOf(dialect, pattern)) ?? []
  }

  /** The groups that bring the topic. */
  groupsOf(topic: string): ReadonlyArray<string> {
    const wide = [...this.wide].filter(({ pattern }) => matches(pattern, topic))
    return [...this.of("message", topic), ...wide].flatMap(({ group }) =>
      group === undefined ? [] : [group]
    )
  }

  add(entry: Entry): void {
    const { dialect, group, number, pattern } = entry
    this.byNumber.set(number, entry)
    this.byPattern.set(nameOf(dialect, pattern), [...this.of(dialect, pattern), entry])
    if (group !== undefined && !isLiteral(pattern)) this.wide.add(entry)
  }

  forget(entry: Entry): void {
    const { dialect, number, pattern } = entry
    if (!this.byNumber.delete(number)) return
    const left = this.of(dialect, pattern).filter((each) => each !== entry)
    if (left.length > 0) this.byPattern.set(nameOf(dialect, pattern), left)
    else this.byPattern.delete(nameOf(dialect, pattern))
    this.wide.delete(entry)
  }
}

const nameOf = (dialect: Dialect, pattern: string): string => `${dialect} ${pattern}`
