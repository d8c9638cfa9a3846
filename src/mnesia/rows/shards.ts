/**
 * Linear hashing: many small hash tables, as many as the number of keys asks for.
 *
 * Whenever there are more than `TARGET` keys a shard, the next shard in turn is split in two, so the table grows for ever and no write
 * ever costs more than the rehashing of one shard; it shrinks likewise. A key's shard is found from the high bits of its hash.
 *
 * Shards lie in the order of hashes, which gives a reader a place to go on from that holds whatever is written meanwhile: a `Position`
 * is a hash, everything below it has been read, and a key that is there all the time is read exactly once. The buckets of
 * a digest are ranges of the same hashes.
 */

/** Mean number of keys in a shard. */
const TARGET = 920
/** Shards are joined when the mean falls below. */
const JOIN_BELOW = TARGET / 4

/** The hash, as an unsigned number, below which all has been read. 0 is the beginning, `END` the end. */
export type Position = number
export const END: Position = 2 ** 32

export interface KeyChunk {
  readonly keys: readonly string[]
  /** Where to go on; undefined when this was the last. */
  readonly next: Position | undefined
}

/** The first position of a bucket of a digest; that of bucket 256 is the end. */
export function positionOfBucket(bucket: number): Position {
  return bucket * 2 ** 24
}

export abstract class Shards<Shard> {
  /** In the order of the hashes that they hold. The first `2 * #split` have `#level + 1` bits in common, the others `#level`. */
  #shards: Shard[]
  #level = 0
  #split = 0
  #size = 0

  constructor(first: Shard) {
    this.#shards = [first]
  }

  /** Number of keys. */
  get size(): number {
    return this.#size
  }

  /** Two shards with the keys of one, by a bit of the hash. */
  protected abstract divide(shard: Shard, bit: number): readonly [zero: Shard, one: Shard]
  protected abstract join(left: Shard, right: Shard): Shard

  protected shardOf(hash: number): Shard {
    const shards = this.#shards
    return shards.length === 1 ? shards[0]! : shards[this.#indexOf(hash)]!
  }

  /** The shard that holds a position, the first position that it holds, and that of the next one. */
  protected shardAt(position: Position): { readonly shard: Shard; readonly from: Position; readonly next: Position } {
    const index = this.#indexOf(position | 0)
    return { shard: this.#shards[index]!, from: this.#startOf(index), next: this.#startOf(index + 1) }
  }

  /** To be called after a key has been added. */
  protected added(): void {
    if (++this.#size > this.#shards.length * TARGET) this.#grow()
  }

  /** To be called after a key has been removed. */
  protected removed(): void {
    this.#size--
    if (this.#shards.length > 1 && this.#size < this.#shards.length * JOIN_BELOW) this.#shrink()
  }

  protected reset(first: Shard): void {
    this.#shards = [first]
    this.#level = 0
    this.#split = 0
    this.#size = 0
  }

  #indexOf(hash: number): number {
    const finer = hash >>> (31 - this.#level)
    const coarser = finer >>> 1
    return coarser < this.#split ? finer : coarser + this.#split
  }

  /** The least hash that belongs into a shard; `END` for the one after the last. */
  #startOf(index: number): Position {
    return index < 2 * this.#split ? index * 2 ** (31 - this.#level) : (index - this.#split) * 2 ** (32 - this.#level)
  }

  #grow(): void {
    const at = 2 * this.#split
    this.#shards.splice(at, 1, ...this.divide(this.#shards[at]!, 31 - this.#level))
    if (++this.#split === 1 << this.#level) {
      this.#split = 0
      this.#level++
    }
  }

  #shrink(): void {
    if (this.#split === 0) {
      this.#level--
      this.#split = 1 << this.#level
    }
    const at = 2 * --this.#split
    this.#shards.splice(at, 2, this.join(this.#shards[at]!, this.#shards[at + 1]!))
  }
}
