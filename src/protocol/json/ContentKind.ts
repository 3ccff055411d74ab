/** How a payload of a content type stands in JSON: as it is, as a string, or in base64. */
import { jsonContentType, textContentType } from "../Message.ts"

export type ContentKind = "json" | "text" | "bytes"

/**
 * By the type alone: what bytes there are is for the caller to check. Text of another charset than UTF-8 is bytes, since
 * JSON has no other.
 */
export const contentKindOf = (contentType: string | undefined): ContentKind => {
  if (contentType === undefined) return "bytes"
  if (contentType === jsonContentType) return "json"
  if (contentType === textContentType) return "text"
  const match = form.exec(contentType)
  if (match === null) return "bytes"
  const charset = charsetForm.exec(match[2] ?? "")?.[1]?.toLowerCase()
  if (charset !== undefined && charset !== "utf-8" && charset !== "utf8" && charset !== "us-ascii")
    return "bytes"
  const type = match[1]?.toLowerCase() ?? ""
  if (type === jsonContentType || type.endsWith("+json")) return "json"
  return type.startsWith("text/") ? "text" : "bytes"
}

/** The type, and the parameters after the first semicolon. */
const form = /^\s*([^\s;]+)\s*(?:;(.*))?$/s
const charsetForm = /(?:^|;)\s*charset\s*=\s*"?([^\s;"]+)/i
