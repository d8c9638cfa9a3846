/**
 * Ids of QoS 2 messages that other nodes have sent, and in a cluster of those that clients of this node have published, as many as were the last, with the
 * order in which they came: a publisher whose node ended before it knew that a message had arrived everywhere publishes it again, under the same id.
 */

/** Of each of the two generations. */
const MAX_IDS = 100_000

export class RecentIds {
  readonly #mark: () => string
  readonly #max: number
  #young = new Map<string, string>()
  #old = new Map<string, string>()

  /** `mark` returns marks that grow: a clock may be set back. */
  constructor(mark: () => string, max = MAX_IDS) {
    this.#mark = mark
    this.#max = max
  }

  /** The mark of the moment at which an id was noted first; undefined when it is not known, or not any more. */
  arrivalOf(id: string): string | undefined {
    return this.#young.get(id) ?? this.#old.get(id)
  }

  /** Notes an id. Returns whether it is new. */
  add(id: string): boolean {
    if (this.#young.has(id)) return false
    const former = this.#old.get(id)
    this.#young.set(id, former ?? this.#mark())
    if (this.#young.size >= this.#max) {
      this.#old = this.#young
      this.#young = new Map()
    }
    return former === undefined
  }

  /** Forgets an id: what comes under it from now on is new. */
  forget(id: string): void {
    this.#young.delete(id)
    this.#old.delete(id)
  }
}
