/** Hubs one after the other on the same log and the same store, each ended as a power cut ends it. */
import { Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import { Auth } from "../../src/services/Auth.ts"
import { MessageLog } from "../../src/services/MessageLog.ts"
import { Settings, type SettingsInput } from "../../src/services/Settings.ts"
import { StateStore } from "../../src/services/StateStore.ts"
import { Faults, makeFailingLog } from "./FailingLog.ts"
import { makeFailingStore, StoreFaults } from "./FailingStore.ts"
import { WireClient } from "./WireClient.ts"

/** With nothing to wait for when a hub ends, since time is the test's. */
const impatient: SettingsInput = { drainTimeout: 0, writeTimeout: 1, restartLimit: 1000 }

interface Life {
  readonly scope: Scope.Closeable
  readonly hub: Hub["Service"]
  readonly clients: Array<WireClient>
}

export class HubLives {
  readonly log: Faults
  readonly store = Object.assign(new StoreFaults(), { isLate: true })
  private readonly settings: SettingsInput
  private readonly messageLog: MessageLog["Service"]
  private life: Life | undefined

  constructor(settings: SettingsInput, log: Faults, messageLog: MessageLog["Service"]) {
    this.settings = { ...impatient, ...settings }
    this.log = log
    this.messageLog = messageLog
  }

  /** Starts the next hub. */
  readonly start: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    const scope = yield* Scope.make()
    const services = Context.make(MessageLog, this.messageLog).pipe(
      Context.add(StateStore, makeFailingStore(this.store))
    )
    const layer = Hub.layer.pipe(
      Layer.provide(Layer.succeedContext(services)),
      Layer.provide(Auth.layerOff),
      Layer.provide(Settings.layerWith(this.settings)),
      Layer.provideMerge(Logger.layer([]))
    )
    const context = yield* Effect.orDie(Layer.buildWithScope(layer, scope))
    this.life = { scope, hub: Context.get(context, Hub), clients: [] }
  })

  get hub(): Hub["Service"] {
    if (this.life === undefined) throw new Error("no hub runs")
    return this.life.hub
  }

  /** A client of the hub that runs, not yet greeted. */
  readonly connect: Effect.Effect<WireClient> = Effect.suspend(() => {
    const { life } = this
    if (life === undefined) return Effect.die(new Error("no hub runs"))
    const connected = Effect.map(life.hub.connect, (duplex) => {
      const client = new WireClient(duplex)
      life.clients.push(client)
      return client
    })
    return Effect.provideService(connected, Scope.Scope, life.scope)
  })

  /** Nothing that the hub still does has an effect; what was on its way to the disk is lost. */
  readonly crash: Effect.Effect<void> = Effect.suspend(() => {
    const { life } = this
    if (life === undefined) return Effect.void
    this.life = undefined
    this.log.crash()
    this.store.crash()
    for (const client of life.clients) client.duplex.destroy()
    return Scope.close(life.scope, Exit.void)
  })

  readonly restart: Effect.Effect<void> = Effect.suspend(() => Effect.andThen(this.crash, this.start))
}

/** The first hub runs already. */
export const hubLives = Effect.fnUntraced(function* (settings: SettingsInput = {}) {
  const faults = new Faults()
  faults.isLate = true
  faults.outlivesHub = true
  faults.durability = "stored"
  const lives = new HubLives(settings, faults, yield* makeFailingLog(faults))
  yield* Effect.addFinalizer(() => lives.crash)
  yield* lives.start
  return lives
})
