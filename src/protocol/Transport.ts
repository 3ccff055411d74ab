/** By what a client reaches the hub: the `type` of `proxy_connections_total`, and the `transport` of a line of the log. */
export const transports = ["tcp", "websocket", "long-poll", "event-stream", "http", "memory"] as const

/** `http` is what all requests that only publish have in common; `memory` is a client in the hub's own process. */
export type Transport = (typeof transports)[number]
