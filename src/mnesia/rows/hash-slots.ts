/**
 * The slots of one shard of a hash table: hash → a number that says where the entry lies.
 *
 * Open addressing with linear probing in one Int32Array, two integers a slot, so that a lookup touches one cache line before it
 * compares a key. What the numbers refer to, and when keys are equal, is known to the class that extends this one, and walks the slots:
 *
 *     for (let slot = this.first(hash); this.ref(slot) >= 0; slot = this.next(slot)) …
 *
 * The place in the table comes from the low bits of the hash; the high ones have chosen the shard.
 */

/** A table never gets fuller than this. */
const MAX_LOAD = 0.8
/** How full a new table is. */
const NEW_LOAD = 0.62
const LEAST = 8

export abstract class HashSlots {
  /** Hash and reference + 1 of each slot; the second is 0 in an empty one. */
  #table: Int32Array
  #count = 0

  /** With room for `count` entries before it grows. */
  constructor(count = 0) {
    this.#table = new Int32Array(2 * sizeFor(count))
  }

  get count(): number {
    return this.#count
  }

  /** Where the search for a hash begins. */
  first(hash: number): number {
    return ((hash & 0xffff) * (this.#table.length >>> 1)) >>> 16
  }

  next(slot: number): number {
    return 2 * slot + 2 === this.#table.length ? 0 : slot + 1
  }

  /** Reference in a slot; negative when it is empty, which is where the search ends. */
  ref(slot: number): number {
    return this.#table[2 * slot + 1]! - 1
  }

  hash(slot: number): number {
    return this.#table[2 * slot]!
  }

  /** Number of slots: they are 0 up to this. */
  get length(): number {
    return this.#table.length >>> 1
  }

  setRef(slot: number, ref: number): void {
    this.#table[2 * slot + 1] = ref + 1
  }

  /** Adds an entry that is not there. */
  insert(hash: number, ref: number): void {
    if (this.#count + 1 > this.length * MAX_LOAD) this.#grow()
    this.#count++
    this.#put(hash, ref)
  }

  /** Empties a slot; entries behind it move up, so that no search ends too early. */
  remove(slot: number): void {
    const table = this.#table
    this.#count--
    let hole = slot
    for (let at = this.next(slot); table[2 * at + 1] !== 0; at = this.next(at)) {
      const home = this.first(table[2 * at]!)
      // An entry may fill the hole unless its home lies, going round, behind the hole.
      const isBehind = hole < at ? home > hole && home <= at : home > hole || home <= at
      if (isBehind) continue
      table[2 * hole] = table[2 * at]!
      table[2 * hole + 1] = table[2 * at + 1]!
      hole = at
    }
    table[2 * hole + 1] = 0
  }

  #put(hash: number, ref: number): void {
    const table = this.#table
    let slot = this.first(hash)
    while (table[2 * slot + 1] !== 0) slot = this.next(slot)
    table[2 * slot] = hash
    table[2 * slot + 1] = ref + 1
  }

  #grow(): void {
    const old = this.#table
    this.#table = new Int32Array(2 * sizeFor(this.#count + 1))
    for (let i = 0; i < old.length; i += 2) if (old[i + 1] !== 0) this.#put(old[i]!, old[i + 1]! - 1)
  }
}

function sizeFor(count: number): number {
  return Math.max(LEAST, Math.ceil(count / NEW_LOAD))
}
