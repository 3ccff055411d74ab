import { Effect, Layer } from "effect"
import { TcpServer } from "../../src/hub.ts"
import { Polestar } from "../../src/index.ts"
import * as HubServer from "../../src/transports/HubServer.ts"
import { sdkContract } from "../contracts/SdkContract.ts"

/** A client over a real socket to a hub that listens on a free port. */
const overTcp = Layer.unwrap(
  Effect.gen(function* () {
    const { port } = yield* TcpServer
    return Polestar.layerTcp({ host: "127.0.0.1", port })
  })
).pipe(Layer.provide(HubServer.layerWith({ port: 0 })))

sdkContract("tcp", overTcp)
