/**
 * The hub's own name for a message: `alerts@1790000000000000-42`, which is `<topic>@<epoch>-<offset>`. Clients take it
 * as it is and give it back to acknowledge; it leads to the message without anything being remembered.
 */
import type { Position, TopicPosition } from "../Position.ts"
import { checkTopicName, maxNameBytes } from "../TopicName.ts"

/** A topic, and two numbers of 16 digits at most. */
export const maxMessageIdLength = maxNameBytes + 34

export const messageIdOf = (topic: string, epoch: number, offset: number): string =>
  `${topic}@${epoch}-${offset}`

/** Without leading zeros, so that a position has one text. */
const numbers = /^(0|[1-9]\d{0,15})-(0|[1-9]\d{0,15})$/

/** Reads `<epoch>-<offset>`; `undefined` for anything else. */
export const parsePosition = (text: string): Position | undefined => {
  const match = text.length > 33 ? null : numbers.exec(text)
  if (match === null) return undefined
  const epoch = Number(match[1])
  const offset = Number(match[2])
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(offset) ? { epoch, offset } : undefined
}

/** Reads what `messageIdOf` made; `undefined` for anything else. A topic's name may itself have an `@`. */
export const parseMessageId = (id: string): TopicPosition | undefined => {
  if (id.length > maxMessageIdLength) return undefined
  const at = id.lastIndexOf("@")
  const position = at < 0 ? undefined : parsePosition(id.slice(at + 1))
  if (position === undefined) return undefined
  const topic = id.slice(0, at)
  return checkTopicName(topic) === undefined ? { topic, ...position } : undefined
}
