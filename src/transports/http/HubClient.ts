/** How the web side is a client of the hub's: what every outlet of it does alike. */
import type { Effect, Scope } from "effect"
import { DeliveryMeter } from "../../actors/DeliveryMeter.ts"
import type { Hub } from "../../actors/Hub.ts"
import type { LocalClient, LocalConnection, LocalOutlet } from "../../actors/LocalConnection.ts"
import type { Session } from "../../actors/Session.ts"
import type { Batch } from "../../protocol/Batch.ts"
import type { CloseReason } from "../../protocol/CloseReason.ts"

/** Until the scope closes. */
export const connect = (
  hub: Hub["Service"],
  outlet: LocalOutlet,
  { identity, peer, transport }: LocalClient
): Effect.Effect<LocalConnection, CloseReason, Scope.Scope> =>
  hub.connectLocal(outlet, { transport, peer, identity })

/** Begins the one session of a connection. */
export const openSession = (connection: LocalConnection, session: number, name: string): void => {
  connection.send({
    _tag: "Open",
    session,
    request: 1,
    id: crypto.randomUUID(),
    incarnation: 0,
    name: Buffer.byteLength(name) <= 255 ? name : "http"
  })
}

/** Counts and traces a delivery that is now on its way out. */
export const countDelivery = (
  connection: LocalConnection | undefined,
  session: Session,
  batch: Batch
): void => {
  if (connection === undefined) return
  const meter = new DeliveryMeter(connection.options.registry)
  meter.delivered(batch, session.id)
  meter.written()
}
