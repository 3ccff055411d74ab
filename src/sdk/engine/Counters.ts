/** What a client counts, in messages but for `reconnects`; the meaning of each is in `ClientMetrics`. */
export class Counters {
  published = 0
  rejected = 0
  retried = 0
  reconnects = 0
  received = 0
  dropped = 0
  undecodable = 0
}
