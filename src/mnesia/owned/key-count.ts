/**
 * How many different keys there are in several containers of rows, without looking at all of them each time.
 *
 * The count is kept as keys come and go, which costs a lookup in each other container. When other containers become visible it has to be made
 * anew: at once when there are few keys, else a shard at a time in turns of its own, by the order of hashes; until then `count` is an
 * estimate between the greatest of the containers and their sum.
 */
import type { Rows } from '../rows/rows.ts'
import { END, type Position } from '../rows/shards.ts'

/** Up to so many keys are counted in one go. */
const FEW = 5000

export class KeyCount<Row> {
  #containers: readonly Rows<Row>[] = []
  /** Different keys with hashes below `#upTo`. */
  #counted = 0
  #upTo: Position = END

  /** Other containers are visible. Returns whether there is something to count: `counting` does it. */
  reset(containers: readonly Rows<Row>[]): boolean {
    this.#containers = containers
    this.#counted = 0
    this.#upTo = 0
    if (containers.length === 0) this.#upTo = END
    let keys = 0
    for (const { keyCount } of containers) keys += keyCount
    if (keys <= FEW) while (this.#proceed()) {}
    return this.#upTo < END
  }

  /** Counts the keys of one more shard with each call, until it returns false. */
  counting(): () => boolean {
    const containers = this.#containers
    return () => containers === this.#containers && this.#proceed()
  }

  /** A key has come to a container, or gone from it. */
  changed(container: Rows<Row>, key: string, hash: number, by: 1 | -1): void {
    if (hash >>> 0 >= this.#upTo) return
    for (const other of this.#containers) if (other !== container && other.has(key, hash)) return
    this.#counted += by
  }

  get count(): number {
    if (this.#upTo === END) return this.#counted
    let most = 0
    let sum = 0
    for (const { keyCount } of this.#containers) {
      most = Math.max(most, keyCount)
      sum += keyCount
    }
    // As if the keys that have been counted were a fair sample.
    const guess = this.#upTo === 0 ? most : (this.#counted * END) / this.#upTo
    return Math.round(Math.min(sum, Math.max(most, guess)))
  }

  #proceed(): boolean {
    const from = this.#upTo
    if (from === END) return false
    const [first] = this.#containers
    const to = first?.keyChunk(from).next ?? END
    this.#containers.forEach((container, i) => {
      for (let at: Position | undefined = from; at !== undefined; ) {
        const { keys, next }: { keys: readonly string[]; next: Position | undefined } = container.keyChunk(at, to)
        for (const key of keys) if (!this.#isInFormer(key, i)) this.#counted++
        at = next
      }
    })
    this.#upTo = to
    return to < END
  }

  #isInFormer(key: string, before: number): boolean {
    for (let i = 0; i < before; i++) if (this.#containers[i]!.has(key)) return true
    return false
  }
}
