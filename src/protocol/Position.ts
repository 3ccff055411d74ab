/**
 * Where a message stands in its topic. The epoch changes when the topic's log is lost or made anew, so an
 * offset of one log is never taken for an offset of another.
 */
export interface Position {
  readonly epoch: number
  readonly offset: number
}

/** What a subscription starts with. Times are milliseconds since 1970 on the hub's clock. */
export type Start =
  | { readonly _tag: "Now" }
  /** The last `count` messages of each topic, then what comes. */
  | { readonly _tag: "Last"; readonly count: number }
  | { readonly _tag: "Position"; readonly position: Position }
  | { readonly _tag: "Time"; readonly time: number }
  /**
   * After a reconnection: for each topic seen, the position of the first message that was not received; topics
   * that are not in the list are read from `since`.
   */
  | { readonly _tag: "Resume"; readonly since: number; readonly topics: ReadonlyArray<TopicPosition> }
  /** The oldest message that is kept. */
  | { readonly _tag: "First" }

export interface TopicPosition extends Position {
  readonly topic: string
}

export const Overflows = ["wait", "drop-oldest", "drop-newest", "disconnect"] as const

/**
 * What happens to a message for a subscription whose mailbox is full: the topic and so its publishers wait; the
 * oldest of the least urgent messages go; the new one goes; the session is closed as a slow consumer.
 */
export type Overflow = (typeof Overflows)[number]

export const Durabilities = ["accepted", "stored", "replicated"] as const

/** What a receipt is worth: in the hub's memory; flushed to its disk; in the shared log of many hubs. */
export type Durability = (typeof Durabilities)[number]

export const Orders = ["any", "key"] as const

/** In which order a group's members get its messages: any, or those of one key one after the other. */
export type Order = (typeof Orders)[number]

export const Fates = ["again", "dead", "park", "back", "hold"] as const

/**
 * What becomes of a message that a member does not acknowledge: delivered again after a delay; moved to the dead-letter
 * topic; set aside until the group is resumed; given back, which is no failure; or held on to, so that the
 * acknowledgement wait begins anew.
 */
export type Fate = (typeof Fates)[number]

/** Offsets from `from` to before `to`. */
export interface OffsetRange {
  readonly from: number
  readonly to: number
}
