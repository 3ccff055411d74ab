/** What a program asks of the hub: JSON, which may be done twice, so that what a connection lost is asked again. */
import { Effect } from "effect"
import { decodeText, encodeText } from "../../protocol/Bytes.ts"
import { Features } from "../../protocol/Op.ts"
import { DecodeFailed, EncodeFailed, PolestarError, Rejected } from "../PolestarError.ts"
import type { ClientConnection } from "./ClientConnection.ts"
import type { ClientEngine } from "./ClientEngine.ts"

export const request = (
  engine: ClientEngine,
  method: string,
  body: unknown
): Effect.Effect<unknown, PolestarError> =>
  Effect.try({
    try: () => encodeText(JSON.stringify(body) ?? "null"),
    catch: (cause) => new PolestarError({ reason: new EncodeFailed({ cause }) })
  }).pipe(
    Effect.flatMap((json) =>
      engine.nextConnection.pipe(
        Effect.flatMap((connection) => ask(engine, connection, method, json)),
        Effect.retry({
          times: engine.options.maxRetries,
          while: ({ reason }) => reason._tag === "ConnectionLost"
        })
      )
    ),
    Effect.flatMap((json) =>
      Effect.try({
        try: (): unknown => JSON.parse(decodeText(json) ?? ""),
        catch: (cause) => new PolestarError({ reason: new DecodeFailed({ cause }) })
      })
    )
  )

const ask = (
  engine: ClientEngine,
  connection: ClientConnection,
  method: string,
  json: Uint8Array
): Effect.Effect<Uint8Array, PolestarError> =>
  Effect.callback((resume) => {
    if (connection.welcome === undefined || (connection.welcome.features & Features.requests) === 0) {
      const reason = new Rejected({ code: "unsupported", message: "the hub takes no requests" })
      return resume(Effect.fail(new PolestarError({ reason })))
    }
    const request = engine.requests.add(method, (answer) => {
      if (answer._tag === "PolestarError") return resume(Effect.fail(answer))
      // A copy, since it may be a view of all that came with it.
      if (answer._tag === "Response") return resume(Effect.succeed(answer.body.slice()))
      connection.fail("protocol-error", "an answer that does not fit its question")
    })
    connection.send({ _tag: "Request", request, method, body: json })
  })
