/** The operations of the binary protocol, version 1. See README.md here for the frames. */
export const Op = {
  Hello: 0x01,
  Welcome: 0x02,
  Open: 0x03,
  Opened: 0x04,
  Close: 0x05,
  Closed: 0x06,
  Subscribe: 0x07,
  Subscribed: 0x08,
  Unsubscribe: 0x09,
  Unsubscribed: 0x0a,
  Credit: 0x0b,
  Request: 0x0d,
  Response: 0x0e,
  Publish: 0x10,
  Deliver: 0x11,
  Receipt: 0x12,
  Rejected: 0x13,
  Dropped: 0x14,
  Recovered: 0x15,
  Gap: 0x16,
  CaughtUp: 0x17,
  Failure: 0x1f,
  Ping: 0x20,
  Pong: 0x21,
  Goodbye: 0x22
} as const

export const protocolVersion = 1

/** What the two sides may agree on; each is in force if both name it. */
export const Features = {
  /** Deliveries are limited by credit; without it a subscription's credit is unlimited. */
  credit: 1,
  /** REQUEST and RESPONSE. */
  requests: 2
} as const

/** The credit that is never used up. */
export const unlimitedCredit = 0xffff_ffff
