/** The file of `--config` of a publisher or a consumer, in the keys of the reference's configuration files. */
import { Effect, Option, type Result } from "effect"
import { Flag } from "effect/cli"
import { type SettingsError, settingsError } from "../protocol/SettingsError.ts"
import type { ClientSettingsOptions } from "../sdk/ClientSettings.ts"
import { readSettingsFile } from "../services/SettingsFile.ts"
import { Output } from "./Output.ts"

export const configFlag = (what: string) =>
  Flag.String("config").pipe(
    Flag.withMetavar("<file>"),
    Flag.withDescription(`Settings of ${what}, JSON or YAML`),
    Flag.optional
  )

/**
 * Reads, expands and decodes the file if there is one; tells its warnings, and fails with all its problems. Each of
 * them names the file.
 */
export const readClientConfig = Effect.fnUntraced(function* <
  A extends { readonly warnings: ReadonlyArray<string> }
>(
  path: Option.Option<string>,
  decode: (input: unknown, options: ClientSettingsOptions) => Result.Result<A, SettingsError>
) {
  if (Option.isNone(path)) return undefined
  const { cause, given, problems } = yield* readSettingsFile(path.value)
  if (problems.length > 0) return yield* settingsError(problems, cause)
  const input = Object.fromEntries(given.map(({ key, value }) => [key, value]))
  const settings = yield* Effect.mapError(
    Effect.fromResult(decode(input, { variables: process.env })),
    ({ problems: found }) =>
      settingsError(found.map((problem) => ({ ...problem, message: `${path.value}: ${problem.message}` })))
  )
  const output = yield* Output
  for (const warning of settings.warnings) {
    yield* output.notice({
      text: (paint) => `${paint("yellow", "warning:")} ${path.value}: ${warning}`,
      json: () => ({ notice: "Warning", message: `${path.value}: ${warning}` })
    })
  }
  return settings
})
