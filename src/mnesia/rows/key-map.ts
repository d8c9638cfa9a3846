/**
 * A map from string keys that grows past V8's limit of 16,777,216 entries, without a long pause when it does.
 *
 * It is many small Maps: linear hashing by the high bits of the key's hash decides in which one a key lies. The number of shards
 * follows the number of keys: whenever there are more than `TARGET` keys a shard, one shard is split in two, so that a write costs at most
 * the rehashing of one shard. A map with few keys is one Map and computes no hash at all.
 *
 * Shards lie in the order of hashes, which gives readers a place to go on from that holds whatever is written meanwhile: a `Position`
 * is a hash, everything below it has been read, and a key that is there all the time is read exactly once. The buckets of a digest
 * are ranges of the same hashes.
 */
import { byCodeUnits } from '../../actors/sorted-keys.ts'
import { hashOf } from './key-hash.ts'

/** Mean number of keys in a shard. Just below half of a power of two: V8 doubles a Map at powers of two. */
const TARGET = 920
/** Shards are merged when the mean falls below a quarter. */
const MERGE_BELOW = TARGET / 4
const END = 2 ** 32

/** The hash, as an unsigned number, below which all has been read. 0 is the beginning, 2^32 the end. */
export type Position = number

export interface Chunk<V> {
  readonly entries: readonly (readonly [key: string, value: V])[]
  /** Where to go on; undefined when this was the last. */
  readonly next: Position | undefined
}

/** The first position of a bucket of a digest; that of bucket 256 is the end. */
export function positionOfBucket(bucket: number): Position {
  return bucket * 2 ** 24
}

export class KeyMap<V> {
  /** In the order of the hashes that they hold. The first `2 * #split` have `#level + 1` bits in common, the others `#level`. */
  #shards: Map<string, V>[] = [new Map()]
  #level = 0
  #split = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  has(key: string): boolean {
    return this.#shardOf(key).has(key)
  }

  get(key: string): V | undefined {
    return this.#shardOf(key).get(key)
  }

  set(key: string, value: V): void {
    const shard = this.#shardOf(key)
    const before = shard.size
    shard.set(key, value)
    if (shard.size !== before && ++this.#size > this.#shards.length * TARGET) this.#grow()
  }

  /** Returns false when there was no such key. */
  delete(key: string): boolean {
    if (!this.#shardOf(key).delete(key)) return false
    this.#size--
    if (this.#shards.length > 1 && this.#size < this.#shards.length * MERGE_BELOW) this.#shrink()
    return true
  }

  clear(): void {
    this.#shards = [new Map()]
    this.#level = 0
    this.#split = 0
    this.#size = 0
  }

  /** All keys. Those that are set or deleted meanwhile may or may not be among them; the others are, each once. */
  *keys(): IterableIterator<string> {
    for (let at: Position = 0; at < END; ) {
      const index = this.#indexAt(at)
      const shard = this.#shards[index]!
      const from = this.#startOf(index)
      const next = this.#startOf(index + 1)
      if (from === at) yield* shard.keys()
      else for (const key of shard.keys()) if (hashOf(key) >>> 0 >= at) yield key
      at = next
    }
  }

  /** Keys in the order of (hash, key), which depends on nothing but the keys: from the first after `key` on, or all. */
  *keysAfter(key: string | undefined): IterableIterator<string> {
    const hash = key === undefined ? 0 : hashOf(key) >>> 0
    let at: Position = hash
    while (at < END) {
      const next = this.#startOf(this.#indexAt(at) + 1)
      for (const [each, eachHash] of this.#sorted(at)) {
        if (key === undefined || eachHash > hash || byCodeUnits(each, key) > 0) yield each
      }
      at = next
    }
  }

  /** The entries of one shard, some hundreds, from a position on and below `to`. */
  chunk(from: Position, to: Position = END): Chunk<V> {
    const index = this.#indexAt(from)
    const next = this.#startOf(index + 1)
    const shard = this.#shards[index]!
    const isWhole = this.#startOf(index) === from && next <= to
    const entries: (readonly [string, V])[] = []
    for (const entry of shard) {
      if (isWhole || isWithin(hashOf(entry[0]) >>> 0, from, to)) entries.push(entry)
    }
    return { entries, next: next < to ? next : undefined }
  }

  #shardOf(key: string): Map<string, V> {
    const shards = this.#shards
    return shards.length === 1 ? shards[0]! : shards[this.#indexOf(hashOf(key))]!
  }

  #indexOf(hash: number): number {
    const finer = hash >>> (31 - this.#level)
    const coarser = finer >>> 1
    return coarser < this.#split ? finer : coarser + this.#split
  }

  #indexAt(position: Position): number {
    return this.#indexOf(position | 0)
  }

  /** The least hash that belongs into a shard; 2^32 for the one after the last. */
  #startOf(index: number): Position {
    return index < 2 * this.#split ? index * 2 ** (31 - this.#level) : (index - this.#split) * 2 ** (32 - this.#level)
  }

  #sorted(from: Position): (readonly [key: string, hash: number])[] {
    const found: (readonly [string, number])[] = []
    for (const key of this.#shards[this.#indexAt(from)]!.keys()) {
      const hash = hashOf(key) >>> 0
      if (hash >= from) found.push([key, hash])
    }
    return found.sort((a, b) => a[1] - b[1] || byCodeUnits(a[0], b[0]))
  }

  #grow(): void {
    const at = 2 * this.#split
    const shift = 31 - this.#level
    const left = new Map<string, V>()
    const right = new Map<string, V>()
    for (const [key, value] of this.#shards[at]!) {
      const half = ((hashOf(key) >>> shift) & 1) === 0 ? left : right
      half.set(key, value)
    }
    this.#shards.splice(at, 1, left, right)
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
    const merged = this.#shards[at]!
    for (const [key, value] of this.#shards[at + 1]!) merged.set(key, value)
    this.#shards.splice(at, 2, merged)
  }
}

function isWithin(hash: number, from: Position, to: Position): boolean {
  return hash >= from && hash < to
}
