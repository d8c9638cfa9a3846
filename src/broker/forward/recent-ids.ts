/**
 * Ids of QoS 2 messages that other nodes have sent, as many as were the last, with the time at which they came: a publisher whose node ended before it knew
 * that a message had arrived everywhere publishes it again, under the same id.
 */

/** Of each of the two generations. */
const MAX_IDS = 100_000

export class RecentIds {
  readonly #now: () => number
  readonly #max: number
  #young = new Map<string, number>()
  #old: ReadonlyMap<string, number> = new Map()

  /** `now` is the wall clock, ms. */
  constructor(now: () => number, max = MAX_IDS) {
    this.#now = now
    this.#max = max
  }

  /** When an id was noted first; undefined when it is not known, or not any more. */
  cameAtMs(id: string): number | undefined {
    return this.#young.get(id) ?? this.#old.get(id)
  }

  /** Notes an id. Returns whether it is new. */
  add(id: string): boolean {
    if (this.#young.has(id)) return false
    const formerMs = this.#old.get(id)
    this.#young.set(id, formerMs ?? this.#now())
    if (this.#young.size >= this.#max) {
      this.#old = this.#young
      this.#young = new Map()
    }
    return formerMs === undefined
  }
}
