/**
 * A TCP proxy between clients and a hub that does what networks do: it cuts a connection after any byte, holds
 * bytes back for as long as it is told to, and splits them into pieces of any size. What it passes on is in order.
 */
import * as Net from "node:net"
import { Effect, type Scope } from "effect"
import { host } from "./Faults.ts"

/** Bytes of one direction that are held back before its sender is no longer read. */
const maxHeld = 16_777_216

/** One direction of a link. */
class Flow {
  /** Bytes passed on. */
  passed = 0
  private readonly from: Net.Socket
  private readonly to: Net.Socket
  private readonly link: Link
  private held: Array<Buffer> = []
  private heldBytes = 0
  private hasEnded = false
  private isStalled = false

  constructor(link: Link, from: Net.Socket, to: Net.Socket) {
    this.link = link
    this.from = from
    this.to = to
    from.on("data", (chunk: Buffer) => {
      this.held.push(chunk)
      this.heldBytes += chunk.length
      if (this.heldBytes > maxHeld) from.pause()
      this.pump()
    })
    from.on("close", () => {
      this.hasEnded = true
      this.pump()
    })
    to.on("drain", () => this.pump())
  }

  stall(): void {
    this.isStalled = true
  }

  release(): void {
    this.isStalled = false
    this.pump()
  }

  drop(): void {
    this.held = []
    this.isStalled = true
  }

  private pump(): void {
    while (!this.isStalled && this.held.length > 0 && !this.to.writableNeedDrain) {
      const chunk = this.held.shift()!
      this.heldBytes -= chunk.length
      const room = this.link.takeBudget(chunk.length)
      this.passed += room
      this.write(room < chunk.length ? chunk.subarray(0, room) : chunk)
      if (this.link.isSpent) {
        this.link.cut()
        return
      }
    }
    if (this.heldBytes <= maxHeld && !this.hasEnded) this.from.resume()
    if (this.hasEnded && this.held.length === 0) this.to.end()
  }

  private write(bytes: Buffer): void {
    const { splitBytes } = this.link.proxy
    if (splitBytes === undefined) {
      this.to.write(bytes)
      return
    }
    for (let at = 0; at < bytes.length; at += splitBytes) this.to.write(bytes.subarray(at, at + splitBytes))
  }
}

/** One client's connection through the proxy. */
export class Link {
  readonly proxy: CutProxy
  /** From the client to the hub, and back. */
  readonly up: Flow
  readonly down: Flow
  private readonly client: Net.Socket
  private readonly hub: Net.Socket
  private budget: number

  constructor(proxy: CutProxy, client: Net.Socket, hub: Net.Socket, budget: number) {
    this.proxy = proxy
    this.client = client
    this.hub = hub
    this.budget = budget
    this.up = new Flow(this, client, hub)
    this.down = new Flow(this, hub, client)
    for (const socket of [client, hub]) socket.on("error", () => {})
    client.on("close", () => proxy.links.delete(this))
  }

  get isSpent(): boolean {
    return this.budget <= 0
  }

  /** How much of so many bytes may still pass. */
  takeBudget(bytes: number): number {
    const room = Math.min(bytes, this.budget)
    this.budget -= room
    return room
  }

  /** Passes on what was held back. */
  release(): void {
    this.up.release()
    this.down.release()
  }

  /** Ends both sides; what was passed on arrives, what was not is lost. */
  cut(): void {
    if (!this.proxy.links.delete(this)) return
    this.proxy.cuts++
    this.up.drop()
    this.down.drop()
    this.client.end()
    this.hub.end()
    this.client.destroySoon()
    this.hub.destroySoon()
  }

  destroy(): void {
    this.client.destroy()
    this.hub.destroy()
  }
}

export class CutProxy {
  port = 0
  /** The hub's. */
  targetPort: number
  readonly links = new Set<Link>()
  cuts = 0
  /** Connections made so far. */
  accepted = 0
  /** While it is, what connects is thrown out at once. */
  isDown = false
  /** Passes bytes on in pieces of so many. */
  splitBytes: number | undefined
  /** Bytes, both ways together, after which the next connection is cut; asked once for each. */
  nextBudget: () => number = () => Number.POSITIVE_INFINITY
  private readonly server: Net.Server
  private readonly all = new Set<Link>()

  constructor(targetPort: number) {
    this.targetPort = targetPort
    this.server = Net.createServer({ noDelay: true }, (client) => {
      if (this.isDown) {
        client.destroy()
        return
      }
      const hub = Net.connect({ host, port: this.targetPort, noDelay: true })
      const link = new Link(this, client, hub, this.nextBudget())
      this.accepted++
      this.links.add(link)
      this.all.add(link)
      hub.once("close", () => this.all.delete(link))
    })
  }

  /** A proxy before the hub on that port, until the scope closes. */
  static make(targetPort: number): Effect.Effect<CutProxy, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.callback<CutProxy>((resume) => {
        const proxy = new CutProxy(targetPort)
        proxy.server.listen({ host, port: 0 }, () => {
          const address = proxy.server.address()
          if (address !== null && typeof address === "object") proxy.port = address.port
          resume(Effect.succeed(proxy))
        })
      }),
      (proxy) =>
        Effect.sync(() => {
          proxy.server.close()
          for (const link of proxy.all) link.destroy()
        })
    )
  }

  /** Cuts what there is, and lets nothing through until `up`. */
  down(): void {
    this.isDown = true
    this.cutAll()
  }

  up(): void {
    this.isDown = false
  }

  cutAll(): void {
    for (const link of [...this.links]) link.cut()
  }

  /** Holds back what comes, both ways, on the connections that there are. Answers them. */
  stallAll(): ReadonlyArray<Link> {
    const links = [...this.links]
    for (const link of links) {
      link.up.stall()
      link.down.stall()
    }
    return links
  }
}
