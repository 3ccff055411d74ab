import * as MessageLogLmdb from "../../src/services/MessageLogLmdb.ts"
import {
  durableLogContract,
  messageLogCompactionContract,
  messageLogContract,
  messageLogRetentionContract
} from "../contracts/MessageLogContract.ts"
import { stateStoreContract } from "../contracts/StateStoreContract.ts"
import { optionsOf, temporary } from "./lmdb/TestFolder.ts"

const year = 365 * 86_400_000
const wide = { messages: 1_000_000, bytes: 1_000_000_000, age: year }

messageLogContract("lmdb", temporary({ topic: wide }))
messageLogRetentionContract("lmdb", (topic) => temporary({ topic }))
messageLogCompactionContract("lmdb", temporary({ topic: wide }))
durableLogContract("lmdb", (path) => MessageLogLmdb.layer(optionsOf(path, { topic: wide })))

stateStoreContract("lmdb", temporary())
