/**
 * What the command prints. Standard output has results alone, in the form that `--format` says; notices go to
 * standard error. Colours only where a person reads.
 */
import { styleText } from "node:util"
import { Context, Effect, Layer } from "effect"
import { Flag, GlobalFlag, TerminalCapabilities } from "effect/cli"
import { OutputError } from "./ExitCode.ts"

export const Format = GlobalFlag.Setting("format")({
  flag: Flag.Literals("format", ["text", "json"]).pipe(
    Flag.withDescription("How results are printed; json prints one object a line"),
    Flag.withDefault("text")
  )
})

/** For commands whose other flags leave the name free. */
export const jsonFlag = {
  json: Flag.Boolean("json").pipe(
    Flag.withoutNegation,
    Flag.withDescription("The same as --format json"),
    Flag.withDefault(false)
  )
}

export type Style = Parameters<typeof styleText>[0]

/** Colours a text, or not. */
export type Paint = (style: Style, text: string) => string

/** What to print, in each form. */
export interface Printed {
  readonly text: (paint: Paint) => string
  readonly json: () => unknown
}

export class Output extends Context.Service<
  Output,
  {
    readonly isJson: boolean
    readonly isTerminal: boolean
    readonly paint: Paint
    /** Writes text that ends its own lines, and waits until it is written. */
    readonly write: (text: string) => Effect.Effect<void, OutputError>
    /** A result: one line. */
    readonly print: (line: Printed) => Effect.Effect<void, OutputError>
    /** Something that is no result: one line to standard error. */
    readonly notice: (line: Printed) => Effect.Effect<void>
  }
>()("polestar/cli/Output") {
  static readonly layer: Layer.Layer<Output, never, typeof Format.Identifier> = Layer.effect(
    Output,
    Effect.suspend(() => Effect.flatMap(Format, (format) => make(format === "json")))
  )

  /** Of a command that has `jsonFlag`. */
  static readonly layerOf = (given: {
    readonly json: boolean
  }): Layer.Layer<Output, never, typeof Format.Identifier> =>
    given.json
      ? Layer.effect(
          Output,
          Effect.suspend(() => make(true))
        )
      : Output.layer
}

const plain: Paint = (_, text) => text
const coloured: Paint = (style, text) => styleText(style, text, { validateStream: false })

/** Writes to a stream of the process; waits until it is written. */
export const writeTo = (stream: NodeJS.WriteStream, text: string): Effect.Effect<void, OutputError> =>
  Effect.callback((resume) => {
    stream.write(text, (cause) => resume(cause == null ? Effect.void : Effect.fail(outputError(cause))))
  })

const outputError = (cause: Error): OutputError => {
  const code = "code" in cause ? cause.code : undefined
  const isClosed = code === "EPIPE" || code === "ERR_STREAM_DESTROYED" || code === "EOF"
  return new OutputError({ reason: isClosed ? "closed" : "failed", cause })
}

const make = Effect.fnUntraced(function* (isJson: boolean) {
  const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
  const paint = canColor && !isJson ? coloured : plain
  const noticePaint = canColor && process.stderr.isTTY ? coloured : plain
  const line = (printed: Printed, used: Paint) =>
    isJson ? `${JSON.stringify(printed.json())}\n` : `${printed.text(used)}\n`
  const write = (text: string) => writeTo(process.stdout, text)
  return Output.of({
    isJson,
    isTerminal: process.stdout.isTTY === true,
    paint,
    write,
    print: (printed) => write(line(printed, paint)),
    notice: (printed) => Effect.ignore(writeTo(process.stderr, line(printed, noticePaint)))
  })
})
