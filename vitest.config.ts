import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    // Two cores: a worker each, so that tests over real sockets keep their time limits.
    maxWorkers: 2
  }
})
