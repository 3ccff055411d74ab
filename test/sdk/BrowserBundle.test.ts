/** What a browser gets, as a bundler makes it: without Node, and working with nothing but what a browser has. */
import { builtinModules } from "node:module"
import { fileURLToPath } from "node:url"
import { createContext, runInContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Schedule, Scope } from "effect"
import { rolldown } from "rolldown"
import { bundle } from "../../examples/browser/bundle.ts"
import { patience } from "../Patience.ts"
import { WebSocketHub, webSocketHub } from "../transports/websocket/WebSocketHub.ts"

describe("sdk - the bundle for a browser", () => {
  it("sdk - has no module of Node, none of the hub, and nothing left to import", async () => {
    const input = fileURLToPath(new URL("../../src/browser.ts", import.meta.url))
    const warnings: Array<string> = []
    const build = await rolldown({
      input,
      platform: "browser",
      onLog: (_level, { message }) => warnings.push(message)
    })
    const { output } = await build.generate({ format: "esm", minify: true })
    await build.close()
    assert.strictEqual(output.length, 1)
    const [chunk] = output
    assert.deepStrictEqual([...chunk.imports, ...chunk.dynamicImports], [])
    const modules = Object.keys(chunk.modules)
    assert.isAbove(modules.length, 50)
    assert.deepStrictEqual(
      modules.filter((id) => id.startsWith("node:") || builtinModules.includes(id)),
      []
    )
    assert.deepStrictEqual(
      modules.filter((id) => /\/src\/(actors|services|transports|cli)\/|node_modules\/(?!effect\/)/.test(id)),
      []
    )
    assert.deepStrictEqual(warnings, [])
    // A quarter of this when it is compressed.
    assert.isBelow(chunk.code.length, 400_000)
  })
})

/** A part of a page, as far as the example uses one. */
class FakeElement {
  value = ""
  textContent = ""
  className = ""
  readonly lines: Array<FakeElement> = []
  submit: (event: { preventDefault: () => void }) => void = () => {}
  readonly childElementCount = 0
  prepend(child: FakeElement): void {
    this.lines.unshift(child)
  }
  addEventListener(_type: "submit", listener: FakeElement["submit"]): void {
    this.submit = listener
  }
}

/** Runs the program of the page with a page and a browser's globals alone. */
const openPage = (program: string, hub: string) => {
  const elements = new Map<string, FakeElement>()
  const element = (id: string): FakeElement => {
    const found = elements.get(id) ?? new FakeElement()
    elements.set(id, found)
    return found
  }
  const { AbortController, AbortSignal, MessageChannel, TextDecoder, TextEncoder, URL, URLSearchParams } =
    globalThis
  const { clearInterval, clearTimeout, crypto, performance, queueMicrotask, setInterval, setTimeout } =
    globalThis
  runInContext(
    program,
    createContext({
      ...{ AbortController, AbortSignal, MessageChannel, TextDecoder, TextEncoder, URL, URLSearchParams },
      ...{ clearInterval, clearTimeout, crypto, performance, queueMicrotask, setInterval, setTimeout },
      // Of one realm, as in a browser: what a socket gives is what the program knows.
      ...{ ArrayBuffer, Uint8Array, WebSocket, console },
      document: { getElementById: element, createElement: () => new FakeElement() },
      location: {
        hostname: "127.0.0.1",
        origin: "http://127.0.0.1",
        search: `?hub=${encodeURIComponent(hub)}`
      }
    })
  )
  const lines = () =>
    element("events").lines.map(({ className, textContent }) => ({ className, textContent }))
  return {
    element,
    lines,
    publish: (text: string) => {
      element("topic").value = "demo.hello"
      element("text").value = text
      element("publish").submit({ preventDefault: () => {} })
    }
  }
}

const until = (what: string, isSo: () => boolean) =>
  Effect.suspend(() => (isSo() ? Effect.void : Effect.fail(what))).pipe(
    Effect.retry({ schedule: Schedule.spaced("20 millis"), times: patience / 20 })
  )

const startHub = (port: number) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(Layer.fresh(webSocketHub({}, {}, port)), scope)
    return { ...Context.get(context, WebSocketHub), stop: Scope.close(scope, Exit.void) }
  })

describe("examples - the page", () => {
  it.live("examples - publishes, hears it, survives the hub's restart and says what it missed", () =>
    Effect.gen(function* () {
      const hub = yield* startHub(0)
      const page = openPage(yield* Effect.promise(() => bundle("iife")), hub.url)
      yield* until("connected", () => page.element("state").textContent === "Connected")
      yield* until("subscribed and heard", () => {
        if (page.lines().length === 0) page.publish("hello")
        return page.lines().some(({ textContent }) => textContent === 'demo.hello: "hello"')
      })
      assert.match(page.element("receipt").textContent, /^published to demo\.hello at \d+$/)

      yield* hub.stop
      yield* until("reconnecting", () => page.element("state").textContent === "Reconnecting")
      const again = yield* startHub(hub.port)
      yield* until("connected again", () => page.element("state").textContent === "Connected")
      page.publish("after")
      yield* until("heard again", () =>
        page.lines().some(({ textContent }) => textContent === 'demo.hello: "after"')
      )
      // The log was in memory, so it is another one now.
      assert.isTrue(page.lines().some(({ className }) => className === "missed"))
      yield* again.stop
    })
  )
})
