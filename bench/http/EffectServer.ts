/**
 * The API's publishing as one writes it first with Effect's HTTP server: the body is read as JSON, and answered 202 with
 * JSON; nothing is published. No logger. `node EffectServer.ts <port>`.
 */
import { createServer } from "node:http"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { receipt, receipts } from "./Receipts.ts"

let messages = 0

const routes = Layer.mergeAll(
  HttpRouter.add(
    "POST",
    "/api/v1/messages",
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const body = yield* request.json
      return yield* HttpServerResponse.json(receipt(body, messages++), { status: 202 })
    })
  ),
  HttpRouter.add(
    "POST",
    "/api/v1/messages/bulk",
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const results = receipts(yield* request.json, messages)
      messages += results.length
      return yield* HttpServerResponse.json(
        { accepted: results.length, rejected: 0, results },
        { status: 202 }
      )
    })
  ),
  HttpRouter.add(
    "GET",
    "/stats",
    Effect.suspend(() => HttpServerResponse.json({ total_messages: messages }))
  )
)

HttpRouter.serve(routes, { disableLogger: true }).pipe(
  Layer.provide(NodeHttpServer.layer(createServer, { port: Number(process.argv[2]), host: "127.0.0.1" })),
  Layer.launch,
  NodeRuntime.runMain
)
