/** How the tests of settings load them: from sources, from a program, from a file with a given content. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { SettingsError } from "../../src/protocol/SettingsError.ts"
import { Settings, type SettingsInput, type SettingsSources } from "../../src/services/Settings.ts"

export const load = (sources: SettingsSources) =>
  Settings.pipe(Effect.provide(Settings.layer({ env: {}, ...sources })), Effect.provide(NodeFileSystem.layer))

export const loadWith = (input: SettingsInput) => Settings.pipe(Effect.provide(Settings.layerWith(input)))

/** Loads with a settings file of this content. */
export const loadFile = Effect.fnUntraced(function* (
  name: string,
  content: string,
  sources: SettingsSources = {}
) {
  const files = yield* FileSystem.FileSystem
  const file = `${yield* Effect.orDie(files.makeTempDirectoryScoped())}/${name}`
  yield* Effect.orDie(files.writeFileString(file, content))
  return yield* load({ file, ...sources })
}, Effect.provide(NodeFileSystem.layer))

/** The problems of a failure, after checking that each has one line of the message. */
export const problemsOf = <A, R>(effect: Effect.Effect<A, SettingsError, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, SettingsError)
    assert.strictEqual(error.message.split("\n").length, error.problems.length)
    assert.strictEqual(error.reason, error.problems[0].reason)
    return error.problems
  })
