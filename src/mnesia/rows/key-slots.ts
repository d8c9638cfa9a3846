/**
 * The entries of one shard of a `KeyMap`, found by hash.
 *
 * Open addressing with linear probing in one array, three elements a slot: hash, key, value. So a lookup touches one cache line, or two
 * neighbours, before it compares the text of the key; in a large table waiting for memory is what a lookup costs. Numbers that belong
 * to an entry lie at the same place of an array of their own, so that who reads values does not wait for them.
 *
 * The place of an entry comes from the low bits of the hash; the high ones have chosen the shard. The hash is public, so somebody who chooses keys
 * can make them collide. A shard therefore places so many entries at most; the rest lie behind them, found by a Map, whose hash is
 * secret: such keys cost microseconds, not more.
 */

/** Elements of a slot. */
const WIDTH = 3
/** A table never gets fuller than this. */
const MAX_LOAD = 0.8
/** How full a new table is. */
const NEW_LOAD = 0.62
const LEAST = 8
/** Twice what a shard can have by chance. */
const MOST_PLACED = 4096

type Elements<V> = (number | string | V | undefined)[]

export class KeySlots<V> {
  /** Hash, key and value of each slot; the key is undefined where it is empty. */
  #entries: Elements<V>
  readonly #numbersEach: number
  #numbers: Float64Array
  /** Slots that entries are placed in; the rest lies behind. */
  #capacity: number
  #placed = 0
  #rest: Map<string, number> | undefined

  /** With room for `count` entries before it grows, each with so many numbers beside its value. */
  constructor(count = 0, numbersEach = 0) {
    this.#capacity = capacityFor(count)
    this.#numbersEach = numbersEach
    this.#entries = emptySlots(this.#capacity)
    this.#numbers = new Float64Array(this.#capacity * numbersEach)
  }

  get count(): number {
    return this.#placed + (this.#rest?.size ?? 0)
  }

  /** Slot of a key; negative when it has none. */
  find(key: string, hash: number): number {
    const entries = this.#entries
    const capacity = this.#capacity
    for (let slot = this.#home(hash); ; ) {
      const held = entries[slot * WIDTH + 1]
      if (held === undefined) break
      if (entries[slot * WIDTH] === hash && held === key) return slot
      if (++slot === capacity) slot = 0
    }
    return this.#rest?.get(key) ?? -1
  }

  valueAt(slot: number): V {
    return this.#entries[slot * WIDTH + 2] as V
  }

  /** Returns the value that it replaced. */
  setValueAt(slot: number, value: V): V {
    const at = slot * WIDTH + 2
    const old = this.#entries[at] as V
    this.#entries[at] = value
    return old
  }

  /** A number beside the value. */
  numberAt(slot: number, which: number): number {
    return this.#numbers[slot * this.#numbersEach + which]!
  }

  setNumberAt(slot: number, which: number, number: number): void {
    this.#numbers[slot * this.#numbersEach + which] = number
  }

  /** Adds an entry that is not there, with numbers that are 0, and returns its slot. */
  add(key: string, hash: number, value: V): number {
    if (this.#placed >= MOST_PLACED) return this.#addRest(key, hash, value)
    if (this.#placed + 1 > this.#capacity * MAX_LOAD) this.#grow()
    this.#placed++
    const entries = this.#entries
    const capacity = this.#capacity
    let slot = this.#home(hash)
    while (entries[slot * WIDTH + 1] !== undefined) if (++slot === capacity) slot = 0
    const at = slot * WIDTH
    entries[at] = hash
    entries[at + 1] = key
    entries[at + 2] = value
    return slot
  }

  /** Adds the entries of another shard, with their numbers: all, or those with a bit of the hash as given. */
  take(from: KeySlots<V>, bit?: number, wanted?: 0 | 1): void {
    const { length } = from.#entries
    for (let at = 0, slot = 0; at < length; at += WIDTH, slot++) {
      const key = from.#entries[at + 1]
      const hash = from.#entries[at] as number
      if (key === undefined || (bit !== undefined && ((hash >>> bit) & 1) !== wanted)) continue
      const to = this.add(key as string, hash, from.#entries[at + 2] as V)
      for (let which = 0; which < this.#numbersEach; which++) this.setNumberAt(to, which, from.numberAt(slot, which))
    }
  }

  /** Removes the entry of a slot; others may move. */
  removeAt(slot: number): void {
    if (slot >= this.#capacity) this.#removeRest(slot)
    else this.#removePlaced(slot)
  }

  /** Calls `visit` with each entry, its hash and its slot. */
  each(visit: (key: string, hash: number, slot: number) => void): void {
    const entries = this.#entries
    for (let at = 0, slot = 0; at < entries.length; at += WIDTH, slot++) {
      const key = entries[at + 1]
      if (key !== undefined) visit(key as string, entries[at] as number, slot)
    }
  }

  /** Where the search for a hash begins. */
  #home(hash: number): number {
    return ((hash & 0xffff) * this.#capacity) >>> 16
  }

  #addRest(key: string, hash: number, value: V): number {
    const slot = this.#entries.length / WIDTH
    this.#entries.push(hash, key, value)
    this.#rest ??= new Map()
    this.#rest.set(key, slot)
    const numbers = (slot + 1) * this.#numbersEach
    if (numbers > this.#numbers.length) this.#numbers = lengthened(this.#numbers, 2 * numbers)
    return slot
  }

  #next(slot: number): number {
    return slot + 1 === this.#capacity ? 0 : slot + 1
  }

  /** Entries behind the hole move up, so that no search ends too early. */
  #removePlaced(slot: number): void {
    const entries = this.#entries
    this.#placed--
    let hole = slot
    for (let at = this.#next(slot); entries[at * WIDTH + 1] !== undefined; at = this.#next(at)) {
      const home = this.#home(entries[at * WIDTH] as number)
      // An entry may fill the hole unless its home lies, going round, behind the hole.
      const isBehind = hole < at ? home > hole && home <= at : home > hole || home <= at
      if (isBehind) continue
      this.#move(at, hole)
      hole = at
    }
    this.#empty(hole)
  }

  /** The last one takes its place. */
  #removeRest(slot: number): void {
    const entries = this.#entries
    const last = entries.length / WIDTH - 1
    this.#rest!.delete(entries[slot * WIDTH + 1] as string)
    if (slot !== last) {
      this.#move(last, slot)
      this.#rest!.set(entries[slot * WIDTH + 1] as string, slot)
    }
    this.#empty(last)
    entries.length = last * WIDTH
  }

  #move(from: number, to: number): void {
    const entries = this.#entries
    for (let i = 0; i < WIDTH; i++) entries[to * WIDTH + i] = entries[from * WIDTH + i]
    for (let which = 0; which < this.#numbersEach; which++) this.setNumberAt(to, which, this.numberAt(from, which))
  }

  #empty(slot: number): void {
    const at = slot * WIDTH
    this.#entries[at] = 0
    this.#entries[at + 1] = undefined
    this.#entries[at + 2] = undefined
    for (let which = 0; which < this.#numbersEach; which++) this.setNumberAt(slot, which, 0)
  }

  #grow(): void {
    const larger = new KeySlots<V>(this.#placed + 1, this.#numbersEach)
    larger.take(this)
    this.#entries = larger.#entries
    this.#numbers = larger.#numbers
    this.#capacity = larger.#capacity
    this.#rest = larger.#rest
  }
}

function capacityFor(count: number): number {
  return Math.max(LEAST, Math.ceil(count / NEW_LOAD))
}

/** The hash of an empty slot is 0, so that comparing one is always comparing small integers. */
function emptySlots<V>(capacity: number): Elements<V> {
  const entries: Elements<V> = new Array(capacity * WIDTH)
  for (let slot = 0; slot < entries.length; slot += WIDTH) {
    entries[slot] = 0
    entries[slot + 1] = undefined
    entries[slot + 2] = undefined
  }
  return entries
}

function lengthened(numbers: Float64Array, length: number): Float64Array {
  const longer = new Float64Array(length)
  longer.set(numbers)
  return longer
}
