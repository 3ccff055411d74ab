/** Why a page, or what stands between it and the hub, may not use the hub: which header it is, and which setting lets it in. */
import { isAskedBlindly, type OriginRules, originFault } from "../../protocol/Origins.ts"
import { Refusal, refusal } from "./Refusal.ts"

interface Headers {
  readonly origin?: string | undefined
  readonly host?: string | undefined
  readonly "sec-fetch-site"?: string | string[] | undefined
}

const details = {
  host:
    "The header Host names neither this machine nor, where others reach the hub, its address: the setting " +
    "`allowedOrigins` lets that name in, as https://<host>, also where a reverse proxy passes its own on.",
  origin: "Pages of this Origin may not use the hub: the setting `allowedOrigins` lets it in."
} as const

/** Why the request may not be served, if so. The log names the header's value, the answer does not. */
export const refusedOrigin = (headers: Headers, rules: OriginRules): Refusal | undefined => {
  const fault = originFault(headers, rules)
  if (fault === undefined) return undefined
  const { problem } = refusal("ORIGIN_NOT_ALLOWED", details[fault])
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
