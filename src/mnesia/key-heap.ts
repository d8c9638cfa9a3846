/**
 * Keys in their order, out of any number that come in none, without a pause: reading and arranging them is done in steps, and each
 * `pop` finds only the next. What is not asked for is never sorted.
 */

export class KeyHeap {
  readonly #source: IterableIterator<string>
  readonly #keys: string[] = []
  /** Number of keys that have yet to find their place; undefined while keys are being read. */
  #unsettled: number | undefined

  constructor(source: IterableIterator<string>) {
    this.#source = source
  }

  get isReady(): boolean {
    return this.#unsettled === 0
  }

  /** Does that many steps of what has to be done before the first `pop`. Returns true when nothing is left. */
  prepare(steps: number): boolean {
    const keys = this.#keys
    let left = steps
    while (this.#unsettled === undefined && left-- > 0) {
      const { done, value } = this.#source.next()
      if (done) this.#unsettled = keys.length >> 1
      else keys.push(value)
    }
    while (this.#unsettled !== undefined && this.#unsettled > 0 && left-- > 0) this.#sink(--this.#unsettled)
    return this.isReady
  }

  pop(): string | undefined {
    const keys = this.#keys
    const least = keys[0]
    const last = keys.pop()
    if (keys.length > 0) {
      keys[0] = last!
      this.#sink(0)
    }
    return least
  }

  #sink(from: number): void {
    const keys = this.#keys
    const key = keys[from]!
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= keys.length) break
      if (child + 1 < keys.length && keys[child + 1]! < keys[child]!) child++
      if (!(keys[child]! < key)) break
      keys[at] = keys[child]!
      at = child
    }
    keys[at] = key
  }
}

/** Lets everything else that waits have its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
