/**
 * Rules by topic, as a setting says them in one line: `metrics.> = memory, audit.> = accepted, > = stored`. The first rule
 * whose pattern matches says it. Pure; nothing throws.
 */
import { checkPattern, matches } from "./Pattern.ts"

export interface TopicRule<Word extends string> {
  readonly pattern: string
  readonly word: Word
}

/** The rules, or `undefined` if the text is not that. */
export const parseTopicRules = <const Words extends ReadonlyArray<string>>(
  text: string,
  words: Words
): ReadonlyArray<TopicRule<Words[number]>> | undefined => {
  const rules: Array<TopicRule<Words[number]>> = []
  for (const part of text.split(",")) {
    const [pattern = "", name = "", ...more] = part.split("=").map((each) => each.trim())
    const word = words.find((each) => each === name.toLowerCase())
    if (word === undefined || more.length > 0 || checkPattern(pattern) !== undefined) return undefined
    rules.push({ pattern, word })
  }
  return rules
}

/** What the first rule that matches says. */
export const ruleFor = <Word extends string>(
  rules: ReadonlyArray<TopicRule<Word>>,
  topic: string
): Word | undefined => rules.find(({ pattern }) => matches(pattern, topic))?.word

/** Patterns separated by commas, or `undefined` if one is none. */
export const parsePatterns = (text: string): ReadonlyArray<string> | undefined => {
  const patterns = text.split(",").map((each) => each.trim())
  return patterns.some((pattern) => checkPattern(pattern) !== undefined) ? undefined : patterns
}
