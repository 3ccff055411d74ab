/** How the web side is a client of the hub's: what every outlet of it does alike. */
import type { LocalConnection } from "../../actors/LocalConnection.ts"
import type { Session } from "../../actors/Session.ts"
import type { Batch } from "../../protocol/Batch.ts"
import type { FrameOf } from "../../protocol/Frame.ts"

/** The number of the one session of a connection. */
export const session = 1

export const openSession = (connection: LocalConnection, name: string): void => {
  connection.send({
    _tag: "Open",
    session,
    request: 1,
    id: crypto.randomUUID(),
    incarnation: 0,
    name: Buffer.byteLength(name) <= 255 ? name : "http"
  })
}

/** Subscribes each of the patterns in the session: the first is subscription 1. */
export const subscribeAll = (
  connection: LocalConnection,
  patterns: ReadonlyArray<string>,
  wanted: Pick<FrameOf<"Subscribe">, "overflow" | "creditMessages" | "creditBytes" | "start">
): void => {
  for (const [index, pattern] of patterns.entries()) {
    const subscription = index + 1
    const request = subscription + 1
    connection.send({ _tag: "Subscribe", session, request, subscription, pattern, echo: true, ...wanted })
  }
}

/** Counts and traces a delivery that is now on its way out. */
export const countDelivery = (
  connection: LocalConnection | undefined,
  session: Session,
  batch: Batch
): void => {
  if (connection === undefined) return
  const meter = connection.meter()
  meter.delivered(batch, session.id)
  meter.written()
}
