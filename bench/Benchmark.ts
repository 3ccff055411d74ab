/**
 * A run: for every case and every repeat, each system in turn, in a process of its own that is started for the
 * measurement and killed after it, so that no system meets what another, or an earlier case, left behind.
 */
import type { Case, Entry } from "./Case.ts"
import { type Options, parseOptions, REPEATS } from "./Options.ts"
import { Processes } from "./Processes.ts"
import type { System } from "./peers/System.ts"
import { describeCase, describeRun, jsonLines, type Measured } from "./Report.ts"
import type { Sample } from "./Throughput.ts"

const measureOnce = async (processes: Processes, entry: Entry, options: Options): Promise<Sample> => {
  const running = await processes.start(entry.name, entry.launch)
  try {
    return await entry.measure(running, options.scale)
  } finally {
    await running.stop()
  }
}

/** One line that is written over, for someone who watches. */
const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

/** How often a system is measured in a case. */
const repeatsOf = (subject: Case, system: System, { repeats }: Options): number =>
  repeats ?? Math.min(REPEATS, subject.repeats ?? REPEATS, system.repeats ?? REPEATS)

/** A system that fails once is not measured again in that case: its figures would not be whole. */
const runCase = async (
  processes: Processes,
  subject: Case,
  systems: readonly System[],
  options: Options
): Promise<Measured> => {
  const samples = new Map<string, Sample[]>()
  const failures = new Map<string, string>()
  const rows = systems.flatMap((system) =>
    subject.entries(system).map((entry) => ({ entry, repeats: repeatsOf(subject, system, options) }))
  )
  for (let repeat = 1; rows.some(({ repeats }) => repeat <= repeats); repeat++) {
    for (const { entry, repeats } of rows) {
      const { name } = entry
      if (repeat > repeats || failures.has(name)) continue
      progress(`${subject.name} ${repeat}/${repeats} ${name}`)
      try {
        const sample = await measureOnce(processes, entry, options)
        samples.set(name, [...(samples.get(name) ?? []), sample])
      } catch (error) {
        failures.set(name, error instanceof Error ? error.message : String(error))
        samples.delete(name)
      }
    }
  }
  progress("")
  return { case: subject, samples, failures }
}

/** Measures `subject` beside `peers` as the command line says; answers the exit code, 1 when a measurement failed. */
export const runBenchmark = async (
  args: readonly string[],
  subject: System,
  peers: readonly System[]
): Promise<number> => {
  const options = parseOptions(args, subject, peers)
  const leftOut = options.systems.flatMap((system) => {
    const reason = system.missing()
    return reason === undefined ? [] : [[system.name, reason] as const]
  })
  const present = options.systems.filter((system) => !leftOut.some(([name]) => name === system.name))
  const print = (text: string) => (options.json ? process.stderr : process.stdout).write(text)
  print(describeRun(options, present, leftOut))
  const processes = new Processes()
  let failed = false
  for (const one of options.cases) {
    const measured = await runCase(processes, one, present, options)
    print(describeCase(measured, subject.name))
    if (options.json) process.stdout.write(jsonLines(measured, subject.name))
    failed ||= measured.failures.size > 0
  }
  return failed ? 1 : 0
}
