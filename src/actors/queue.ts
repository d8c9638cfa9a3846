/**
 * A FIFO ring: the mailbox of every process, and the run queue.
 *
 * A ring of a power of two that doubles when it is full. Idle processes must stay small (a broker has hundreds of
 * thousands): there is no memory before the first entry, and a ring that grew under a burst is let go once it has drained.
 */
const FIRST_SLOTS = 4

/** Slots that an emptied queue keeps, unless told otherwise. */
const KEPT_SLOTS = 64

export class Queue<T> {
  length = 0
  #slots: (T | undefined)[] | undefined = undefined
  #head = 0
  readonly #keptSlots: number

  /** `keptSlots`: an emptied queue that has grown past this many slots gives them back. */
  constructor(keptSlots: number = KEPT_SLOTS) {
    this.#keptSlots = keptSlots
  }

  push(entry: T): void {
    let slots = this.#slots
    if (slots === undefined) {
      slots = this.#slots = new Array(FIRST_SLOTS).fill(undefined)
    } else if (this.length === slots.length) {
      slots = this.#grow(slots)
    }
    slots[(this.#head + this.length) & (slots.length - 1)] = entry
    this.length++
  }

  /** Takes the oldest entry; undefined when there is none (an entry may itself be undefined: see `length`). */
  shift(): T | undefined {
    const slots = this.#slots
    if (slots === undefined || this.length === 0) return undefined
    const entry = slots[this.#head]
    slots[this.#head] = undefined
    this.#head = (this.#head + 1) & (slots.length - 1)
    if (--this.length === 0 && slots.length > this.#keptSlots) this.clear()
    return entry
  }

  clear(): void {
    this.#slots = undefined
    this.#head = 0
    this.length = 0
  }

  /** The oldest entries, at most `limit`, without taking them. */
  peek(limit: number): T[] {
    const slots = this.#slots
    if (slots === undefined) return []
    const count = Math.min(this.length, limit)
    return Array.from({ length: count }, (_, i) => slots[(this.#head + i) & (slots.length - 1)] as T)
  }

  /** Puts entries in front of all others, in their order. */
  prepend(entries: readonly T[]): void {
    const others = this.peek(this.length)
    this.clear()
    for (const entry of entries) this.push(entry)
    for (const entry of others) this.push(entry)
  }

  /** Takes out the oldest entry for which `match` holds; the others keep their order. Returns whether there was one. */
  removeFirst(match: (entry: T) => boolean): boolean {
    const entries = this.peek(this.length)
    const at = entries.findIndex(match)
    if (at < 0) return false
    this.clear()
    entries.forEach((entry, i) => {
      if (i !== at) this.push(entry)
    })
    return true
  }

  /** Takes the newest entry when `match` holds for it; undefined otherwise. */
  takeNewestIf(match: (entry: T) => boolean): T | undefined {
    const slots = this.#slots
    if (slots === undefined || this.length === 0) return undefined
    const at = (this.#head + this.length - 1) & (slots.length - 1)
    const entry = slots[at] as T
    if (!match(entry)) return undefined
    slots[at] = undefined
    if (--this.length === 0 && slots.length > this.#keptSlots) this.clear()
    return entry
  }

  #grow(slots: (T | undefined)[]): (T | undefined)[] {
    const grown: (T | undefined)[] = new Array(slots.length * 2).fill(undefined)
    for (let i = 0; i < this.length; i++) grown[i] = slots[(this.#head + i) & (slots.length - 1)]
    this.#head = 0
    this.#slots = grown
    return grown
  }
}
