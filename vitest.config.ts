import { defineConfig } from "vitest/config"

const isLong = process.env.POLESTAR_LONG === "1"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // No module has state of its own, so that the files may share what a worker has imported.
    isolate: false,
    // Only what hangs ever takes so long: a busy machine has its time.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A run that passes shows no logs; the long tests print their figures.
    silent: isLong ? false : "passed-only",
    // Two cores: a worker each, so that tests over real sockets keep their time limits.
    maxWorkers: 2
  }
})
