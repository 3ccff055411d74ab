import { Effect, Layer } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import { Polestar } from "../../src/sdk/Polestar.ts"
import * as MessageLogMemory from "../../src/services/MessageLogMemory.ts"
import { Settings } from "../../src/services/Settings.ts"
import { sdkContract } from "../contracts/SdkContract.ts"

const hub = Hub.layer.pipe(
  Layer.provide([
    Settings.layerDefaults,
    MessageLogMemory.layer({ messages: 10_000, bytes: 10_000_000, age: 3_600_000, totalBytes: 100_000_000 })
  ])
)
const embedded = Layer.unwrap(Effect.map(Hub, (hub) => Polestar.layer({ dial: hub.connect }))).pipe(
  Layer.provide(hub)
)
sdkContract("trial", embedded)
