/**
 * Which key expires next: a binary heap of (time, key).
 *
 * A key whose expiry changes is pushed again and its former entry stays until it surfaces; whoever takes due keys looks
 * at the row itself to see whether it has really expired. `compact` is for when stale entries are the greater part.
 */

interface Entry {
  readonly atMs: number
  readonly key: string
}

export class ExpiryHeap {
  #entries: Entry[] = []

  /** Number of entries, stale ones included. */
  get size(): number {
    return this.#entries.length
  }

  /** Time of the earliest entry; undefined when there is none. */
  get nextMs(): number | undefined {
    return this.#entries[0]?.atMs
  }

  push(key: string, atMs: number): void {
    const entries = this.#entries
    const entry = { atMs, key }
    let at = entries.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (entries[parent]!.atMs <= atMs) break
      entries[at] = entries[parent]!
      at = parent
    }
    entries[at] = entry
  }

  /** Takes the earliest entry whose time has come, and returns its key. */
  popDue(nowMs: number): string | undefined {
    const top = this.#entries[0]
    if (top === undefined || top.atMs > nowMs) return undefined
    const last = this.#entries.pop()!
    if (this.#entries.length > 0) this.#sink(last)
    return top.key
  }

  /** Drops the entries for which `isCurrent` does not hold, and all but one of equal ones. */
  compact(isCurrent: (key: string, atMs: number) => boolean): void {
    const current = new Map<string, number>()
    for (const { key, atMs } of this.#entries) if (isCurrent(key, atMs)) current.set(key, atMs)
    this.#entries = []
    for (const [key, atMs] of current) this.push(key, atMs)
  }

  #sink(entry: Entry): void {
    const entries = this.#entries
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= entries.length) break
      if (child + 1 < entries.length && entries[child + 1]!.atMs < entries[child]!.atMs) child++
      if (entries[child]!.atMs >= entry.atMs) break
      entries[at] = entries[child]!
      at = child
    }
    entries[at] = entry
  }
}
