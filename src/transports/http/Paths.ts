/** The addresses of the web side: one spelling for each. Pure. */

const known =
  /^\/(|api\/v1\/(messages(\/bulk)?|poll|ack|stream|topics\/[^/;#]+\/messages)|topics(\/[^/;#]+)?|ws|stats|metrics|health|ready|docs|openapi\.json)$/

export const publishPath = "/api/v1/messages"
export const bulkPath = "/api/v1/messages/bulk"
export const pollPath = "/api/v1/poll"
export const ackPath = "/api/v1/ack"
export const streamPath = "/api/v1/stream"
export const webSocketPath = "/ws"

/** Without the hub's own address, which a proxy may leave in front. */
export const originForm = (url = "/"): string => {
  if (url.startsWith("/")) return url
  const rest = url.replace(/^https?:\/\/[^/?#]*/i, "")
  return rest.startsWith("/") ? rest : `/${rest}`
}

/** Without the query. */
export const pathOf = (url = "/"): string => {
  const at = url.indexOf("?")
  return at < 0 ? url : url.slice(0, at)
}

/**
 * Whether there is something at the path, as it is spelt: with no other case, escapes, slashes or parameters. What is at
 * no other may hold anything, a token too, and is not to be shown.
 */
export const isKnownPath = (path: string): boolean => known.test(path)

/** Names of parameters whose values are not to be shown: all but those that say what is read, and how. */
export const hiddenParameter =
  /^(?!(topics?|from|last|after|limit|max|timeout|client_id|overflow|ttl|priority|deliver_at)$)/
