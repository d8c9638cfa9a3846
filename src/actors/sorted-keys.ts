/**
 * A sorted set of keys: what makes a table an ordered_set.
 *
 * Keys lie in sorted blocks of bounded length, so that inserting among 100,000 keys moves a block's few hundred and not
 * all. A tree would do the same with an object per key. Walking with `next` remembers where the last answer was found and
 * then costs a comparison instead of a search.
 */
const MAX_BLOCK = 512
const MERGE_BELOW = MAX_BLOCK / 4

/** Negative when `a` comes before `b`, 0 when they are the same key. */
export type Compare<K> = (a: K, b: K) => number

/** Order of strings by UTF-16 code units, that of `<`. */
export function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

export class SortedKeys<K> {
  /** Never an empty block; every key of a block is smaller than those of the next. */
  readonly #blocks: K[][] = []
  readonly #compare: Compare<K>
  #size = 0
  /** Where `ceiling` or `next` found its last answer. */
  #lastBlock = 0
  #lastIndex = 0

  constructor(compare: Compare<K>) {
    this.#compare = compare
  }

  get size(): number {
    return this.#size
  }

  /** Adds a key that is not in the set. */
  insert(key: K): void {
    this.#size++
    if (this.#blocks.length === 0) {
      this.#blocks.push([key])
      return
    }
    const at = Math.min(this.#blockOf(key), this.#blocks.length - 1)
    const block = this.#blocks[at]!
    block.splice(this.#lowerBound(block, key), 0, key)
    if (block.length > MAX_BLOCK) this.#blocks.splice(at + 1, 0, block.splice(MAX_BLOCK / 2))
  }

  /** Removes a key that is in the set. */
  delete(key: K): void {
    const at = this.#blockOf(key)
    const block = this.#blocks[at]
    if (block === undefined) return
    const index = this.#lowerBound(block, key)
    if (index === block.length || this.#compare(block[index]!, key) !== 0) return
    block.splice(index, 1)
    this.#size--
    if (block.length === 0) {
      this.#blocks.splice(at, 1)
      return
    }
    const following = this.#blocks[at + 1]
    if (block.length < MERGE_BELOW && following !== undefined && block.length + following.length <= MAX_BLOCK / 2) {
      this.#blocks.splice(at, 2, block.concat(following))
    }
  }

  clear(): void {
    this.#blocks.length = 0
    this.#size = 0
  }

  /** The smallest key. */
  first(): K | undefined {
    return this.#blocks[0]?.[0]
  }

  /** The greatest key. */
  last(): K | undefined {
    return this.#blocks.at(-1)?.at(-1)
  }

  /** The smallest key that is `key` or greater. */
  ceiling(key: K): K | undefined {
    const at = this.#blockOf(key)
    const block = this.#blocks[at]
    if (block === undefined) return undefined
    this.#lastBlock = at
    this.#lastIndex = this.#lowerBound(block, key)
    return block[this.#lastIndex]
  }

  /** The smallest key that is greater than `key`. */
  next(key: K): K | undefined {
    let block = this.#blocks[this.#lastBlock]
    const remembered = block?.[this.#lastIndex]
    if (remembered === undefined || this.#compare(remembered, key) !== 0) {
      const found = this.ceiling(key)
      if (found === undefined || this.#compare(found, key) !== 0) return found
      block = this.#blocks[this.#lastBlock]!
    }
    if (this.#lastIndex + 1 < block!.length) {
      this.#lastIndex++
    } else {
      this.#lastBlock++
      this.#lastIndex = 0
    }
    return this.#blocks[this.#lastBlock]?.[this.#lastIndex]
  }

  /** The greatest key that is smaller than `key`. */
  previous(key: K): K | undefined {
    const at = this.#blockOf(key)
    const block = this.#blocks[at]
    if (block === undefined) return this.last()
    const index = this.#lowerBound(block, key)
    return index > 0 ? block[index - 1] : this.#blocks[at - 1]?.at(-1)
  }

  /** Index of the first block whose last key is `key` or greater; the number of blocks when there is none. */
  #blockOf(key: K): number {
    let low = 0
    let high = this.#blocks.length
    while (low < high) {
      const middle = (low + high) >> 1
      const block = this.#blocks[middle]!
      if (this.#compare(block[block.length - 1]!, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #lowerBound(keys: readonly K[], key: K): number {
    let low = 0
    let high = keys.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#compare(keys[middle]!, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
