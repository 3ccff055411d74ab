/** Runs the command as this process, to its exit code. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit, Runtime } from "effect"
import { main } from "./Polestar.ts"

/** Answers at once; signals interrupt the command. */
export const run = (): void =>
  NodeRuntime.runMain(Effect.provide(main, NodeServices.layer), {
    disableErrorReporting: true,
    // A command that a signal is meant to end, as it is the hub, has set the code for that.
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) && typeof process.exitCode === "number"
        ? onExit(process.exitCode)
        : Runtime.defaultTeardown(exit, onExit)
  })
