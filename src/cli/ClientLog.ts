/** What `pub` and `sub` log: notices on standard error, one line each, in the form of the other notices. */
import { Effect, Layer, Logger, LogLevel } from "effect"
import * as Telemetry from "../services/Telemetry.ts"
import { Output, type Style } from "./Output.ts"
