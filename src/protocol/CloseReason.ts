/**
 * Why a connection or a session ended: one numbered table. The numbers are also valid WebSocket close codes.
 *
 * - 1000: an ordinary end, asked for.
 * - 3000 – 3499: the client may connect again, after a backoff.
 * - 3500 – 3999: connecting again would end the same way; the client must change something first.
 */
export const CloseReasons = {
  normal: 1000,
  "shutting-down": 3000,
  "slow-consumer": 3001,
  "ping-timeout": 3002,
  "write-timeout": 3003,
  "hello-timeout": 3004,
  "too-many-connections": 3005,
  "hub-failed": 3006,
  "connection-lost": 3007,
  "token-expired": 3008,
  "protocol-error": 3500,
  "unsupported-version": 3501,
  "frame-too-large": 3502,
  unauthorized: 3503,
  "group-removed": 3504
} as const

export type CloseReason = keyof typeof CloseReasons

const byCode = new Map<number, CloseReason>(
  Object.entries(CloseReasons).map(([name, code]) => [code, name as CloseReason])
)

/** The name of a code; a code of a later version reads as the mildest of its range. */
export const closeReasonOf = (code: number): CloseReason =>
  byCode.get(code) ?? (code >= 3500 ? "protocol-error" : code >= 3000 ? "connection-lost" : "normal")

export const mayReconnect = (reason: CloseReason): boolean => {
  const code = CloseReasons[reason]
  return code >= 3000 && code < 3500
}
