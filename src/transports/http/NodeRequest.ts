/** Node's own request and response behind those of Effect. They are of HTTP/1.1, since no other is listened for. */
import { IncomingMessage, ServerResponse } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import type { HttpServerRequest } from "effect/http"

export const nodeRequest = (request: HttpServerRequest.HttpServerRequest): IncomingMessage => {
  const node = NodeHttpServerRequest.toIncomingMessage(request)
  if (node instanceof IncomingMessage) return node
  throw new TypeError("a request that is not of HTTP/1.1")
}

export const nodeResponse = (request: HttpServerRequest.HttpServerRequest): ServerResponse => {
  const node = NodeHttpServerRequest.toServerResponse(request)
  if (node instanceof ServerResponse) return node
  throw new TypeError("a response that is not of HTTP/1.1")
}
