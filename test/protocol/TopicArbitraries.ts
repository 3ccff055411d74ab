/**
 * Topics and patterns over an alphabet so small that they do match, and the plainest matcher there is: what the
 * rooms of src/protocol are compared with.
 */
import { Arbitrary, Schema } from "effect"

const segments = <const S extends ReadonlyArray<string>>(alphabet: S, maxLength: number) =>
  Arbitrary.array(Arbitrary.schema(Schema.Literals(alphabet)), { minLength: 1, maxLength })

export const topicArbitrary = Arbitrary.map(segments(["a", "b", "ab", "$", "$s"], 5), (list) =>
  list.join(".")
)

export const patternArbitrary = Arbitrary.map(
  Arbitrary.all([
    segments(["a", "b", "ab", "$s", "*", "*"], 4),
    Arbitrary.schema(Schema.Literals(["none", "after", "alone"]))
  ]),
  ([list, tail]) => (tail === "alone" ? ">" : tail === "after" ? `${list.join(".")}.>` : list.join("."))
)

/** Every text of up to `maxLength` segments from an alphabet. */
export const allNames = (alphabet: ReadonlyArray<string>, maxLength: number): ReadonlyArray<string> => {
  if (maxLength === 0) return []
  const shorter = allNames(alphabet, maxLength - 1)
  return alphabet.flatMap((segment) => [segment, ...shorter.map((rest) => `${segment}.${rest}`)])
}

export const naiveMatches = (pattern: string, topic: string): boolean =>
  (topic.startsWith("$") && (pattern.startsWith("*") || pattern.startsWith(">"))) === false &&
  matchLists(pattern.split("."), topic.split("."))

const matchLists = (pattern: ReadonlyArray<string>, topic: ReadonlyArray<string>): boolean => {
  const [p, ...restOfPattern] = pattern
  const [t, ...restOfTopic] = topic
  if (p === undefined || t === undefined) return p === t
  if (p === ">") return true
  return (p === "*" || p === t) && matchLists(restOfPattern, restOfTopic)
}
