/**
 * A page of `KeyPages`: some hundred keys with a few small integers each, in one buffer outside of V8's heap.
 *
 * Each key has a record in an arena of bytes:
 *
 *     varint   2 × length of the key, + 1 when one of its characters needs two bytes
 *     bytes    the key, Latin-1 or UTF-16 little endian
 *     varint   number of integers
 *     varint…  the integers, in the order in which they came
 *
 * A record that changes is written anew behind the others; the arena is compacted when half of it is dead.
 */
import { HashSlots } from './hash-slots.ts'
import { hashOf } from './key-hash.ts'

/** Twice what a page can have by chance. The hash is public: keys that collide on purpose go to a Map, whose hash is secret. */
const MOST_RECORDS = 4096
const LEAST_BYTES = 256
/** How much room is made when an arena is full: a tenth of it is empty on average. */
const GROWTH = 1.2

/** Keys with their integers, found by hash. A reference of its slots is the offset of a record. */
export class Page extends HashSlots {
  #arena: Buffer
  #used = 0
  #dead = 0
  /** What is too much; see above. */
  rest: Map<string, readonly number[]> | undefined

  /** With room for so many records and bytes of them. */
  constructor(count = 0, bytes = 0) {
    super(count)
    this.#arena = arenaFor(bytes)
  }

  /** Bytes of the records that are alive. */
  get liveBytes(): number {
    return this.#used - this.#dead
  }

  /** Slot of a key; negative when it has none. */
  find(key: string, hash: number): number {
    for (let slot = this.first(hash); ; slot = this.next(slot)) {
      const at = this.ref(slot)
      if (at < 0) return -1
      if (this.hash(slot) === hash && this.#isKey(at, key)) return slot
    }
  }

  keyAt(at: number): string {
    const header = this.#varint(at)
    const from = at + sizeOf(header)
    return (header & 1) === 0
      ? this.#arena.toString('latin1', from, from + (header >>> 1))
      : this.#arena.toString('utf16le', from, from + (header & ~1))
  }

  /** The integers of the record at an offset. */
  numbersAt(at: number): number[] {
    let from = this.#numbersFrom(at)
    const count = this.#varint(from)
    from += sizeOf(count)
    const numbers: number[] = []
    for (let i = 0; i < count; i++) {
      const number = this.#varint(from)
      numbers.push(number)
      from += sizeOf(number)
    }
    return numbers
  }

  /** Adds a record that is not there. */
  add(key: string, hash: number, numbers: readonly number[]): void {
    if (this.count < MOST_RECORDS) this.insert(hash, this.#write(key, numbers))
    else {
      this.rest ??= new Map()
      this.rest.set(key, numbers)
    }
  }

  /** Replaces the integers of a record. */
  replace(slot: number, key: string, numbers: readonly number[]): void {
    this.#dead += this.lengthAt(this.ref(slot))
    this.setRef(slot, this.#write(key, numbers))
    this.#compactIfWorth()
  }

  removeAt(slot: number): void {
    this.#dead += this.lengthAt(this.ref(slot))
    this.remove(slot)
    this.#compactIfWorth()
  }

  /** Copies a record of another page. */
  copy(from: Page, at: number, hash: number): void {
    const length = from.lengthAt(at)
    this.#reserve(length)
    from.#arena.copy(this.#arena, this.#used, at, at + length)
    this.insert(hash, this.#used)
    this.#used += length
  }

  /** Calls `visit` with each key, its hash, and the offset of its record; negative for the keys in `rest`. */
  each(visit: (key: string, hash: number, at: number) => void): void {
    for (let slot = 0; slot < this.length; slot++) {
      const at = this.ref(slot)
      if (at >= 0) visit(this.keyAt(at), this.hash(slot), at)
    }
    if (this.rest !== undefined) for (const key of this.rest.keys()) visit(key, hashOf(key), -1)
  }

  #isKey(at: number, key: string): boolean {
    const arena = this.#arena
    const { length } = key
    const header = this.#varint(at)
    if (header >>> 1 !== length) return false
    let from = at + sizeOf(header)
    if ((header & 1) === 0) {
      for (let i = 0; i < length; i++) if (arena[from + i] !== key.charCodeAt(i)) return false
      return true
    }
    for (let i = 0; i < length; i++, from += 2) {
      const code = key.charCodeAt(i)
      if (arena[from] !== (code & 0xff) || arena[from + 1] !== code >>> 8) return false
    }
    return true
  }

  #write(key: string, numbers: readonly number[]): number {
    const { length } = key
    // Room for the worst case; what is not needed stays free.
    this.#reserve(5 + 2 * length + 5 + 5 * numbers.length)
    const at = this.#used
    const arena = this.#arena
    const isWide = !isLatin1(key)
    let to = this.#putVarint(at, length * 2 + (isWide ? 1 : 0))
    for (let i = 0; i < length; i++) {
      const code = key.charCodeAt(i)
      arena[to++] = code
      if (isWide) arena[to++] = code >>> 8
    }
    to = this.#putVarint(to, numbers.length)
    for (const number of numbers) to = this.#putVarint(to, number)
    this.#used = to
    return at
  }

  /** Bytes of the record at an offset. */
  lengthAt(at: number): number {
    let from = this.#numbersFrom(at)
    const count = this.#varint(from)
    from += sizeOf(count)
    for (let i = 0; i < count; i++) from += sizeOf(this.#varint(from))
    return from - at
  }

  /** Offset of the number of integers of a record. */
  #numbersFrom(at: number): number {
    const header = this.#varint(at)
    return at + sizeOf(header) + ((header & 1) === 0 ? header >>> 1 : header & ~1)
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes <= this.#arena.length) return
    const arena = arenaFor(this.#used + bytes)
    this.#arena.copy(arena, 0, 0, this.#used)
    this.#arena = arena
  }

  #compactIfWorth(): void {
    if (this.#dead < LEAST_BYTES || this.#dead * 2 < this.#used) return
    const old = this.#arena
    const arena = arenaFor(this.liveBytes)
    let used = 0
    for (let slot = 0; slot < this.length; slot++) {
      const at = this.ref(slot)
      if (at < 0) continue
      const length = this.lengthAt(at)
      old.copy(arena, used, at, at + length)
      this.setRef(slot, used)
      used += length
    }
    this.#arena = arena
    this.#used = used
    this.#dead = 0
  }

  #varint(at: number): number {
    const arena = this.#arena
    let byte = arena[at]!
    if (byte < 128) return byte
    let value = byte & 127
    for (let shift = 7; ; shift += 7) {
      byte = arena[++at]!
      value |= (byte & 127) << shift
      if (byte < 128) return value
    }
  }

  #putVarint(at: number, value: number): number {
    const arena = this.#arena
    let to = at
    let rest = value
    while (rest > 127) {
      arena[to++] = (rest & 127) | 128
      rest >>>= 7
    }
    arena[to++] = rest
    return to
  }
}

function arenaFor(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(Math.max(LEAST_BYTES, Math.ceil(bytes * GROWTH)))
}

function sizeOf(varint: number): number {
  return varint < 0x80 ? 1 : varint < 0x4000 ? 2 : varint < 0x20_0000 ? 3 : varint < 0x1000_0000 ? 4 : 5
}

function isLatin1(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 255) return false
  return true
}
