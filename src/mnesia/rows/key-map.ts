/**
 * A map from string keys that grows past V8's limit of 16,777,216 entries, without a long pause when it does.
 *
 * See shards.ts for how it grows and what a `Position` is. Against one Map, and against many small Maps, it measured faster and smaller
 * from some ten thousand keys on (bench/mnesia/rows.ts): the hash is computed once and kept, where V8 computes its own for each new string.
 *
 * The hash is public, so somebody who chooses keys can make them collide. A shard therefore holds so many entries at most and
 * leaves the rest to a Map, whose hash is secret: such keys cost microseconds, not more.
 */
import { byCodeUnits } from '../../actors/sorted-keys.ts'
import { HashSlots } from './hash-slots.ts'
import { hashOf } from './key-hash.ts'
import { END, type KeyChunk, type Position, Shards } from './shards.ts'

/** Twice what a shard can have by chance. */
const MOST_ENTRIES = 4096

export interface Chunk<V> {
  readonly entries: readonly (readonly [key: string, value: V])[]
  /** Where to go on; undefined when this was the last. */
  readonly next: Position | undefined
}

/** Keys and values, without holes, and where the hash finds them. */
class Shard<V> extends HashSlots {
  /** A key and its value at each even index and the following one, by which references are counted. */
  readonly pairs: (string | V)[] = []
  /** What is too much; see above. */
  rest: Map<string, V> | undefined

  /** Slot of a key; negative when it has none. */
  find(key: string, hash: number): number {
    for (let slot = this.first(hash); ; slot = this.next(slot)) {
      const ref = this.ref(slot)
      if (ref < 0) return -1
      if (this.hash(slot) === hash && this.pairs[ref] === key) return slot
    }
  }

  valueAt(slot: number): V {
    return this.pairs[this.ref(slot) + 1] as V
  }

  setValueAt(slot: number, value: V): V {
    const at = this.ref(slot) + 1
    const old = this.pairs[at] as V
    this.pairs[at] = value
    return old
  }

  /** Adds an entry that is not there. */
  add(key: string, hash: number, value: V): void {
    if (this.count < MOST_ENTRIES) {
      this.insert(hash, this.pairs.length)
      this.pairs.push(key, value)
    } else {
      this.rest ??= new Map()
      this.rest.set(key, value)
    }
  }

  /** Removes the entry of a slot, and returns its value; the last entry takes its place. */
  removeAt(slot: number): V {
    const { pairs } = this
    const ref = this.ref(slot)
    const removed = pairs[ref + 1] as V
    this.remove(slot)
    const value = pairs.pop() as V
    const key = pairs.pop() as string
    if (ref === pairs.length) return removed
    let last = this.first(hashOf(key))
    while (this.ref(last) !== pairs.length) last = this.next(last)
    this.setRef(last, ref)
    pairs[ref] = key
    pairs[ref + 1] = value
    return removed
  }

  /** Entries as they are now: what is written later does not show. */
  entries(): (readonly [key: string, value: V])[] {
    const list: (readonly [string, V])[] = []
    this.each((key, _, value) => list.push([key, value]))
    return list
  }

  /** Calls `visit` with each entry and its hash. */
  each(visit: (key: string, hash: number, value: V) => void): void {
    const { pairs } = this
    for (let slot = 0; slot < this.length; slot++) {
      const ref = this.ref(slot)
      if (ref >= 0) visit(pairs[ref] as string, this.hash(slot), pairs[ref + 1] as V)
    }
    if (this.rest !== undefined) for (const [key, value] of this.rest) visit(key, hashOf(key), value)
  }
}

/** Values must not be undefined. */
export class KeyMap<V> extends Shards<Shard<V>> {
  constructor() {
    super(new Shard())
  }

  /** `hash` is that of the key, by `hashOf`, for who has it at hand. */
  has(key: string, hash: number = hashOf(key)): boolean {
    const shard = this.shardOf(hash)
    return shard.find(key, hash) >= 0 || shard.rest?.has(key) === true
  }

  get(key: string, hash: number = hashOf(key)): V | undefined {
    const shard = this.shardOf(hash)
    const slot = shard.find(key, hash)
    return slot >= 0 ? shard.valueAt(slot) : shard.rest?.get(key)
  }

  /** Returns the value that it replaced. */
  set(key: string, value: V, hash: number = hashOf(key)): V | undefined {
    const shard = this.shardOf(hash)
    const slot = shard.find(key, hash)
    if (slot >= 0) return shard.setValueAt(slot, value)
    const old = shard.rest?.get(key)
    if (old !== undefined) shard.rest!.set(key, value)
    else {
      shard.add(key, hash, value)
      this.added()
    }
    return old
  }

  /** Returns the value that it removed. */
  delete(key: string, hash: number = hashOf(key)): V | undefined {
    const shard = this.shardOf(hash)
    const slot = shard.find(key, hash)
    let old: V | undefined
    if (slot >= 0) old = shard.removeAt(slot)
    else {
      old = shard.rest?.get(key)
      if (old === undefined) return undefined
      shard.rest!.delete(key)
    }
    this.removed()
    return old
  }

  clear(): void {
    this.reset(new Shard())
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
    const { shard, next } = this.shardAt(position)
    const keys: string[] = []
    shard.each((key, hash) => {
      if (isWithin(hash >>> 0, position, to)) keys.push(key)
    })
    return { keys, next: next < to ? next : undefined }
  }

  /** The entries of one shard, some hundreds, from a position on and below `to`. */
  chunk(position: Position, to: Position = END): Chunk<V> {
    const { shard, from, next } = this.shardAt(position)
    let entries = shard.entries()
    if (from < position || next > to) entries = entries.filter(([key]) => isWithin(hashOf(key) >>> 0, position, to))
    return { entries, next: next < to ? next : undefined }
  }

  protected override divide(shard: Shard<V>, bit: number): readonly [Shard<V>, Shard<V>] {
    const half = shard.count >>> 1
    const zero = new Shard<V>(half)
    const one = new Shard<V>(half)
    shard.each((key, hash, value) => {
      const target = ((hash >>> bit) & 1) === 0 ? zero : one
      target.add(key, hash, value)
    })
    return [zero, one]
  }

  protected override join(left: Shard<V>, right: Shard<V>): Shard<V> {
    const both = new Shard<V>(left.count + right.count)
    for (const shard of [left, right]) shard.each((key, hash, value) => both.add(key, hash, value))
    return both
  }
}

function isWithin(hash: number, from: Position, to: Position): boolean {
  return hash >= from && hash < to
}
