/**
 * Where the rows and tombstones of a copy lie: cells, each with the stamp of its last operation.
 *
 * A cell is a key in a set and a key with the identity of a row in a bag. A bag's key with one row holds the cell itself, without a list
 * around it. All kinds read in ranges of the keys' hashes, as `KeyMap` does, which is how two nodes compare tables. A set holds no cells
 * (set-cells.ts), so one that has been changed is given to `set` again.
 */
import { KeyMap } from '../rows/key-map.ts'
import type { Position } from '../rows/shards.ts'
import type { Origin } from './origin.ts'

/** A row with its stamp; a tombstone when there is no value. */
export class Cell<V> {
  value: V | undefined
  clock: number
  origin: Origin

  constructor(value: V | undefined, clock: number, origin: Origin) {
    this.value = value
    this.clock = clock
    this.origin = origin
  }

  /** Which of the rows of its key this is; empty in a set. */
  get identity(): string {
    return ''
  }
}

export class BagCell<V> extends Cell<V> {
  readonly #identity: string

  constructor(value: V | undefined, clock: number, origin: Origin, identity: string) {
    super(value, clock, origin)
    this.#identity = identity
  }

  override get identity(): string {
    return this.#identity
  }
}

export interface CellChunk<V> {
  readonly cells: readonly (readonly [key: string, cell: Cell<V>])[]
  /** Where to go on; undefined when this was the last. */
  readonly next: Position | undefined
}

export interface CellMap<V> {
  readonly size: number
  readonly keyCount: number
  hasKey(key: string): boolean
  /** `hash` is that of the key, by `hashOf`, for who has it at hand. */
  get(key: string, identity: string, hash?: number): Cell<V> | undefined
  /** All cells of a key. */
  of(key: string): readonly Cell<V>[]
  /** The value of a key; of the first of its cells in a bag. */
  value(key: string): V | undefined
  /** Adds a cell, or replaces the one in its place. */
  set(key: string, cell: Cell<V>, hash?: number): void
  delete(key: string, identity: string): boolean
  clear(): void
  keys(): IterableIterator<string>
  keysAfter(key: string | undefined): IterableIterator<string>
  chunk(from: Position, to?: Position): CellChunk<V>
}

export const NO_CELLS: readonly never[] = Object.freeze([])

/** Cells of a table whose rows are merged. */
export class MergedCells<V> implements CellMap<V> {
  readonly #cells = new KeyMap<Cell<V>>()

  get size(): number {
    return this.#cells.size
  }

  get keyCount(): number {
    return this.#cells.size
  }

  hasKey(key: string): boolean {
    return this.#cells.has(key)
  }

  get(key: string, _identity: string, hash?: number): Cell<V> | undefined {
    return this.#cells.get(key, hash)
  }

  of(key: string): readonly Cell<V>[] {
    const cell = this.#cells.get(key)
    return cell === undefined ? NO_CELLS : [cell]
  }

  value(key: string): V | undefined {
    return this.#cells.get(key)?.value
  }

  set(key: string, cell: Cell<V>, hash?: number): void {
    this.#cells.set(key, cell, hash)
  }

  delete(key: string): boolean {
    return this.#cells.delete(key) !== undefined
  }

  clear(): void {
    this.#cells.clear()
  }

  keys(): IterableIterator<string> {
    return this.#cells.keys()
  }

  keysAfter(key: string | undefined): IterableIterator<string> {
    return this.#cells.keysAfter(key)
  }

  chunk(from: Position, to?: Position): CellChunk<V> {
    const { entries, next } = this.#cells.chunk(from, to)
    return { cells: entries, next }
  }
}

/** The cells of a key that has more than one, in the order in which they came. */
class Several<V> {
  readonly cells = new Map<string, Cell<V>>()
}

export class BagCells<V> implements CellMap<V> {
  readonly #cells = new KeyMap<Cell<V> | Several<V>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get keyCount(): number {
    return this.#cells.size
  }

  hasKey(key: string): boolean {
    return this.#cells.has(key)
  }

  get(key: string, identity: string, hash?: number): Cell<V> | undefined {
    const held = this.#cells.get(key, hash)
    if (held instanceof Several) return held.cells.get(identity)
    return held?.identity === identity ? held : undefined
  }

  of(key: string): readonly Cell<V>[] {
    const held = this.#cells.get(key)
    if (held === undefined) return NO_CELLS
    return held instanceof Several ? [...held.cells.values()] : [held]
  }

  value(key: string): V | undefined {
    return this.of(key)[0]?.value
  }

  set(key: string, cell: Cell<V>, hash?: number): void {
    const held = this.#cells.get(key, hash)
    if (held instanceof Several) {
      const before = held.cells.size
      held.cells.set(cell.identity, cell)
      this.#size += held.cells.size - before
    } else if (held !== undefined && held.identity !== cell.identity) {
      const several = new Several<V>()
      several.cells.set(held.identity, held).set(cell.identity, cell)
      this.#cells.set(key, several)
      this.#size++
    } else {
      this.#cells.set(key, cell)
      if (held === undefined) this.#size++
    }
  }

  delete(key: string, identity: string): boolean {
    const held = this.#cells.get(key)
    if (held instanceof Several) {
      if (!held.cells.delete(identity)) return false
      if (held.cells.size === 1) for (const last of held.cells.values()) this.#cells.set(key, last)
    } else {
      if (held?.identity !== identity) return false
      this.#cells.delete(key)
    }
    this.#size--
    return true
  }

  clear(): void {
    this.#cells.clear()
    this.#size = 0
  }

  keys(): IterableIterator<string> {
    return this.#cells.keys()
  }

  keysAfter(key: string | undefined): IterableIterator<string> {
    return this.#cells.keysAfter(key)
  }

  chunk(from: Position, to?: Position): CellChunk<V> {
    const { entries, next } = this.#cells.chunk(from, to)
    const cells: (readonly [string, Cell<V>])[] = []
    for (const [key, held] of entries) {
      if (held instanceof Several) for (const cell of held.cells.values()) cells.push([key, cell])
      else cells.push([key, held])
    }
    return { cells, next }
  }
}
