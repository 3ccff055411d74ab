/** A group's options as they become of what who makes or joins it gives. */
import type { Order } from "../../protocol/Position.ts"
import type { Settings } from "../../services/Settings.ts"
import type { GroupOptions } from "./GroupRecord.ts"

/** Options that may be left to the group, or for a new one to the hub's settings. */
export type GivenOptions = {
  /** Of `inactiveThreshold`, 0 is never. */
  readonly [K in keyof Omit<GroupOptions, "order">]: number | undefined
}

const keys = ["ackWait", "maxDeliveries", "maxInFlight", "backoff", "maxBackoff"] as const

export const newOptions = (
  settings: Settings["Service"],
  order: Order,
  given: GivenOptions
): GroupOptions => ({
  order,
  ackWait: settings.groupAckWait,
  maxDeliveries: settings.maxRetries + 1,
  maxInFlight: settings.groupMaxInFlight,
  backoff: settings.groupBackoff,
  maxBackoff: settings.groupMaxBackoff,
  ...valuesOf(given),
  ...expiryOf(given.inactiveThreshold)
})

/** `undefined` if nothing changes. A group that was made for good stays so, whoever joins it. */
export const changedOptions = (present: GroupOptions, given: GivenOptions): GroupOptions | undefined => {
  const { inactiveThreshold, ...others } = present
  const threshold =
    inactiveThreshold === undefined ? undefined : (given.inactiveThreshold ?? inactiveThreshold)
  const changed: GroupOptions = { ...others, ...valuesOf(given), ...expiryOf(threshold) }
  const isSame = [...keys, "inactiveThreshold" as const].every((key) => changed[key] === present[key])
  return isSame ? undefined : changed
}

const expiryOf = (inactiveThreshold: number | undefined): Pick<GroupOptions, "inactiveThreshold"> =>
  inactiveThreshold === undefined || inactiveThreshold === 0 ? {} : { inactiveThreshold }

const valuesOf = (given: GivenOptions): Partial<GroupOptions> =>
  Object.fromEntries(keys.flatMap((key) => (given[key] === undefined ? [] : [[key, given[key]]])))
