/**
 * Ids of QoS 2 messages that other nodes have sent, as many as were the last: a publisher whose node ended before it knew that a message had arrived
 * everywhere publishes it again, under the same id.
 */

/** Of each of the two generations. */
const MAX_IDS = 100_000

export class RecentIds {
  readonly #max: number
  #young = new Set<string>()
  #old = new Set<string>()

  constructor(max = MAX_IDS) {
    this.#max = max
  }

  /** Notes an id. Returns whether it is new. */
  add(id: string): boolean {
    if (this.#young.has(id)) return false
    const isNew = !this.#old.has(id)
    this.#young.add(id)
    if (this.#young.size >= this.#max) {
      this.#old = this.#young
      this.#young = new Set()
    }
    return isNew
  }
}
