import { layer } from "../../src/services/StateStoreMemory.ts"
import { stateStoreContract } from "../contracts/StateStoreContract.ts"

stateStoreContract("memory", layer)
