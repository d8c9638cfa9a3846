/**
 * A sorted set of strings, in UTF-16 code unit order: what makes a table an ordered_set.
 *
 * Keys lie in sorted blocks of bounded length, so that inserting among 100,000 keys moves a block's few hundred and not
 * all. A tree would do the same with an object per key. Walking with `next` remembers where the last answer was found and
 * then costs a comparison instead of a search.
 */
const MAX_BLOCK = 512
const MERGE_BELOW = MAX_BLOCK / 4

export class SortedKeys {
  /** Never an empty block; every key of a block is smaller than those of the next. */
  #blocks: string[][] = []
  #size = 0
  /** Where `ceiling` or `next` found its last answer. */
  #lastBlock = 0
  #lastIndex = 0

  get size(): number {
    return this.#size
  }

  /** Adds a key that is not in the set. */
  insert(key: string): void {
    this.#size++
    if (this.#blocks.length === 0) {
      this.#blocks.push([key])
      return
    }
    const at = Math.min(this.#blockOf(key), this.#blocks.length - 1)
    const block = this.#blocks[at]!
    block.splice(lowerBound(block, key), 0, key)
    if (block.length > MAX_BLOCK) this.#blocks.splice(at + 1, 0, block.splice(MAX_BLOCK / 2))
  }

  /** Removes a key that is in the set. */
  delete(key: string): void {
    const at = this.#blockOf(key)
    const block = this.#blocks[at]
    if (block === undefined) return
    const index = lowerBound(block, key)
    if (block[index] !== key) return
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

  /** The smallest key. */
  first(): string | undefined {
    return this.#blocks[0]?.[0]
  }

  /** The smallest key that is `key` or greater. */
  ceiling(key: string): string | undefined {
    const at = this.#blockOf(key)
    const block = this.#blocks[at]
    if (block === undefined) return undefined
    this.#lastBlock = at
    this.#lastIndex = lowerBound(block, key)
    return block[this.#lastIndex]
  }

  /** The smallest key that is greater than `key`. */
  next(key: string): string | undefined {
    let block = this.#blocks[this.#lastBlock]
    if (block?.[this.#lastIndex] !== key) {
      const found = this.ceiling(key)
      if (found !== key) return found
      block = this.#blocks[this.#lastBlock]!
    }
    if (this.#lastIndex + 1 < block.length) this.#lastIndex++
    else {
      this.#lastBlock++
      this.#lastIndex = 0
    }
    return this.#blocks[this.#lastBlock]?.[this.#lastIndex]
  }

  /** Index of the first block whose last key is `key` or greater; the number of blocks when there is none. */
  #blockOf(key: string): number {
    let low = 0
    let high = this.#blocks.length
    while (low < high) {
      const middle = (low + high) >> 1
      const block = this.#blocks[middle]!
      if (block[block.length - 1]! < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (keys[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}
