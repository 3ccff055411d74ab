/** What a page does without the SDK: plain JavaScript, as in the references, in a browser. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import { secret, sign } from "../services/auth/Tokens.ts"
import { describeWith } from "../Tools.ts"
import {
  ask,
  Chromium,
  crash,
  dataFolder,
  publish,
  replaceHub,
  startBehindProxy,
  startHub
} from "./Chromium.ts"

/** An empty page of an origin. */
const openPlain = (origin: string) =>
  Effect.flatMap(Chromium, (chromium) => chromium.open(`${origin}/nothing`))

const allowed = Effect.flatMap(Chromium, ({ origin }) => openPlain(origin))

/** Runs a script as one that the page brings; what it declares stays. */
const run = (page: Page, content: string) => ask(() => page.addScriptTag({ content }))

const until = (page: Page, condition: string) => ask(() => page.waitForFunction(condition))

const valueOf = (page: Page, expression: string) => ask(() => page.evaluate<unknown>(expression))

/** A WebSocket, what it hears and a way to say something. */
const socket = (url: string) => `
  const heard = []
  let ws
  const connect = () => {
    ws = new WebSocket('${url}')
    ws.onmessage = ({ data }) => heard.push(JSON.parse(data))
  }
  const say = (message) => ws.send(JSON.stringify(message))
  connect()
`

const withAuth = { POLESTAR_AUTH_JWT_SECRET: secret }

const token = Effect.suspend(() =>
  sign({
    sub: "page",
    exp: Math.floor(Date.now() / 1000) + 60,
    publish: [">"],
    subscribe: [">"]
  })
)

/** A request with a body and a token, for which a browser asks first: how it was answered, or that it was not. */
const answerOf = (url: string, bearer: string, body: unknown) => `
  fetch('${url}', {
    method: 'POST',
    headers: { 'Authorization': 'Bearer ${bearer}', 'Content-Type': 'application/json' },
    body: '${JSON.stringify(body)}'
  }).then(async (response) => [response.status, (await response.json()).code ?? null], (error) => error.name)
`

describeWith("chromium", "browser - plain JavaScript", (path) => {
  layer(Chromium.layer(path), { timeout: "30 seconds" })((it) => {
    it.effect("browser - a WebSocket in the dialect of events, with a token", () =>
      Effect.gen(function* () {
        const { port } = yield* startHub(withAuth)
        const page = yield* allowed
        yield* run(page, socket(`ws://127.0.0.1:${port}/ws?token=${yield* token}`))
        yield* until(page, "heard.some(({ type }) => type === 'connected')")
        yield* run(
          page,
          `for (const id of ['1', '2', '3'])
             say({ type: 'publish', topic: 'news.eu', message: { id, payload: { n: id } } })
           say({ type: 'subscribe', topic: 'news.*', last_n: 2, request_id: 'req-1' })
           say({ type: 'publish', topic: 'news.eu', message: { id: '4', payload: 'ünïcode' }, request_id: 'req-2' })
           say({ type: 'ping', request_id: 'req-3' })`
        )
        yield* until(page, "heard.some(({ type }) => type === 'pong')")
        yield* until(page, "heard.filter(({ type }) => type === 'event').length === 3")
        assert.deepStrictEqual(
          yield* valueOf(
            page,
            "heard.filter(({ type }) => type === 'event').map(({ topic, message }) => [topic, message.id, message.payload])"
          ),
          [
            ["news.eu", "2", { n: "2" }],
            ["news.eu", "3", { n: "3" }],
            ["news.eu", "4", "ünïcode"]
          ]
        )
        assert.deepStrictEqual(
          yield* valueOf(
            page,
            "heard.filter(({ request_id }) => request_id !== undefined).map(({ type }) => type).sort()"
          ),
          ["ack", "ack", "pong"]
        )
      })
    )

    it.effect("browser - a WebSocket in the dialect of messages gets again what it did not acknowledge", () =>
      Effect.gen(function* () {
        const hub = yield* startHub()
        const page = yield* allowed
        yield* run(page, socket(`ws://127.0.0.1:${hub.port}/ws`))
        yield* until(page, "ws.readyState === WebSocket.OPEN")
        const subscribe =
          "say({ type: 'subscribe', topics: ['notifications', 'alerts.>'], client_id: 'client-123' })"
        const payloads = "heard.filter(({ type }) => type === 'message').map(({ payload }) => payload)"
        yield* run(page, subscribe)
        yield* until(page, "heard.some(({ type }) => type === 'ack')")
        yield* publish(hub, "notifications", ["a", "b"])
        yield* until(page, `${payloads}.length === 2`)
        yield* run(
          page,
          `const { message_id } = heard.find(({ payload }) => payload === 'a')
           say({ type: 'ack', message_id, request_id: 'acked' })`
        )
        yield* until(page, "heard.some(({ request_id }) => request_id === 'acked')")
        yield* run(page, "ws.onclose = () => { heard.length = 0; connect() }; ws.close()")
        yield* until(page, "ws.readyState === WebSocket.OPEN && heard.length === 1")
        yield* run(page, subscribe)
        yield* until(page, `${payloads}.length === 1`)
        yield* publish(hub, "alerts.fire", ["c"])
        yield* until(page, `${payloads}.length === 2`)
        assert.deepStrictEqual(yield* valueOf(page, payloads), ["b", "c"])
      })
    )

    it.effect("browser - an event stream resumes by itself when the hub is back, and repeats nothing", () =>
      Effect.gen(function* () {
        const env = { ...withAuth, POLESTAR_DATA_DIR: yield* dataFolder }
        const bearer = yield* token
        const { hub, proxy } = yield* startBehindProxy(env)
        const page = yield* allowed
        yield* run(
          page,
          `const heard = []
           const told = []
           const source = new EventSource('http://127.0.0.1:${proxy.port}/api/v1/stream?topics=news.*&token=${bearer}')
           source.onmessage = ({ data }) => heard.push(JSON.parse(data).payload)
           for (const name of ['begin', 'recovered', 'gap'])
             source.addEventListener(name, () => told.push(name))`
        )
        yield* until(page, "told.length === 1")
        yield* publish(hub, "news.eu", [1], bearer)
        yield* publish(hub, "news.us", [2], bearer)
        yield* until(page, "heard.length === 2")
        yield* crash(hub)
        yield* until(page, "source.readyState === EventSource.CONNECTING")
        const again = yield* replaceHub(proxy, env)
        yield* publish(again, "news.eu", [3], bearer)
        proxy.up()
        yield* until(page, "heard.length === 3")
        yield* publish(again, "news.us", [4], bearer)
        yield* until(page, "heard.length === 4 && told.length === 2")
        assert.deepStrictEqual(yield* valueOf(page, "[heard, told]"), [
          [1, 2, 3, 4],
          ["begin", "recovered"]
        ])
      })
    )

    it.effect("browser - polls and acknowledges, with a token in a header", () =>
      Effect.gen(function* () {
        const hub = yield* startHub(withAuth)
        const bearer = yield* token
        const page = yield* allowed
        yield* run(
          page,
          `const headers = { 'Authorization': 'Bearer ${bearer}', 'Content-Type': 'application/json' }
           async function poll(timeout) {
             const response = await fetch(
               'http://127.0.0.1:${hub.port}/api/v1/poll?topics=notifications&client_id=page&timeout=' + timeout,
               { headers }
             )
             const data = await response.json()
             if (data.messages.length === 0) return [[], 0]
             const acknowledged = await fetch('http://127.0.0.1:${hub.port}/api/v1/ack', {
               method: 'POST',
               headers,
               body: JSON.stringify({ message_ids: data.messages.map(msg => msg.message_id), client_id: 'page' })
             })
             return [data.messages.map(msg => msg.payload), (await acknowledged.json()).acknowledged]
           }`
        )
        // A client_id that is new begins with what comes next.
        yield* valueOf(page, "poll(0)")
        yield* publish(hub, "notifications", [{ user_id: 123 }], bearer)
        assert.deepStrictEqual(yield* valueOf(page, "poll(30)"), [[{ user_id: 123 }], 1])
        assert.deepStrictEqual(yield* valueOf(page, "poll(0)"), [[], 0])
      })
    )

    it.effect("browser - requests of an origin that is allowed, and of one that is not", () =>
      Effect.gen(function* () {
        const { port } = yield* startHub(withAuth)
        const bearer = yield* token
        const url = `http://127.0.0.1:${port}`
        const inside = yield* allowed
        const outside = yield* openPlain((yield* Chromium).otherOrigin)
        const message = { topic: "a", payload: 1 }
        const publishBy = (page: Page, as: string) =>
          valueOf(page, answerOf(`${url}/api/v1/messages`, as, message))
        assert.deepStrictEqual(yield* publishBy(inside, bearer), [202, null])
        assert.deepStrictEqual(yield* publishBy(inside, "mallory"), [401, "UNAUTHORIZED"])
        assert.strictEqual(yield* publishBy(outside, bearer), "TypeError")
        // What a browser sends without asking first, as a form does.
        const simple = `fetch('${url}/api/v1/stream?topics=a&token=${bearer}').catch((error) => error.name)`
        assert.strictEqual(yield* valueOf(outside, simple), "TypeError")
        const topics = yield* valueOf(
          inside,
          `fetch('${url}/topics', { headers: { 'Authorization': 'Bearer ${bearer}' } })
             .then(async (response) => (await response.json()).topics.map(({ name, messages }) => [name, messages]))`
        )
        assert.deepStrictEqual(topics, [["a", 1]])
        yield* run(
          outside,
          `let answer
           const ws = new WebSocket('ws://127.0.0.1:${port}/ws?token=${bearer}')
           ws.onopen = ws.onerror = ({ type }) => { answer = type }`
        )
        yield* until(outside, "answer !== undefined")
        assert.strictEqual(yield* valueOf(outside, "answer"), "error")
      })
    )
  })
})
