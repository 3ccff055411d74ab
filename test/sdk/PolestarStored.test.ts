import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, FileSystem, Layer } from "effect"
import { TcpServer } from "../../src/hub.ts"
import { Polestar } from "../../src/index.ts"
import * as HubServer from "../../src/transports/HubServer.ts"
import { sdkContract } from "../contracts/SdkContract.ts"

/** A client over a real socket to a hub that keeps everything on disk, in a folder of its own. */
const overDisk = Layer.unwrap(
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const dataDir = yield* files.makeTempDirectoryScoped()
    return Layer.unwrap(
      Effect.map(TcpServer, ({ port }) => Polestar.layerTcp({ host: "127.0.0.1", port }))
    ).pipe(Layer.provide(HubServer.layerWith({ port: 0, dataDir })))
  })
).pipe(Layer.provide(NodeFileSystem.layer))

sdkContract("tcp, on disk", overDisk)
