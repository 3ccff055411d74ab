/** The errors that the typed surface makes itself; all others come from the engine beneath it. */
import { DecodeFailed, EncodeFailed, MessageInvalid, PolestarError } from "./PolestarError.ts"

export const messageInvalid = (message: string): PolestarError =>
  new PolestarError({ reason: new MessageInvalid({ message }) })

export const encodeFailed = (cause: unknown): PolestarError =>
  new PolestarError({ reason: new EncodeFailed({ cause }) })

export const decodeFailed = (cause: unknown): PolestarError =>
  new PolestarError({ reason: new DecodeFailed({ cause }) })
