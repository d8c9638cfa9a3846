/**
 * The rows and tombstones of a copy, and the rule by which operations change them: the later stamp stays.
 *
 * The state after any operations depends on which they were and not on their order or number. `cleared` is a stamp of the whole
 * table: whatever is older is gone, without a tombstone for each row.
 */
import { BucketDigest } from '../rows/bucket-digest.ts'
import { hashOf, mixed } from '../rows/key-hash.ts'
import { BagCell, BagCells, Cell, type CellMap, MergedCells } from './cell-map.ts'
import { type Knowledge, MergedCell } from './merged-cell.ts'
import { compareStamps, type Origin } from './origin.ts'
import { SetCells } from './set-cells.ts'

export interface Stamp {
  readonly clock: number
  readonly origin: Origin
}

export interface CellsOptions<V> {
  readonly isBag: boolean
  /** Whether rows are merged. @default when there is `merge` */
  readonly isMerged?: boolean
  readonly merge: ((a: V, b: V) => V) | undefined
}

export class Cells<V> {
  readonly rows: CellMap<V>
  readonly tombstones: CellMap<V>
  readonly digest = new BucketDigest()
  readonly #isBag: boolean
  readonly #merge: ((a: V, b: V) => V) | undefined
  #cleared: Stamp | undefined
  #greatestClock = 0
  /** No tombstone is older. */
  #oldestTombstone = Number.POSITIVE_INFINITY
  /** The value that the last operation that was accepted replaced or removed. */
  replaced: V | undefined

  constructor({ isBag, merge, isMerged = merge !== undefined }: CellsOptions<V>) {
    this.#isBag = isBag
    this.#merge = merge
    const create = (): CellMap<V> => (isBag ? new BagCells() : isMerged ? new MergedCells() : new SetCells())
    this.rows = create()
    this.tombstones = create()
  }

  get cleared(): Stamp | undefined {
    return this.#cleared
  }

  /** No operation that has been applied has a greater clock. */
  get greatestClock(): number {
    return this.#greatestClock
  }

  /** The cell of a row or of a tombstone. */
  get(key: string, identity: string): Cell<V> | undefined {
    const row = this.rows.get(key, identity)
    return row !== undefined || this.tombstones.size === 0 ? row : this.tombstones.get(key, identity)
  }

  /**
   * Applies a write, or a delete when there is no value. Returns the cell as it is now, or undefined when a later
   * operation stays.
   */
  apply(key: string, identity: string, value: V | undefined, clock: number, origin: Origin): Cell<V> | undefined {
    if (this.#isCleared(clock, origin)) return undefined
    const keyHash = hashOf(key)
    const row = this.rows.get(key, identity, keyHash)
    const held = row ?? (this.tombstones.size === 0 ? undefined : this.tombstones.get(key, identity, keyHash))
    if (held !== undefined && compareStamps(held.clock, held.origin, clock, origin) >= 0) return undefined
    if (held !== undefined) this.digest.toggle(keyHash, stampHash(held.clock, held.origin))
    this.digest.toggle(keyHash, stampHash(clock, origin))
    if (clock > this.#greatestClock) this.#greatestClock = clock
    this.replaced = held?.value
    let cell = held
    if (cell === undefined)
      cell = this.#isBag ? new BagCell(value, clock, origin, identity) : new Cell(value, clock, origin)
    else {
      cell.value = value
      cell.clock = clock
      cell.origin = origin
    }
    this.#place(key, cell, row !== undefined, held !== undefined, keyHash)
    return cell
  }

  /** As `apply`, for a table whose rows are merged: `seen` is what the writer knew of the key. */
  applyMerged(key: string, value: V | undefined, stamp: Stamp, seen: Knowledge): MergedCell<V> | undefined {
    const { clock, origin } = stamp
    if (this.#isCleared(clock, origin)) return undefined
    return this.#change(key, clock, (cell) => cell.write(value, clock, origin, seen))
  }

  /** Takes in another copy's cell of a table whose rows are merged. */
  join(key: string, other: MergedCell<V>): MergedCell<V> | undefined {
    other.drop((version) => this.#isCleared(version.clock, version.origin))
    return this.#change(key, other.clock, (cell) => cell.join(other))
  }

  /** The cell of a key in a table whose rows are merged. */
  merged(key: string): MergedCell<V> | undefined {
    return this.get(key, '') as MergedCell<V> | undefined
  }

  /**
   * Removes everything older than a stamp. Returns whether it is the latest so far; then `changed` has been called for each cell
   * that is gone, or is made of fewer versions, with the row that it was.
   */
  clear(clock: number, origin: Origin, changed: (key: string, before: V | undefined, cell: Cell<V>) => void): boolean {
    if (this.#isCleared(clock, origin)) return false
    this.#cleared = { clock, origin }
    if (clock > this.#greatestClock) this.#greatestClock = clock
    for (const map of [this.rows, this.tombstones]) {
      for (let from: number | undefined = 0; from !== undefined; ) {
        const { cells, next } = map.chunk(from)
        for (const [key, cell] of cells) this.#clearCell(key, cell, changed)
        from = next
      }
    }
    return true
  }

  /** True when everything that there is is older than a stamp. */
  isOlderThan(clock: number): boolean {
    return this.#greatestClock < clock
  }

  /** Sets the stamp of the last clear as it was on disc, before any rows are there. */
  restoreCleared(cleared: Stamp): void {
    this.#cleared = cleared
    this.#greatestClock = Math.max(this.#greatestClock, cleared.clock)
  }

  /** Removes a row without a trace: for one that others have seen, and deleted so long ago that they have forgotten it. */
  remove(key: string, cell: Cell<V>): void {
    this.#toggle(key, cell)
    const map = cell.value === undefined ? this.tombstones : this.rows
    map.delete(key, cell.identity)
  }

  /** Removes versions of a cell without a trace, and the cell with the last one. Returns whether there were any to remove. */
  drop(key: string, cell: MergedCell<V>, isDropped: (version: Stamp) => boolean): boolean {
    const wasRow = cell.value !== undefined
    this.#toggle(key, cell)
    const isChanged = cell.drop(isDropped)
    this.#toggle(key, cell)
    if (cell.isEmpty) (wasRow ? this.rows : this.tombstones).delete(key, '')
    else if (isChanged) this.#place(key, cell, wasRow, true)
    return isChanged
  }

  get oldestTombstone(): number {
    return this.#oldestTombstone
  }

  /** Told by whoever has looked at all tombstones. */
  set oldestTombstone(clock: number) {
    this.#oldestTombstone = clock
  }

  #isCleared(clock: number, origin: Origin): boolean {
    const cleared = this.#cleared
    return cleared !== undefined && compareStamps(cleared.clock, cleared.origin, clock, origin) >= 0
  }

  #clearCell(key: string, cell: Cell<V>, changed: (key: string, before: V | undefined, cell: Cell<V>) => void): void {
    const before = cell.value
    if (cell instanceof MergedCell) {
      const isCleared = ({ clock, origin }: Stamp) => this.#isCleared(clock, origin)
      if (this.drop(key, cell as MergedCell<V>, isCleared)) changed(key, before, cell)
    } else if (this.#isCleared(cell.clock, cell.origin)) {
      this.remove(key, cell)
      cell.value = undefined
      changed(key, before, cell)
    }
  }

  #change(key: string, clock: number, change: (cell: MergedCell<V>) => boolean): MergedCell<V> | undefined {
    const row = this.rows.get(key, '') as MergedCell<V> | undefined
    const held = row ?? (this.tombstones.get(key, '') as MergedCell<V> | undefined)
    const cell = held ?? new MergedCell<V>(this.#merge)
    const before = held?.value
    if (held !== undefined) this.#toggle(key, held)
    const isChanged = change(cell)
    if (held !== undefined || isChanged) this.#toggle(key, cell)
    if (!isChanged) return undefined
    if (clock > this.#greatestClock) this.#greatestClock = clock
    this.replaced = before
    this.#place(key, cell, row !== undefined, held !== undefined)
    return cell
  }

  /** Puts a cell where it belongs: among the rows, or among the tombstones. */
  #place(key: string, cell: Cell<V>, wasRow: boolean, wasHeld: boolean, keyHash: number = hashOf(key)): void {
    const isRow = cell.value !== undefined
    if (wasHeld && wasRow !== isRow) (wasRow ? this.rows : this.tombstones).delete(key, cell.identity)
    if (isRow) this.rows.set(key, cell, keyHash)
    else {
      this.tombstones.set(key, cell, keyHash)
      if (cell.clock < this.#oldestTombstone) this.#oldestTombstone = cell.clock
    }
  }

  /** Adds a cell to the digest, or takes it out. */
  #toggle(key: string, cell: Cell<V>): void {
    const keyHash = hashOf(key)
    if (cell instanceof MergedCell) {
      for (const { clock, origin } of cell.versions) this.digest.toggle(keyHash, stampHash(clock, origin))
    } else this.digest.toggle(keyHash, stampHash(cell.clock, cell.origin))
  }
}

/** 32 bits of a stamp, the same on every node. */
export function stampHash(clock: number, origin: Origin): number {
  return mixed((clock >>> 0) ^ Math.imul(clock / 2 ** 32, 0x9e3779b1) ^ origin.hash)
}
