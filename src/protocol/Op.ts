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
  Join: 0x18,
  Joined: 0x19,
  Ack: 0x1a,
  Refuse: 0x1b,
  Acked: 0x1c,
  Left: 0x1d,
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

/** In JOIN: the group's own, or the hub's default for a new group. */
export const notGiven = { u16: 0xffff, u32: 0xffff_ffff } as const

/** Ranges of one ACK or REFUSE, at most. */
export const maxAckRanges = 4096

/** The credit that is never used up. */
export const unlimitedCredit = 0xffff_ffff
