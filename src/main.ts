#!/usr/bin/env node
/** The `polestar` command; see `cli/`. */
import { enableCompileCache } from "node:module"

// Compiling is half of a short command's time, so it is done once; all else is loaded after that.
enableCompileCache()
const { run } = await import("./cli/Run.ts")
run()
