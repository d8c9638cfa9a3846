/**
 * A map from string keys that grows past V8's limit of 16,777,216 entries, without a long pause when it does.
 *
 * See shards.ts for how it grows and what a `Position` is, and key-slots.ts for what is in a shard. Against one Map, and against many small Maps, it
 * measured faster and smaller from some ten thousand keys on (bench/mnesia/rows.ts): the hash is computed once and kept, where V8 computes
 * its own for each new string.
 */
import { byCodeUnits } from '../../actors/sorted-keys.ts'
import { hashOf } from './key-hash.ts'
import { KeySlots } from './key-slots.ts'
import { END, type KeyChunk, type Position, Shards } from './shards.ts'

export interface Chunk<V> {
  readonly entries: readonly (readonly [key: string, value: V])[]
  /** Where to go on; undefined when this was the last. */
  readonly next: Position | undefined
}

/** Values must not be undefined. */
export class KeyMap<V> extends Shards<KeySlots<V>> {
  readonly #numbersEach: number

  /** `numbersEach`: for who extends it, how many numbers lie beside each value. */
  constructor(numbersEach = 0) {
    super(new KeySlots(0, numbersEach))
    this.#numbersEach = numbersEach
  }

  /** `hash` is that of the key, by `hashOf`, for who has it at hand. */
  has(key: string, hash: number = hashOf(key)): boolean {
    return this.shardOf(hash).find(key, hash) >= 0
  }

  get(key: string, hash: number = hashOf(key)): V | undefined {
    const shard = this.shardOf(hash)
    const slot = shard.find(key, hash)
    return slot < 0 ? undefined : shard.valueAt(slot)
  }

  /** Returns the value that it replaced. */
  set(key: string, value: V, hash: number = hashOf(key)): V | undefined {
    const shard = this.shardOf(hash)
    const slot = shard.find(key, hash)
    if (slot >= 0) return shard.setValueAt(slot, value)
    shard.add(key, hash, value)
    this.added()
    return undefined
  }

  /** Returns the value that it removed. */
  delete(key: string, hash: number = hashOf(key)): V | undefined {
    const shard = this.shardOf(hash)
    const slot = shard.find(key, hash)
    if (slot < 0) return undefined
    const old = shard.valueAt(slot)
    shard.removeAt(slot)
    this.removed()
    return old
  }

  clear(): void {
    this.reset(this.#shard(0))
  }

  /** All keys. Those that are set or deleted meanwhile may or may not be among them; the others are, each once. */
  *keys(): IterableIterator<string> {
    for (let at: Position | undefined = 0; at !== undefined; ) {
      const { keys, next }: KeyChunk = this.keyChunk(at)
      yield* keys
      at = next
    }
  }

  /** Keys in the order of (hash, key), which depends on nothing but the keys: from the first after `key` on, or all. */
  *keysAfter(key: string | undefined): IterableIterator<string> {
    const hash = key === undefined ? 0 : hashOf(key) >>> 0
    for (let at: Position = hash; at < END; ) {
      const { shard, next } = this.shardAt(at)
      const found: (readonly [string, number])[] = []
      shard.each((each, eachHash) => {
        if (eachHash >>> 0 >= at) found.push([each, eachHash >>> 0])
      })
      found.sort((a, b) => a[1] - b[1] || byCodeUnits(a[0], b[0]))
      for (const [each, eachHash] of found) {
        if (key === undefined || eachHash > hash || byCodeUnits(each, key) > 0) yield each
      }
      at = next
    }
  }

  /** The keys of one shard, from a position on and below `to`. */
  keyChunk(position: Position, to: Position = END): KeyChunk {
    const keys: string[] = []
    const next = this.visit(position, to, (_shard, _slot, key) => keys.push(key))
    return { keys, next }
  }

  /** The entries of one shard, some hundreds, from a position on and below `to`. What is written later does not show. */
  chunk(position: Position, to: Position = END): Chunk<V> {
    const entries: (readonly [string, V])[] = []
    const next = this.visit(position, to, (shard, slot, key) => entries.push([key, shard.valueAt(slot)]))
    return { entries, next }
  }

  /** Calls `call` with the entries of one shard, from a position on and below `to`; returns where to go on, undefined behind the last. */
  protected visit(
    position: Position,
    to: Position,
    call: (shard: KeySlots<V>, slot: number, key: string) => void,
  ): Position | undefined {
    const { shard, from, next } = this.shardAt(position)
    const isWhole = from >= position && next <= to
    shard.each((key, hash, slot) => {
      if (isWhole || isWithin(hash >>> 0, position, to)) call(shard, slot, key)
    })
    return next < to ? next : undefined
  }

  protected override divide(shard: KeySlots<V>, bit: number): readonly [KeySlots<V>, KeySlots<V>] {
    const half = shard.count >>> 1
    const [zero, one] = [this.#shard(half), this.#shard(half)]
    zero.take(shard, bit, 0)
    one.take(shard, bit, 1)
    return [zero, one]
  }

  protected override join(left: KeySlots<V>, right: KeySlots<V>): KeySlots<V> {
    const both = this.#shard(left.count + right.count)
    both.take(left)
    both.take(right)
    return both
  }

  #shard(count: number): KeySlots<V> {
    return new KeySlots(count, this.#numbersEach)
  }
}

function isWithin(hash: number, from: Position, to: Position): boolean {
  return hash >= from && hash < to
}
