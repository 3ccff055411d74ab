/** What a command that stays connected says of its connection, on standard error. */
import { Effect, Stream } from "effect"
import { Polestar } from "../sdk/Polestar.ts"
import { Output } from "./Output.ts"

/** Says when the connection is lost, and when there is one again; runs until it is interrupted. */
export const tellConnection = Effect.gen(function* () {
  const output = yield* Output
  const star = yield* Polestar
  let isLost = false
  yield* Stream.runForEach(star.states, (state) => {
    if (state._tag === "Reconnecting" && !isLost) {
      isLost = true
      const { message } = state.cause
      return output.notice({
        text: (paint) => paint("yellow", `${message}; connecting again`),
        json: () => ({ notice: "Reconnecting", message })
      })
    }
    if (state._tag !== "Connected" || !isLost) return Effect.void
    isLost = false
    return output.notice({
      text: (paint) => paint("green", "connected again"),
      json: () => ({ notice: "Connected", hub: state.hub })
    })
  })
})
