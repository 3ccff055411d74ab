import { Polestar } from "../../src/index.ts"
import { sdkContract } from "../contracts/SdkContract.ts"

sdkContract("embedded", Polestar.layerEmbedded())
