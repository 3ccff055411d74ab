/** What cannot be undone is asked about, unless `--yes` says so already. */
import { Effect, Stdio } from "effect"
import { Prompt } from "effect/cli"
import { UsageError } from "./ExitCode.ts"
import { present } from "./Flags.ts"
import { Output } from "./Output.ts"

export const yesFlag = { yes: present("yes", "Does not ask") }

/** Whether to go on. Where nobody can be asked, `--yes` must have been given. */
export const confirm = Effect.fnUntraced(function* (given: { readonly yes: boolean }, question: string) {
  if (given.yes) return true
  const { stdinIsTerminal } = yield* Stdio.Stdio
  const output = yield* Output
  // The question is written to standard output, which has results alone.
  if (!(yield* stdinIsTerminal) || !output.isTerminal || output.isJson) {
    return yield* new UsageError({ message: `${question} Give --yes` })
  }
  const answer = yield* Effect.orElseSucceed(Prompt.run(Prompt.Confirm({ message: question })), () => false)
  if (!answer) {
    yield* output.notice({
      text: () => "nothing was removed",
      json: () => ({ notice: "Kept" })
    })
  }
  return answer
})
