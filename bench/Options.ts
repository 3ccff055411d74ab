/** The command line of the benchmark. */
import { parseArgs } from "node:util"
import type { Case, Scale } from "./Case.ts"
import { cases, fullScale, quickScale } from "./Cases.ts"
import type { System } from "./peers/System.ts"

export interface Options {
  readonly json: boolean
  /** Of everything, as the command line says; undefined if it does not. */
  readonly repeats: number | undefined
  readonly cases: readonly Case[]
  readonly systems: readonly System[]
  readonly scale: Scale
}

/** Unless told otherwise. */
export const REPEATS = 3

/**
 * The members that a comma-separated list names, in the order of `all`; all of them without a list. What is nobody's
 * name may be the beginning of several, up to a dash: `durable` is every `durable-…`.
 */
const pick = <A extends { readonly name: string }>(
  what: string,
  all: readonly A[],
  list: string | undefined
): readonly A[] => {
  if (list === undefined) return all
  const wanted = list
    .split(",")
    .filter((name) => name !== "" && name !== "none")
    .map((name) => {
      const exact = all.filter((member) => member.name === name)
      const named = exact.length > 0 ? exact : all.filter((member) => member.name.startsWith(`${name}-`))
      if (named.length > 0) return named
      const names = all.map((member) => member.name).join(", ")
      throw new Error(`no ${what} is called ${name}; there are: ${names}`)
    })
  return all.filter((member) => wanted.some((named) => named.includes(member)))
}

const positive = (flag: string, value: string): number => {
  const number = Number(value)
  if (!(number > 0)) throw new Error(`--${flag} takes a number above 0, not ${value}`)
  return number
}

/** Fails with a sentence for the user on what it does not know. `--peers` never leaves out the `subject`. */
export const parseOptions = (args: readonly string[], subject: System, peers: readonly System[]): Options => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      only: { type: "string" },
      peers: { type: "string" },
      repeats: { type: "string" },
      window: { type: "string" }
    }
  })
  const scale = values.quick ? quickScale : fullScale
  return {
    json: values.json,
    repeats:
      values.repeats !== undefined
        ? Math.ceil(positive("repeats", values.repeats))
        : values.quick
          ? 1
          : undefined,
    cases: pick("case", cases, values.only),
    systems: [subject, ...pick("peer", peers, values.peers)],
    scale:
      values.window === undefined
        ? scale
        : { ...scale, windowBytes: positive("window", values.window) * 1024 * 1024 }
  }
}
