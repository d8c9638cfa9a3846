/**
 * A bounded map from topic to what was found for it, dropping what was not used lately.
 *
 * Two generations: a hit in the old one moves the entry to the young one; when the young one is full, it becomes the old
 * one and the former old one goes. That is nearly LRU and costs one lookup and no list. Entries have weights, since one
 * topic may have a hundred thousand destinations and another none.
 */

export interface MatchCacheLimits {
  /** Topics per generation; twice that may be held. */
  readonly maxTopics: number
  /** Sum of weights per generation. */
  readonly maxWeight: number
}

/** What the cache has to know of its entries. */
export interface Weighed {
  readonly weight: number
}

export class MatchCache<Entry extends Weighed> {
  readonly #limits: MatchCacheLimits
  #young = new Map<string, Entry>()
  #old = new Map<string, Entry>()
  /** Of the young generation. */
  #weight = 0

  constructor(limits: MatchCacheLimits) {
    this.#limits = limits
  }

  /** Number of topics held. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(topic: string): Entry | undefined {
    const entry = this.#young.get(topic)
    if (entry !== undefined) return entry
    const aged = this.#old.get(topic)
    if (aged !== undefined) this.set(topic, aged)
    return aged
  }

  set(topic: string, entry: Entry): void {
    this.delete(topic)
    if (this.#young.size >= this.#limits.maxTopics || this.#weight + entry.weight > this.#limits.maxWeight) {
      this.#old = this.#young
      this.#young = new Map()
      this.#weight = 0
    }
    this.#young.set(topic, entry)
    this.#weight += entry.weight
  }

  delete(topic: string): void {
    const entry = this.#young.get(topic)
    if (entry !== undefined) {
      this.#weight -= entry.weight
      this.#young.delete(topic)
    } else this.#old.delete(topic)
  }
}
