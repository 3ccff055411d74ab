/** Why a page, or what stands between it and the hub, may not use the hub: which header it is, and which setting lets it in. */
import type { IncomingMessage } from "node:http"
import { TLSSocket } from "node:tls"
import { isAskedBlindly, isOriginPattern, type OriginRules, originFault } from "../../protocol/Origins.ts"
import { hasTwo } from "./Caller.ts"
import { badRequest, Refusal, refusal } from "./Refusal.ts"

interface Headers {
  readonly origin?: string | undefined
  readonly "sec-fetch-site"?: string | string[] | undefined
}

/** Characters of a Host that is said again. */
const maxHost = 261

/** What to set, to be pasted as it is. Of a Host that could not be set nothing is said again. */
const hostDetail = ({ headers: { host = "" }, socket }: Request): string => {
  const origin = `${socket instanceof TLSSocket ? "https" : "http"}://${host}`
  const canBeSet = host.length <= maxHost && !host.includes("*") && isOriginPattern(origin)
  return (
    "The hub does not answer by the name in the header Host. If it is to be reached by that name, also through a " +
    `reverse proxy, add \`${canBeSet ? origin : "http://<name>:<port>"}\` to the setting \`allowedOrigins\`.`
  )
}

const originDetail = "Pages of this Origin may not use the hub: the setting `allowedOrigins` lets it in."

type Request = Pick<IncomingMessage, "headers" | "rawHeaders" | "socket">

/** Why the request may not be served, by its Host or Origin, if so. The log names the header's value. */
export const refusedOrigin = (request: Request, rules: OriginRules): Refusal | undefined => {
  const { headers, rawHeaders } = request
  // Of two, whatever stands before the hub may have gone by the other one.
  if (hasTwo(rawHeaders, "host")) return badRequest("it has more than one header Host")
  const fault = originFault(headers, rules)
  if (fault === undefined) return undefined
  const { problem } = refusal("ORIGIN_NOT_ALLOWED", fault === "host" ? hostDetail(request) : originDetail)
  return new Refusal({ problem, why: `${fault} ${headers[fault] ?? ""}` })
}

/** The same for what a browser asks without saying for which page. */
export const refusedBlindly = (headers: Headers): Refusal | undefined =>
  isAskedBlindly(headers)
    ? refusal(
        "ORIGIN_NOT_ALLOWED",
        "A page from elsewhere asks without an Origin, as for a picture or a link: it may only ask as `fetch` does."
      )
    : undefined
