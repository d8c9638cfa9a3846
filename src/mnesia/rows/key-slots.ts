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

/** A slot is the index of its first element. */
export class KeySlots<V> {
  /** Hash, key and value of each slot; the key is undefined where it is empty. */
  #entries: (number | string | V | undefined)[]
  readonly #numbersEach: number
  #numbers: Float64Array
  /** Where the slots end that entries are placed in; the rest lies behind. */
  #end: number
  #placed = 0
  #rest: Map<string, number> | undefined

  /** With room for `count` entries before it grows, each with so many numbers beside its value. */
  constructor(count = 0, numbersEach = 0) {
    const capacity = capacityFor(count)
    this.#numbersEach = numbersEach
    this.#entries = emptySlots(capacity)
    this.#numbers = new Float64Array(capacity * numbersEach)
    this.#end = capacity * WIDTH
  }

  get count(): number {
    return this.#placed + (this.#rest?.size ?? 0)
  }

  /** Slot of a key; negative when it has none. */
  find(key: string, hash: number): number {
    const entries = this.#entries
    const end = this.#end
    for (let slot = this.#home(hash); ; ) {
      const held = entries[slot + 1]
      if (held === undefined) break
      if (entries[slot] === hash && held === key) return slot
      slot += WIDTH
      if (slot === end) slot = 0
    }
    return this.#rest?.get(key) ?? -1
  }

  valueAt(slot: number): V {
    return this.#entries[slot + 2] as V
  }

  /** Returns the value that it replaced. */
  setValueAt(slot: number, value: V): V {
    const old = this.#entries[slot + 2] as V
    this.#entries[slot + 2] = value
    return old
  }

  /** A number beside the value. */
  numberAt(slot: number, which: number): number {
    return this.#numbers[this.#numbersFrom(slot) + which]!
  }

  setNumberAt(slot: number, which: number, number: number): void {
    this.#numbers[this.#numbersFrom(slot) + which] = number
  }

  /** Adds an entry that is not there, with numbers that are 0, and returns its slot. */
  add(key: string, hash: number, value: V): number {
    if (this.#placed < MOST_PLACED) return this.#place(key, hash, value)
    const slot = this.#entries.length
    this.#entries.push(hash, key, value)
    this.#rest ??= new Map()
    this.#rest.set(key, slot)
    const numbers = this.#numbersFrom(slot + WIDTH)
    if (numbers > this.#numbers.length) this.#numbers = lengthened(this.#numbers, 2 * numbers)
    return slot
  }

  /** Adds an entry of another shard, with its numbers. */
  take(from: KeySlots<V>, slot: number): void {
    const entries = from.#entries
    const to = this.add(entries[slot + 1] as string, entries[slot] as number, entries[slot + 2] as V)
    for (let which = 0; which < this.#numbersEach; which++) this.setNumberAt(to, which, from.numberAt(slot, which))
  }

  /** Removes the entry of a slot; others may move. */
  removeAt(slot: number): void {
    if (slot >= this.#end) this.#removeRest(slot)
    else this.#removePlaced(slot)
  }

  /** Calls `visit` with each entry, its hash and its slot. */
  each(visit: (key: string, hash: number, slot: number) => void): void {
    const entries = this.#entries
    for (let slot = 0; slot < entries.length; slot += WIDTH) {
      const key = entries[slot + 1]
      if (key !== undefined) visit(key as string, entries[slot] as number, slot)
    }
  }

  /** Where the search for a hash begins. */
  #home(hash: number): number {
    return WIDTH * (((hash & 0xffff) * (this.#end / WIDTH)) >>> 16)
  }

  #numbersFrom(slot: number): number {
    return (slot / WIDTH) * this.#numbersEach
  }

  #place(key: string, hash: number, value: V): number {
    if ((this.#placed + 1) * WIDTH > this.#end * MAX_LOAD) this.#grow()
    this.#placed++
    const entries = this.#entries
    let slot = this.#home(hash)
    while (entries[slot + 1] !== undefined) slot = this.#next(slot)
    entries[slot] = hash
    entries[slot + 1] = key
    entries[slot + 2] = value
    return slot
  }

  #next(slot: number): number {
    return slot + WIDTH === this.#end ? 0 : slot + WIDTH
  }

  /** Entries behind the hole move up, so that no search ends too early. */
  #removePlaced(slot: number): void {
    const entries = this.#entries
    this.#placed--
    let hole = slot
    for (let at = this.#next(slot); entries[at + 1] !== undefined; at = this.#next(at)) {
      const home = this.#home(entries[at] as number)
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
    const last = entries.length - WIDTH
    this.#rest!.delete(entries[slot + 1] as string)
    if (slot !== last) {
      this.#move(last, slot)
      this.#rest!.set(entries[slot + 1] as string, slot)
    }
    this.#empty(last)
    entries.length = last
  }

  #move(from: number, to: number): void {
    const entries = this.#entries
    entries[to] = entries[from]
    entries[to + 1] = entries[from + 1]
    entries[to + 2] = entries[from + 2]
    for (let which = 0; which < this.#numbersEach; which++) this.setNumberAt(to, which, this.numberAt(from, which))
  }

  #empty(slot: number): void {
    const entries = this.#entries
    entries[slot] = 0
    entries[slot + 1] = undefined
    entries[slot + 2] = undefined
    for (let which = 0; which < this.#numbersEach; which++) this.setNumberAt(slot, which, 0)
  }

  #grow(): void {
    const larger = new KeySlots<V>(this.#placed + 1, this.#numbersEach)
    this.each((_key, _hash, slot) => larger.take(this, slot))
    this.#entries = larger.#entries
    this.#numbers = larger.#numbers
    this.#end = larger.#end
    this.#rest = larger.#rest
  }
}

function capacityFor(count: number): number {
  return Math.max(LEAST, Math.ceil(count / NEW_LOAD))
}

/** The hash of an empty slot is 0, so that comparing one is always comparing small integers. */
function emptySlots<V>(capacity: number): (number | string | V | undefined)[] {
  const entries = new Array<number | undefined>(capacity * WIDTH)
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
