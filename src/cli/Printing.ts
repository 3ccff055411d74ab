/** How messages are printed, live or replayed: a line each, and notices of what did not come on standard error. */
import { Effect } from "effect"
import type { Delivery, SubscriptionEvent } from "../sdk/Delivery.ts"
import { Output, type Printed } from "./Output.ts"
import { payloadMembers, payloadText } from "./Payload.ts"

/** What of a message is printed; of a member's also which attempt it is. */
export interface Shown extends Omit<Delivery<Uint8Array>, "_tag" | "params"> {
  readonly attempt?: number
}

/** One line, as `--format` says. */
export const lineOf = (output: Output["Service"], message: Shown): string =>
  output.isJson
    ? `${jsonOf(message)}\n`
    : `${output.paint("cyan", message.topic)} ${payloadText(message.value, output.isTerminal, output.paint)}\n`

const jsonOf = (message: Shown): string => {
  const { attempt, contentType, headers, id, key, timestamp, topic, value } = message
  const { epoch, offset } = message.position
  const members = { topic, epoch, offset, timestamp, attempt, id: id ?? null, key, headers, contentType }
  return `${JSON.stringify(members).slice(0, -1)},${payloadMembers(value, contentType)}}`
}

/** What came together is written together, and is written when this ends. */
export const printEvents = Effect.fnUntraced(function* (
  events: ReadonlyArray<SubscriptionEvent<Uint8Array>>
) {
  const output = yield* Output
  let lines = ""
  for (const event of events) {
    if (event._tag === "Message") lines += lineOf(output, event)
    else {
      const notice = noticeOf(event)
      if (notice !== undefined) yield* output.notice(notice)
    }
  }
  if (lines !== "") yield* output.write(lines)
})

/** What a subscription heard besides messages; `undefined` for what nobody need be told. */
export const noticeOf = (event: SubscriptionEvent<Uint8Array>): Printed | undefined => {
  switch (event._tag) {
    case "Dropped": {
      const { count, from, to, topic } = event
      return {
        text: (paint) =>
          paint(
            "yellow",
            `dropped ${count} of ${topic}, from ${from.offset} to before ${to.offset}: too slow`
          ),
        json: () => ({ notice: "Dropped", topic, from, to, count })
      }
    }
    case "Gap": {
      const { from, to, topic } = event
      return {
        text: (paint) =>
          paint("red", `gap in ${topic}, from ${from.epoch}:${from.offset} to ${to.epoch}:${to.offset}`),
        json: () => ({ notice: "Gap", topic, from, to })
      }
    }
    case "Recovered": {
      const { messages } = event
      return {
        text: (paint) => paint("green", `recovered: nothing was missed, ${messages} came again`),
        json: () => ({ notice: "Recovered", messages })
      }
    }
    default:
      return undefined
  }
}
