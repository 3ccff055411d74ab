/**
 * What the SDK promises, whatever hub it talks to and over what. A test of a Layer is one line:
 *
 *     sdkContract("embedded", Polestar.layerEmbedded())
 *
 * Every test uses topics of its own, under a prefix of its own run, so the hub may be shared and may outlive the
 * suite. The layer is built once for the suite, and again for each promise client.
 */
import { layer as layerTests } from "@effect/vitest"
import type { Layer } from "effect"
import type { Polestar } from "../../src/sdk/Polestar.ts"
import { channelTests } from "./sdk/ChannelTests.ts"
import { consumerTests } from "./sdk/ConsumerTests.ts"
import { groupFailureTests } from "./sdk/GroupFailureTests.ts"
import { groupTests } from "./sdk/GroupTests.ts"
import { overflowTests } from "./sdk/OverflowTests.ts"
import { promiseGroupTests, promiseTests } from "./sdk/PromiseTests.ts"
import { publishTests } from "./sdk/PublishTests.ts"
import { subscribeTests } from "./sdk/SubscribeTests.ts"

export const sdkContract = (name: string, layer: Layer.Layer<Polestar, unknown>): void => {
  // The clock is the real one: sockets and hubs keep their own time.
  layerTests(layer, { excludeTestServices: true })(`sdk over ${name}`, (it) => {
    publishTests(it)
    subscribeTests(it)
    overflowTests(it)
    consumerTests(it)
    channelTests(it)
    groupTests(it)
    groupFailureTests(it)
    promiseTests(it, layer)
    promiseGroupTests(it, layer)
  })
}
