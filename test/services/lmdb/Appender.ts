/**
 * A process of its own that appends to topics and prints a line for what was stored, `topic offset count`, until it
 * is killed. Messages are their offset as text, so that who looks knows what should be there.
 */
import { Effect } from "effect"
import { MessageLog } from "../../../src/services/MessageLog.ts"
import { layer } from "../../../src/services/MessageLogLmdb.ts"
import { ownerOf, textBatch } from "../../contracts/TextBatches.ts"
import { optionsOf } from "./TestFolder.ts"

const path = process.argv[2] ?? ""
const topics = ["a", "b", "c"]

const program = Effect.gen(function* () {
  const service = yield* MessageLog
  for (const topic of topics) {
    const owner = ownerOf(topic)
    const log = service.open(topic, owner)
    if (Effect.isEffect(log)) throw new Error("it is not open")
    let next = log.nextOffset
    const send = (): void => {
      const count = (next % 7) + 1
      const texts = Array.from({ length: count }, (_, index) => `${next + index}`.padEnd(100, "."))
      next += count
      log.append(textBatch(owner, [texts], Date.now()))
    }
    owner.listener = (told) => {
      if (told._tag !== "stored") throw new Error("a batch was refused")
      owner.told.clear()
      process.stdout.write(`${topic} ${told.batch.offset} ${told.batch.count}\n`)
      send()
    }
    for (let queued = 0; queued < 20; queued++) send()
  }
  process.stdout.write("ready\n")
  return yield* Effect.never
})

Effect.runFork(Effect.scoped(Effect.provide(program, layer(optionsOf(path)))))
