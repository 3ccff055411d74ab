/** The example's page in a browser, with hubs that come and go. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import type { CutProxy } from "../faults/CutProxy.ts"
import { secret, sign } from "../services/auth/Tokens.ts"
import { describeWith } from "../Tools.ts"
import { ask, Chromium, crash, dataFolder, publish, replaceHub, startBehindProxy } from "./Chromium.ts"

/** The page with the hub behind this proxy. */
const openPage = Effect.fnUntraced(function* (
  proxy: CutProxy,
  options: { readonly origin?: string; readonly token?: string } = {},
  prepare?: (page: Page) => Promise<void>
) {
  const chromium = yield* Chromium
  const query = new URLSearchParams({ hub: `ws://127.0.0.1:${proxy.port}/ws` })
  if (options.token !== undefined) query.set("token", options.token)
  return yield* chromium.open(`${options.origin ?? chromium.origin}/?${query}`, prepare)
})

/** Waits until a part of the page says this. */
const says = (page: Page, id: string, text: string | RegExp) =>
  ask(() => page.locator(`#${id}`).filter({ hasText: text }).waitFor())

const isState = (page: Page, state: string) => ask(() => page.locator(`#state.${state}`).waitFor())

/** Waits until there is such a line among the messages. */
const hears = (page: Page, text: string) => ask(() => page.getByText(text, { exact: true }).waitFor())

/** All lines, the oldest first. */
const linesOf = (page: Page) =>
  Effect.map(
    ask(() => page.locator("#events li").allTextContents()),
    (lines) => lines.reverse()
  )

const publishOn = (page: Page, topic: string, text: string) =>
  ask(async () => {
    await page.getByLabel("topic").fill(topic)
    await page.getByLabel("message", { exact: true }).fill(text)
    await page.getByRole("button", { name: "Publish" }).click()
  })

const tokenFor = (seconds: number, patterns: ReadonlyArray<string> = ["demo.>"]) =>
  sign({
    sub: "page",
    exp: Math.floor(Date.now() / 1000) + seconds,
    publish: patterns,
    subscribe: patterns
  })

const withAuth = { POLESTAR_AUTH_JWT_SECRET: secret, POLESTAR_AUTH_CLOCK_TOLERANCE: "0" }

describeWith("chromium", "browser - the page", (path) => {
  layer(Chromium.layer(path), { timeout: "30 seconds" })((it) => {
    it.effect("browser - publishes, hears, loses the hub, and goes on where it was", () =>
      Effect.gen(function* () {
        const env = { POLESTAR_DATA_DIR: yield* dataFolder }
        const { hub, proxy } = yield* startBehindProxy(env)
        const page = yield* openPage(proxy)
        yield* isState(page, "Connected")
        yield* publishOn(page, "demo.hello", "hello")
        yield* says(page, "receipt", "published to demo.hello at 0")
        yield* hears(page, 'demo.hello: "hello"')
        assert.strictEqual(yield* publish(hub, "demo.a.b", [{ celsius: 12 }]), 202)
        yield* publish(hub, "elsewhere", [1])
        yield* hears(page, 'demo.a.b: {"celsius":12}')

        yield* crash(hub)
        yield* isState(page, "Reconnecting")
        yield* says(page, "why", "connection")
        const again = yield* replaceHub(proxy, env)
        yield* publish(again, "demo.a.b", ["meanwhile", "and more"])
        proxy.up()
        yield* isState(page, "Connected")
        yield* hears(page, "back again, nothing missed (2 caught up)")
        yield* says(page, "why", /^$/)
        yield* publishOn(page, "demo.hello", "again")
        yield* says(page, "receipt", "published to demo.hello at 1")
        yield* hears(page, 'demo.hello: "again"')
        assert.deepStrictEqual(yield* linesOf(page), [
          'demo.hello: "hello"',
          'demo.a.b: {"celsius":12}',
          'demo.a.b: "meanwhile"',
          'demo.a.b: "and more"',
          "back again, nothing missed (2 caught up)",
          'demo.hello: "again"'
        ])
      })
    )

    it.effect("browser - says what it missed, and when a topic began anew", () =>
      Effect.gen(function* () {
        const env = { POLESTAR_HOT_TIER_MESSAGES: "2" }
        const { hub, proxy } = yield* startBehindProxy(env)
        const page = yield* openPage(proxy)
        yield* isState(page, "Connected")
        yield* publish(hub, "demo.a", [0])
        yield* hears(page, "demo.a: 0")

        proxy.down()
        yield* isState(page, "Reconnecting")
        yield* publish(hub, "demo.a", [1, 2, 3, 4, 5])
        proxy.up()
        yield* hears(page, "demo.a: 5")
        assert.deepStrictEqual(yield* linesOf(page), [
          "demo.a: 0",
          "missed 3 messages of demo.a",
          "demo.a: 4",
          "demo.a: 5"
        ])

        yield* crash(hub)
        const again = yield* replaceHub(proxy, env)
        yield* publish(again, "demo.a", ["new"])
        proxy.up()
        yield* hears(page, "demo.a began anew: what was sent meanwhile is not known")
        yield* hears(page, 'demo.a: "new"')
      })
    )

    it.effect("browser - a page of an origin that is not allowed stays outside", () =>
      Effect.gen(function* () {
        const { hub, proxy } = yield* startBehindProxy()
        const { otherOrigin } = yield* Chromium
        const page = yield* openPage(proxy, { origin: otherOrigin })
        yield* publishOn(page, "demo.a", "let me in")
        yield* says(page, "why", `does it let ${otherOrigin} in?`)
        assert.strictEqual(yield* ask(() => page.locator("#state").textContent()), "Connecting")
        const answer = yield* ask(() => fetch(`http://127.0.0.1:${hub.port}/topics`))
        assert.deepStrictEqual(yield* ask(() => answer.json()), { topics: [] })
      })
    )

    it.effect("browser - a token lets a page in; one that is wrong, too old or too weak ends it", () =>
      Effect.gen(function* () {
        const { hub, proxy } = yield* startBehindProxy(withAuth)
        const good = yield* openPage(proxy, { token: yield* tokenFor(60) })
        yield* isState(good, "Connected")
        yield* publishOn(good, "elsewhere", "hello")
        yield* says(good, "receipt", /^not published: the hub refused: forbidden/)
        yield* publishOn(good, "demo.a", "hello")
        yield* hears(good, 'demo.a: "hello"')
        assert.strictEqual(yield* publish(hub, "demo.a", ["wrong"], "mallory"), 401)

        for (const [token, why] of [
          [undefined, "disconnected: unauthorized"],
          ["mallory", "disconnected: unauthorized"],
          [yield* tokenFor(-1), "disconnected: token-expired"],
          [yield* tokenFor(60, ["other.>"]), "the hub refused: forbidden"]
        ] as const) {
          const before = proxy.accepted
          const page = yield* openPage(proxy, token === undefined ? {} : { token })
          yield* isState(page, "Closed")
          yield* says(page, "why", why)
          yield* publishOn(page, "demo.a", "let me in")
          yield* says(page, "receipt", `not published: ${why}`)
          assert.strictEqual(proxy.accepted, before + 1)
        }
        yield* publishOn(good, "demo.a", "the last")
        yield* hears(good, 'demo.a: "the last"')
        assert.deepStrictEqual(yield* linesOf(good), ['demo.a: "hello"', 'demo.a: "the last"'])
      })
    )

    it.effect("browser - a page whose token expires is ended, and does not try it again", () =>
      Effect.gen(function* () {
        const { proxy } = yield* startBehindProxy(withAuth)
        const page = yield* openPage(proxy, { token: yield* tokenFor(5) }, ({ clock }) => clock.install())
        yield* isState(page, "Connected")
        yield* isState(page, "Closed")
        yield* says(page, "why", "disconnected: token-expired")
        yield* ask(() => page.clock.runFor(60_000))
        assert.strictEqual(proxy.accepted, 1)
      })
    )
  })
})
