/**
 * Which pages may use the hub. A browser sends the cookies and reaches the networks of whoever looks at a page, so what
 * a page asks is not what its reader asks; every other client says what it wants itself. Pure.
 */

/** The request headers that decide; in lower case, as Node has them. */
export interface OriginHeaders {
  readonly origin?: string | undefined
  readonly host?: string | undefined
}

/** What a browser says of where a request comes from, also where it sends no `Origin`: for a picture, a script, a link. */
export interface FetchHeaders {
  readonly origin?: string | undefined
  readonly "sec-fetch-site"?: string | string[] | undefined
}

/**
 * `machine`: by this machine's own alone. `network`: by addresses too, and by names that nobody can register. `any`: by
 * whatever it is called.
 */
export type Hosts = "machine" | "network" | "any"

export interface OriginRules {
  /** Patterns of `allowedOrigins`; `undefined` if none were given. */
  readonly allowed: ReadonlyArray<string> | undefined
  /** By which names the hub answers, besides those of allowed origins. */
  readonly hosts: Hosts
}

const pattern = /^https?:\/\/(\*\.)?[a-z0-9.-]+(:\d{1,5})?$|^https?:\/\/\[[0-9a-f:]+\](:\d{1,5})?$/i

/** `*`, `https://app.example`, `http://localhost:3000`, or `https://*.example` for all hosts below it. */
export const isOriginPattern = (text: string): boolean => text === "*" || pattern.test(text)

const covers = (allowed: string, origin: string): boolean => {
  if (allowed === "*") return true
  const [rule, asked] = [allowed.toLowerCase(), origin.toLowerCase()]
  const star = rule.indexOf("*.")
  if (star < 0) return rule === asked
  const [scheme, rest] = [rule.slice(0, star), rule.slice(star + 1)]
  return asked.startsWith(scheme) && asked.endsWith(rest) && asked.length > scheme.length + rest.length
}

/** `127.0.0.1:8080`, `[::1]`, `localhost`: how this machine names itself. */
const machineHost = /^(localhost|127(\.\d{1,3}){3}|\[::1\]|\[::ffff:127(\.\d{1,3}){3}\])(:\d{1,5})?$/i

/** An address, a name without dots, or one below a domain that is kept for private networks. */
const networkHost =
  /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\]|[a-z0-9_-]+|([a-z0-9_-]+\.)+(local|internal|localhost|svc|home\.arpa))(:\d{1,5})?$/i

const isNamed = (host: string, { allowed, hosts }: OriginRules): boolean =>
  hosts === "any" ||
  (hosts === "machine" ? machineHost : networkHost).test(host) ||
  (allowed ?? []).some((each) => covers(each, `https://${host}`) || covers(each, `http://${host}`))

/**
 * Which header keeps a request from being served, if one does. An `Origin` must be the hub's own address or allowed. The
 * hub answers only by names that cannot be a page's: otherwise a page could have its own name point here, and be of the
 * same origin (DNS rebinding).
 */
export const originFault = (
  { host, origin }: OriginHeaders,
  rules: OriginRules
): "host" | "origin" | undefined => {
  if (host !== undefined && !isNamed(host, rules)) return "host"
  if (origin === undefined) return undefined
  const isOwn = host !== undefined && (origin === `http://${host}` || origin === `https://${host}`)
  return isOwn || rules.allowed?.some((each) => covers(each, origin)) ? undefined : "origin"
}

/** Whether a request may be served, as far as these headers say. */
export const isAllowedOrigin = (headers: OriginHeaders, rules: OriginRules): boolean =>
  originFault(headers, rules) === undefined

/**
 * Whether a page from elsewhere has its reader's browser ask without an `Origin`, by which it could be told whether it
 * may. Such a page does not see the answer, but what is asked would be done.
 */
export const isAskedBlindly = (headers: FetchHeaders): boolean => {
  const site = headers["sec-fetch-site"]
  return headers.origin === undefined && site !== undefined && site !== "same-origin" && site !== "none"
}
