/**
 * What every engine of the message log promises. The layer must be new each time it is built; its topics keep 1,000
 * messages and 10 MB at least, and no message for longer than a year; it holds 1 MB at least.
 */
import { describe } from "@effect/vitest"
import { heldTests } from "./log/HeldTests.ts"
import { keepingTests } from "./log/KeepingTests.ts"
import type { LogLayer } from "./log/LogKit.ts"
import { modelTests } from "./log/ModelTests.ts"
import { topicTests } from "./log/TopicTests.ts"

export { messageLogCompactionContract } from "./log/CompactionTests.ts"
export { durableLogContract } from "./log/DurableTests.ts"
export { messageLogRetentionContract, type RetentionLimits } from "./log/RetentionTests.ts"

export const messageLogContract = (name: string, layer: LogLayer): void => {
  describe(`message log of ${name}`, () => {
    topicTests(layer)
    keepingTests(layer)
    heldTests(layer)
    modelTests(layer)
  })
}
