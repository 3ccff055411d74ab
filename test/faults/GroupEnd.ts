/** How a run of publishers and groups ends, whatever was done to the hub: nothing is lost, and everything was handled. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Polestar } from "../../src/sdk/Polestar.ts"
import type { PolestarError } from "../../src/sdk/PolestarError.ts"
import { eventually, type FaultError } from "./Faults.ts"
import type { GroupRecord } from "./GroupRecord.ts"
import { type Ledger, replay } from "./Ledger.ts"

/** Checks the topics against their receipts, and waits until each group has acknowledged all; answers how many messages. */
export const allDone = Effect.fnUntraced(function* (
  star: Polestar["Service"],
  ledger: Ledger,
  topics: ReadonlyArray<string>,
  records: ReadonlyArray<GroupRecord>
): Effect.fn.Return<number, PolestarError | FaultError> {
  let total = 0
  for (const topic of topics) {
    const { epoch, found } = yield* replay(star, topic)
    ledger.checkWhole(topic, epoch, found)
    total += found.length
  }
  for (const record of records) {
    yield* eventually(
      `everything to be acknowledged by ${record.name}`,
      Effect.map(star.groups.info(record.name), ({ lag }) => lag === 0),
      () => `${record.done} of ${total}`
    )
    assert.strictEqual(record.faults.slice(0, 12).join("\n"), "")
    assert.strictEqual(record.done, total)
  }
  return total
})
