/**
 * Keys in their order, out of any number that come in none, without a pause.
 *
 * They are read into runs of some thousand, each of which the engine sorts at once, and the runs are merged as keys are asked for: a heap
 * of the runs, the one with the least key on top. That is half the work of a heap of all keys, whose comparisons miss every cache.
 */

const RUN_KEYS = 4096

/** A sorted list, and how far it has been given. */
interface Run {
  readonly keys: string[]
  at: number
  /** `keys[at]`. */
  head: string
}

export class KeysInOrder {
  readonly #source: Iterator<string>
  #filling: string[] = []
  /** The run with the least head first; each before those at twice its place and one, and two. */
  readonly #runs: Run[] = []
  #isReady = false

  constructor(source: Iterable<string>) {
    this.#source = source[Symbol.iterator]()
  }

  get isReady(): boolean {
    return this.#isReady
  }

  /** Reads that many keys and sorts full runs, which has to be done before the first `next`. Returns true when nothing is left. */
  prepare(keys: number): boolean {
    for (let left = keys; !this.#isReady && left > 0; left--) {
      const { done, value } = this.#source.next()
      if (done) {
        this.#endRun()
        this.#isReady = true
      } else if (this.#filling.push(value) === RUN_KEYS) this.#endRun()
    }
    return this.#isReady
  }

  next(): string | undefined {
    const runs = this.#runs
    const run = runs[0]
    if (run === undefined) return undefined
    const key = run.head
    if (++run.at < run.keys.length) {
      run.head = run.keys[run.at]!
      if (runs.length > 1) this.#sink()
    } else {
      const last = runs.pop()!
      if (runs.length > 0) {
        runs[0] = last
        this.#sink()
      }
    }
    return key
  }

  #endRun(): void {
    if (this.#filling.length === 0) return
    const keys = this.#filling.sort()
    this.#filling = []
    const run = { keys, at: 0, head: keys[0]! }
    const runs = this.#runs
    let at = runs.push(run) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (runs[parent]!.head <= run.head) break
      runs[at] = runs[parent]!
      at = parent
    }
    runs[at] = run
  }

  /** Brings the first run to its place. */
  #sink(): void {
    const runs = this.#runs
    const run = runs[0]!
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= runs.length) break
      if (child + 1 < runs.length && runs[child + 1]!.head < runs[child]!.head) child++
      if (run.head <= runs[child]!.head) break
      runs[at] = runs[child]!
      at = child
    }
    runs[at] = run
  }
}

/** Lets everything else that waits have its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
