/** The figures of a run, as a table for people and as lines of JSON. */
import { cpus, totalmem, type } from "node:os"
import type { Case, Metric } from "./Case.ts"
import { describeDisk } from "./durable/Disk.ts"
import { type Options, REPEATS } from "./Options.ts"
import type { System } from "./peers/System.ts"
import { median } from "./Statistics.ts"
import type { Sample } from "./Throughput.ts"

/** What was measured of one case: each system's samples, or why there are none. */
export interface Measured {
  readonly case: Case
  readonly samples: ReadonlyMap<string, readonly Sample[]>
  readonly failures: ReadonlyMap<string, string>
}

const number = (value: number): string =>
  Number.isNaN(value) ? "-" : value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 })

const figures = (measured: Measured, system: string, metric: number): readonly number[] =>
  (measured.samples.get(system) ?? []).map((sample) => sample.values[metric] ?? Number.NaN)

const table = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join("  ")
        .trimEnd()
    )
    .map((line) => `  ${line}\n`)
    .join("")
}

/** How each row of the durable cases keeps its data. */
const durableSettings = (present: readonly System[]): readonly string[] => [
  `data      ${describeDisk()}`,
  ...present
    .flatMap(({ durable }) => durable ?? [])
    .map(({ name, settings }) => `${name.padEnd(14)} ${settings}`)
]

const describeRepeats = ({ cases, repeats }: Options, present: readonly System[]): string => {
  if (repeats !== undefined) return `${repeats} repeats`
  const fewer = [...cases, ...present].filter((one) => one.repeats !== undefined)
  const named = fewer.map(({ name, repeats }) => `${name}: ${repeats}`).join(", ")
  return `${REPEATS} repeats${named === "" ? "" : ` (${named})`}`
}

/** The machine, the versions and the settings of a run. */
export const describeRun = (
  options: Options,
  present: readonly System[],
  leftOut: readonly (readonly [string, string])[]
): string => {
  const cores = cpus()
  const { publishMs, roundTrips, warmUpMs, windowBytes } = options.scale
  return [
    `machine   ${cores.length} cores, ${cores[0]?.model.trim()}, ${number(totalmem() / 2 ** 30)} GB, ${type()} ${process.arch}`,
    `generator node ${process.version}, one process, one thread; raw sockets over 127.0.0.1`,
    ...present.map((system) => `${system.name.padEnd(9)} ${system.version()} (${system.settings})`),
    ...leftOut.map(([name, reason]) => `${name.padEnd(9)} left out: ${reason}`),
    ...(options.cases.some(({ kind }) => kind === "durable") ? durableSettings(present) : []),
    `settings  ${describeRepeats(options, present)}, systems in turn; warm-up ${warmUpMs} ms, publishing ${publishMs} ms, window ${windowBytes / 2 ** 20} MB, ${number(roundTrips)} round trips`,
    ""
  ].join("\n")
}

/** One case's table: medians, the range, how many times the peer's figure is the subject's, and the CPU used. */
export const describeCase = (measured: Measured, subject: string): string => {
  const { about, metrics, name } = measured.case
  const tables = metrics.map((metric, index) => {
    const own = median(figures(measured, subject, index))
    const rows = [...measured.samples].map(([system, samples]) => {
      const all = figures(measured, system, index)
      const middle = median(all)
      return [
        system === metric.peer ? `${system} *` : system,
        number(middle),
        all.length === 0 ? "-" : `${number(Math.min(...all))} – ${number(Math.max(...all))}`,
        system === subject || Number.isNaN(own / middle) ? "" : (own / middle).toFixed(2),
        `${number(100 * median(samples.map((sample) => sample.generatorCpu)))} %`,
        `${number(100 * median(samples.map((sample) => sample.systemCpu)))} %`
      ]
    })
    const head = [
      `${metric.name}, ${metric.unit}`,
      "median",
      "min – max",
      `${subject} ÷ it`,
      "generator",
      "system"
    ]
    return table([head, ...rows])
  })
  const failed = [...measured.failures].map(([system, reason]) => `  ${system} FAILED: ${reason}\n`)
  return `\n${name}: ${about}\n${tables.join("\n")}${failed.join("")}`
}

/** A line for each metric and peer, the peer of the target first; `null` is what was not measured. */
export const jsonLines = (measured: Measured, subject: string): string =>
  measured.case.metrics
    .flatMap((metric, index) => {
      const peers = [...measured.samples.keys()].filter((name) => name !== subject)
      const first = peers.filter((name) => name === metric.peer)
      const others = peers.filter((name) => name !== metric.peer)
      const ordered: readonly (string | null)[] = peers.length === 0 ? [null] : [...first, ...others]
      return ordered.map((peer) => jsonLine(measured, metric, index, subject, peer))
    })
    .join("")

const known = (value: number): number | null => (Number.isFinite(value) ? Number(value.toPrecision(6)) : null)

const jsonLine = (
  measured: Measured,
  metric: Metric,
  index: number,
  subject: string,
  peerName: string | null
): string => {
  const own = median(figures(measured, subject, index))
  const theirs = peerName === null ? Number.NaN : median(figures(measured, peerName, index))
  const line = {
    case: metric.name,
    unit: metric.unit,
    [subject]: known(own),
    peer: known(theirs),
    peerName,
    ratio: known(own / theirs)
  }
  return `${JSON.stringify(line)}\n`
}
