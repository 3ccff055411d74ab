/** The `polestar` command: its subcommands, and how any of them ends. */
import { readFileSync } from "node:fs"
import { Cause, Data, Effect, Logger, Runtime, Schema } from "effect"
import { CliConfig, CliOutput, Command, GlobalFlag } from "effect/cli"
import { bench } from "./Bench.ts"
import { dead } from "./Dead.ts"
import { endingOf, exitCodesHelp } from "./ExitCode.ts"
import { group } from "./Group.ts"
import { presenter } from "./Help.ts"
import { hub } from "./Hub.ts"
import { key } from "./Key.ts"
import { Format, writeTo } from "./Output.ts"
import { pub } from "./Pub.ts"
import { replay } from "./Replay.ts"
import { stats } from "./Stats.ts"
import { sub } from "./Sub.ts"
import { Host, Port } from "./Target.ts"
import { topics } from "./Topics.ts"

const polestar = Command.make("polestar").pipe(
  Command.withDescription(`A message broker: run a hub, publish to it and subscribe. ${exitCodesHelp}`),
  Command.withSubcommands([hub, pub, sub, replay, group, dead, topics, stats, bench, key]),
  Command.withGlobalFlags([Host, Port, Format])
)

const Package = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

/** The package's own, from the sources and from what is built alike. */
const readVersion = Effect.sync(
  () =>
    Schema.decodeUnknownSync(Package)(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))
      .version
)

/** Ends the process with a code; whoever reads has been told why. */
class Ended extends Data.TaggedError("Ended")<{ readonly code: number }> {
  override readonly [Runtime.errorReported] = false
  override readonly [Runtime.errorExitCode] = this.code
}

/** Runs the command of this process's arguments. It says itself what went wrong, and fails with the exit code. */
export const main = Effect.gen(function* () {
  // A reader that has gone is found by the write; without a listener it would end the process.
  process.stdout.on("error", () => {})
  process.stderr.on("error", () => {})
  yield* Command.run(polestar, { version: yield* readVersion })
}).pipe(
  // Standard output is for results.
  Effect.provideService(Logger.LogToStderr, true),
  Effect.provide(CliOutput.layerPresenter(presenter)),
  Effect.provide(
    CliConfig.layer({
      builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel]
    })
  ),
  Effect.catchCause(
    Effect.fnUntraced(function* (cause) {
      const { code, lines } = endingOf(Cause.squash(cause))
      for (const line of lines) yield* Effect.ignore(writeTo(process.stderr, `${line}\n`))
      // A defect is a bug of ours, and its report needs this.
      if (Cause.hasDies(cause)) yield* Effect.ignore(writeTo(process.stderr, `${Cause.pretty(cause)}\n`))
      if (code !== 0) return yield* new Ended({ code })
    })
  )
)
