/** How clients come to a hub: over a stream of bytes, or as values in this process. */
import { Deferred, Effect, type Scope } from "effect"
import type { CloseReason } from "../protocol/CloseReason.ts"
import type { Duplex } from "../protocol/Duplex.ts"
import { duplexPair } from "../protocol/DuplexPair.ts"
import { everybody } from "../services/Auth.ts"
import { Alarm } from "./Alarm.ts"
import type { ConnectionOptions, Served } from "./FrameHost.ts"
import { type LocalClient, LocalConnection, type LocalOutlet, localClient } from "./LocalConnection.ts"
import { serve } from "./ServeConnection.ts"

export class HubClients {
  private readonly options: ConnectionOptions

  constructor(options: ConnectionOptions) {
    this.options = options
  }

  serve(duplex: Duplex, options = this.options): Effect.Effect<void> {
    const { connections } = options
    let served: Served | undefined
    const serving = serve(duplex, options, (connection) => {
      served = connection
      const refusal = connections.refusalFor(connection.transport)
      connections.add(connection)
      if (refusal !== undefined) connection.turnAway(refusal)
    })
    const left = Effect.sync(() => {
      if (served !== undefined) connections.delete(served)
    })
    return Effect.ensuring(serving, left)
  }

  /** Whoever is in this process need not say who it is. */
  readonly connect: Effect.Effect<Duplex, never, Scope.Scope> = Effect.gen(
    { self: this },
    function* (this: HubClients) {
      const [ours, theirs] = duplexPair()
      yield* Effect.addFinalizer(() => Effect.sync(() => theirs.end()))
      this.options.registry.system.fork(this.serve(ours, { ...this.options, auth: everybody }))
      return theirs
    }
  )

  connectLocal(
    outlet: LocalOutlet,
    client = localClient
  ): Effect.Effect<LocalConnection, CloseReason, Scope.Scope> {
    return Effect.gen({ self: this }, function* (this: HubClients) {
      const connection = yield* Effect.acquireRelease(this.open(outlet, client), (open) => this.close(open))
      const { expiresAt } = client.identity
      const expired = () => connection.end("token-expired")
      if (Number.isFinite(expiresAt))
        new Alarm(this.options.registry.system, expired, undefined, yield* Effect.scope).set(expiresAt)
      return connection
    })
  }

  private open(outlet: LocalOutlet, client: LocalClient): Effect.Effect<LocalConnection, CloseReason> {
    return Effect.suspend(() => {
      const { connections } = this.options
      // What is refused was never open: whoever asked for it says so, in the one line of the log that there is.
      const refusal = connections.refusalFor(client.transport) ?? connections.refusalOf(client.identity)
      if (refusal !== undefined) return Effect.fail(refusal)
      const connection = new LocalConnection(this.options, outlet, client)
      connections.add(connection)
      connections.identified(connection, client.identity)
      return Effect.succeed(connection)
    })
  }

  private close(connection: LocalConnection): Effect.Effect<void> {
    return Effect.sync(() => {
      connection.end("normal")
      Deferred.doneUnsafe(connection.gone, Effect.void)
      this.options.connections.delete(connection)
    })
  }
}
