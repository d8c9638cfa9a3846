/**
 * A map from string keys to a few small integers each that lives outside of V8's heap: what a table of millions of routes is made of.
 *
 * A shard is a page, one buffer with the keys of some hundred routes, so that ten million of them are ten thousand objects and not ten
 * million strings that every garbage collection has to mark. About 44 bytes for a key of 26 characters, against 87 in a Map
 * (bench/mnesia/rows.ts). Growth and the order of keys are those of shards.ts.
 */
import { byCodeUnits } from '../../actors/sorted-keys.ts'
import { hashOf } from './key-hash.ts'
import { Page } from './page.ts'
import { END, type KeyChunk, type Position, Shards } from './shards.ts'

/** Integers must be below. */
const LIMIT = 2 ** 31

const NO_NUMBERS: readonly never[] = Object.freeze([])

/** A key and its integers. */
export type PackedEntry = readonly [key: string, packed: readonly number[]]

export class KeyPages extends Shards<Page> {
  constructor() {
    super(new Page())
  }

  /** `hash` is that of the key, by `hashOf`, for who has it at hand. */
  has(key: string, hash: number = hashOf(key)): boolean {
    const page = this.shardOf(hash)
    return page.find(key, hash) >= 0 || page.rest?.has(key) === true
  }

  /** The integers of a key; an empty list when there is no such key. */
  get(key: string, hash: number = hashOf(key)): readonly number[] {
    const page = this.shardOf(hash)
    const slot = page.find(key, hash)
    if (slot >= 0) return page.numbersAt(page.ref(slot))
    return page.rest?.get(key) ?? NO_NUMBERS
  }

  /** Gives a key its integers, each below 2^31; none removes it. Throws a RangeError for any other number. */
  set(key: string, numbers: readonly number[], hash: number = hashOf(key)): void {
    for (const number of numbers) {
      if (!Number.isInteger(number) || number < 0 || number >= LIMIT) {
        throw new RangeError(`${number} is no integer from 0 to 2^31 - 1, which a compact row has to be`)
      }
    }
    const page = this.shardOf(hash)
    const slot = page.find(key, hash)
    if (numbers.length === 0) {
      if (slot >= 0) page.removeAt(slot)
      else if (page.rest?.delete(key) !== true) return
      this.removed()
    } else if (slot >= 0) page.replace(slot, key, numbers)
    else if (page.rest?.has(key) === true) page.rest.set(key, numbers)
    else {
      page.add(key, hash, numbers)
      this.added()
    }
  }

  clear(): void {
    this.reset(new Page())
  }

  /** All keys. Those that are set or removed meanwhile may or may not be among them; the others are, each once. */
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

  /** The keys of one page, from a position on and below `to`. */
  keyChunk(position: Position, to: Position = END): KeyChunk {
    const { shard, next } = this.shardAt(position)
    const keys: string[] = []
    shard.each((key, hash) => {
      if (hash >>> 0 >= position && hash >>> 0 < to) keys.push(key)
    })
    return { keys, next: next < to ? next : undefined }
  }

  /** The entries of one page, some hundreds, from a position on and below `to`. */
  chunk(position: Position, to: Position = END): { entries: PackedEntry[]; next: Position | undefined } {
    const { shard, next } = this.shardAt(position)
    const entries: PackedEntry[] = []
    shard.each((key, hash, at) => {
      if (hash >>> 0 < position || hash >>> 0 >= to) return
      entries.push([key, at < 0 ? shard.rest!.get(key)! : shard.numbersAt(at)])
    })
    return { entries, next: next < to ? next : undefined }
  }

  protected override divide(page: Page, bit: number): readonly [Page, Page] {
    const counts = [0, 0]
    const bytes = [0, 0]
    for (let slot = 0; slot < page.length; slot++) {
      const at = page.ref(slot)
      if (at < 0) continue
      const half = (page.hash(slot) >>> bit) & 1
      counts[half]!++
      bytes[half]! += page.lengthAt(at)
    }
    const [zero, one] = counts.map((count, half) => new Page(count, bytes[half]!))
    return this.#filled(page, (hash) => (((hash >>> bit) & 1) === 0 ? zero! : one!), [zero!, one!])
  }

  protected override join(left: Page, right: Page): Page {
    const both = new Page(left.count + right.count, left.liveBytes + right.liveBytes)
    for (const page of [left, right]) this.#filled(page, () => both, [both, both])
    return both
  }

  #filled(from: Page, target: (hash: number) => Page, pages: readonly [Page, Page]): readonly [Page, Page] {
    for (let slot = 0; slot < from.length; slot++) {
      const at = from.ref(slot)
      if (at >= 0) target(from.hash(slot)).copy(from, at, from.hash(slot))
    }
    if (from.rest !== undefined) {
      for (const [key, numbers] of from.rest) target(hashOf(key)).add(key, hashOf(key), numbers)
    }
    return pages
  }
}
