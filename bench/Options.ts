/** The command line of the benchmark. */
import { parseArgs } from "node:util"
import { type Case, cases, fullScale, quickScale, type Scale } from "./Cases.ts"
import type { System } from "./peers/System.ts"

export interface Options {
  readonly json: boolean
  readonly repeats: number
  readonly cases: readonly Case[]
  readonly systems: readonly System[]
  readonly scale: Scale
}

const REPEATS = 5

/** The members that a comma-separated list names, in the order of `all`; all of them without a list. */
const pick = <A extends { readonly name: string }>(
  what: string,
  all: readonly A[],
  list: string | undefined
): readonly A[] => {
  if (list === undefined) return all
  const wanted = list.split(",").filter((name) => name !== "" && name !== "none")
  const unknown = wanted.find((name) => !all.some((member) => member.name === name))
  if (unknown !== undefined) {
    const names = all.map((member) => member.name).join(", ")
    throw new Error(`no ${what} is called ${unknown}; there are: ${names}`)
  }
  return all.filter((member) => wanted.includes(member.name))
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
    repeats: Math.ceil(positive("repeats", values.repeats ?? String(values.quick ? 1 : REPEATS))),
    cases: pick("case", cases, values.only),
    systems: [subject, ...pick("peer", peers, values.peers)],
    scale:
      values.window === undefined
        ? scale
        : { ...scale, windowBytes: positive("window", values.window) * 1024 * 1024 }
  }
}
