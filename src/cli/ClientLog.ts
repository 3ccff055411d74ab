/** Traces of `pub` and `sub`, and what goes wrong with them: on standard error, one line each, as other notices. */
import { Effect, Layer, Logger } from "effect"
import * as Telemetry from "../services/Telemetry.ts"
import { Output } from "./Output.ts"

const words: Readonly<Record<string, string>> = { Warn: "warning" }

const log = Layer.unwrap(
  Effect.gen(function* () {
    const { notice } = yield* Output
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
      const text = (Array.isArray(message) ? message : [message]).map(String).join(" ")
      const word = words[logLevel] ?? logLevel.toLowerCase()
      run(
        notice({
          text: (paint) => `${paint("yellow", `${word}:`)} ${text}`,
          json: () => ({ notice: logLevel === "Warn" ? "Warning" : logLevel, message: text })
        })
      )
    })
    return Logger.layer([logger, Logger.tracerLogger])
  })
)

/** As the `OTEL_…` variables say. */
export const telemetry: Layer.Layer<never, never, Output> = Layer.provide(Telemetry.layer(), log)
