/**
 * What `--help` shows, and what a wrong command line is answered with. `--host` and `--port` are flags of every command,
 * so they are described as what they are for each: where `hub` listens, where the others find it, and nothing of `key`.
 */
import { Effect, Option } from "effect"
import { CliOutput, type HelpDoc } from "effect/cli"
import { settingsTable } from "../services/SettingsTable.ts"
import { Host, Port } from "./Target.ts"

/** A wrong command line is answered in one line, not with all of the help. */
export const presenter: CliOutput.Presenter = {
  present: (event) => {
    switch (event._tag) {
      case "InvalidInvocation":
        return Effect.void
      case "Help":
        return CliOutput.defaultPresenter.present({
          ...event,
          helpDoc: fitting(event.helpDoc, event.commandPath)
        })
      default:
        return CliOutput.defaultPresenter.present(event)
    }
  }
}

const { ip, port } = settingsTable

const listening: Readonly<Record<string, string>> = {
  [Host.id]: `Address to listen on, as --ip (POLESTAR_HOST; default ${ip.default})`,
  [Port.id]: `TCP port to listen on; 0 takes any free port (POLESTAR_PORT; default ${port.default})`
}

const fitting = (doc: HelpDoc.HelpDoc, [, command]: ReadonlyArray<string>): HelpDoc.HelpDoc => {
  if (doc.globalFlags === undefined) return doc
  const isOfTarget = (name: string) => Object.hasOwn(listening, name)
  switch (command) {
    case "key":
      return { ...doc, globalFlags: doc.globalFlags.filter(({ name }) => !isOfTarget(name)) }
    case "hub":
      return {
        ...doc,
        globalFlags: doc.globalFlags.map((flag) =>
          isOfTarget(flag.name)
            ? { ...flag, description: Option.fromUndefinedOr(listening[flag.name]) }
            : flag
        )
      }
    default:
      return doc
  }
}
