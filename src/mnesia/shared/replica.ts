/**
 * The copy of a table on this node: its cells, what it lacks, and its records on disc.
 *
 * A table whose definition is not known yet has a copy as well, of rows as bytes: what others write to a table that they have and this
 * node has not heard of must not be lost. It becomes the copy of the table once that is created.
 */
import { BinaryReader, BinaryWriter, Damaged } from '../binary.ts'
import type { Copies, RowBytes } from '../definition.ts'
import { BagCell, Cell } from './cell-map.ts'
import { decodeCell, encodeCell } from './cell-record.ts'
import { Cells, type Stamp } from './cells.ts'
import { Coverage } from './coverage.ts'
import { type Disc, spaceOf } from './disc.ts'
import type { Operation } from './entry.ts'
import { type Knowledge, MergedCell, NO_KNOWLEDGE } from './merged-cell.ts'
import type { Origin } from './origin.ts'
import type { Task } from './tasks.ts'

const VERSION = 1

/** Called after each change of a row, when the copy reads as it will: the row as it is now, and as it was. */
export type RowChanged<V> = (key: string, row: V | undefined, old: V | undefined) => void

export interface ReplicaOptions<V> {
  readonly name: string
  readonly isBag: boolean
  readonly bytes: RowBytes<V>
  readonly merge: ((a: V, b: V) => V) | undefined
  readonly isMerged: boolean
  /** Undefined where nothing is kept on disc. */
  readonly disc: Disc | undefined
  /** The table has not been created: nobody says that what there is of it is a copy. */
  readonly isKept?: boolean
  readonly changed: RowChanged<V>
  /** Does long work in pieces. */
  readonly run: (task: Task) => void
  /** Has what has been given to the disc committed at the end of the turn. */
  readonly touch: () => void
}

/** Rows of a table that is not known yet. */
export const OPAQUE: RowBytes<Uint8Array> = {
  encode: (row) => row,
  // A copy: the bytes are a view of a chunk of the wire.
  decode: (bytes) => Buffer.from(bytes),
}

interface Gone<V> {
  readonly key: string
  readonly before: V | undefined
  readonly cell: Cell<V>
}

/** Records that are removed in one turn. */
const RECORDS_AT_ONCE = 1000

// biome-ignore lint/suspicious/noExplicitAny: tables of any rows
export type AnyReplica = Replica<any>

export class Replica<V> {
  readonly name: string
  readonly cells: Cells<V>
  readonly coverage: Coverage
  readonly isBag: boolean
  /** True when rows are merged, and operations tell what their writers had seen. */
  readonly isMerged: boolean
  readonly bytes: RowBytes<V>
  readonly merge: ((a: V, b: V) => V) | undefined
  readonly #changed: RowChanged<V>
  readonly #run: (task: Task) => void
  readonly #touch: () => void
  readonly #writer = new BinaryWriter()
  /** The table has not been created. */
  readonly isKept: boolean
  #disc: Disc | undefined
  /** All of it is on disc, so a record may say so. */
  #isWritten = true

  constructor(options: ReplicaOptions<V>, coverage = new Coverage()) {
    this.name = options.name
    this.isBag = options.isBag
    this.isMerged = options.isMerged
    this.bytes = options.bytes
    this.coverage = coverage
    this.merge = options.merge
    this.#changed = options.changed
    this.#run = options.run
    this.#touch = options.touch
    this.#disc = options.disc
    this.isKept = options.isKept ?? false
    this.cells = new Cells(options)
  }

  get copies(): Copies {
    return this.#disc === undefined ? 'ram_copies' : 'disc_copies'
  }

  get isOnDisc(): boolean {
    return this.#disc !== undefined
  }

  /** The value of an operation, for `apply`. Throws what the table's `decode` throws. */
  valueOf(operation: Operation): V | undefined {
    return operation.bytes === undefined ? undefined : this.bytes.decode(operation.bytes)
  }

  /**
   * Applies an operation with its stamp; `value` is its row, decoded. Returns false when something later stays, and then has changed
   * nothing.
   */
  apply(operation: Operation, value: V | undefined, clock: number, origin: Origin): boolean {
    const { kind, key, identity = '', bytes } = operation
    if (kind === 'clear') return this.#clear(clock, origin)
    const { cells } = this
    const cell = this.isMerged
      ? cells.applyMerged(key, value, { clock, origin }, operation.seen ?? NO_KNOWLEDGE)
      : cells.apply(key, identity, value, clock, origin)
    if (cell === undefined) return false
    this.#written(key, cell, cells.replaced, bytes)
    return true
  }

  /** Takes in a cell of another copy, under the same rule. */
  join(key: string, cell: Cell<V>): boolean {
    const { cells } = this
    const now =
      cell instanceof MergedCell
        ? cells.join(key, cell as MergedCell<V>)
        : cells.apply(key, cell.identity, cell.value, cell.clock, cell.origin)
    if (now === undefined) return false
    this.#written(key, now, cells.replaced, undefined)
    return true
  }

  /** What this copy has seen of a key, for an operation on it. Undefined in a table that is not merged. */
  seenOf(key: string): Knowledge | undefined {
    return this.isMerged ? (this.cells.merged(key)?.seen ?? NO_KNOWLEDGE) : undefined
  }

  /** Forgets a cell as if it had never been: a tombstone that is not needed any more, or a row that others have forgotten. */
  forget(key: string, cell: Cell<V>): void {
    const old = cell.value
    this.cells.remove(key, cell)
    this.#removeRecord(key, cell)
    if (old !== undefined) this.#changed(key, undefined, old)
  }

  /** Forgets a cell if it is gone; of one that is merged the versions that are. Returns whether any of it is left. */
  forgetGone(key: string, cell: Cell<V>, isGone: (stamp: Stamp) => boolean): boolean {
    if (!(cell instanceof MergedCell)) {
      if (!isGone(cell)) return true
      this.forget(key, cell)
      return false
    }
    const before = cell.value
    if (!this.cells.drop(key, cell as MergedCell<V>, isGone)) return true
    if (cell.isEmpty) this.#removeRecord(key, cell)
    else this.write(key, cell, undefined)
    if (before !== undefined || cell.value !== undefined) this.#changed(key, cell.value, before)
    return !cell.isEmpty
  }

  /** Writes the record of the copy: what it lacks, and when it was cleared. */
  save(): void {
    if (!this.#isWritten) return
    const { coverage } = this
    const { cleared } = this.cells
    if (this.isKept) this.#disc?.writeKept(this.name, cleared)
    else this.#disc?.writeCopy(this.name, { coverage, cleared })
  }

  /** Reads what is on disc. Returns the keys of records that are damaged; those rows are left out. */
  load(disc: Disc): string[] {
    const damaged: string[] = []
    const reader = new BinaryReader(new Uint8Array())
    const cleared = disc.copy(this.name)?.cleared ?? disc.kept(this.name)
    if (cleared !== undefined) this.cells.restoreCleared(cleared)
    for (const [name, value] of disc.store.entries(spaceOf(this.name))) {
      const [key, identity] = keyOfRecord(name)
      try {
        reader.open(value)
        if (reader.byte() !== VERSION) throw new Damaged('record of another format')
        const cell = decodeCell(reader, identity, this.bytes, (number) => disc.originOf(number), this.merge)
        // Older than the last clear: the end came before it was removed.
        if (!this.#restore(key, cell)) disc.put({ space: spaceOf(this.name), key: name, value: undefined })
      } catch {
        damaged.push(key)
      }
    }
    return damaged
  }

  /** Takes over the cells of the copy that was kept while the table was not known. Returns the keys of rows that are none of the table's. */
  takeOver(opaque: Replica<Uint8Array>): string[] {
    const damaged: string[] = []
    const { cleared } = opaque.cells
    if (cleared !== undefined) this.#clear(cleared.clock, cleared.origin)
    for (const map of [opaque.cells.rows, opaque.cells.tombstones]) {
      for (let from: number | undefined = 0; from !== undefined; ) {
        const { cells, next } = map.chunk(from)
        for (const [key, cell] of cells) {
          try {
            this.join(key, this.#adopt(cell))
          } catch {
            damaged.push(key)
          }
        }
        from = next
      }
    }
    return damaged
  }

  /** From now on the copy is on disc. What there is of it has to be written by `writeAll`. */
  toDisc(disc: Disc): void {
    this.#disc = disc
    this.#isWritten = false
  }

  /** Writes all of the copy to the disc, in pieces, and then that it is there. */
  *writeAll(): Task {
    for (const map of [this.cells.rows, this.cells.tombstones]) {
      for (let from: number | undefined = 0; from !== undefined; ) {
        const { cells, next } = map.chunk(from)
        for (const [key, cell] of cells) this.write(key, cell, undefined)
        this.#touch()
        from = next
        yield 'go'
        // It has been dropped, or is in memory only again.
        if (this.#disc === undefined) return
      }
    }
    this.#isWritten = true
    this.save()
    this.#touch()
  }

  /** From now on the copy is in memory only; what is on disc goes. */
  toRam(): void {
    const disc = this.#disc
    if (disc === undefined) return
    this.#disc = undefined
    this.#isWritten = true
    disc.remove(this.name)
  }

  /** Writes the record of a cell. */
  write(key: string, cell: Cell<V>, bytes: Uint8Array | undefined): void {
    const writer = this.#writer
    writer.byte(VERSION)
    encodeCell(writer, cell, this.bytes, (origin) => origin.number, bytes)
    this.#disc?.put({ space: spaceOf(this.name), key: recordKey(key, cell, this.isBag), value: writer.take() })
  }

  #removeRecord(key: string, cell: Cell<V>): void {
    this.#disc?.put({ space: spaceOf(this.name), key: recordKey(key, cell, this.isBag), value: undefined })
  }

  #written(key: string, cell: Cell<V>, old: V | undefined, bytes: Uint8Array | undefined): void {
    if (this.#disc !== undefined) this.write(key, cell, bytes)
    if (old !== undefined || cell.value !== undefined) this.#changed(key, cell.value, old)
  }

  #clear(clock: number, origin: Origin): boolean {
    const gone: Gone<V>[] = []
    if (!this.cells.clear(clock, origin, (key, before, cell) => gone.push({ key, before, cell }))) return false
    if (this.#disc !== undefined) {
      // The record says what is gone: what is older when it is read is left out, so the rest can go from the disc in pieces.
      this.save()
      this.#forgetRecords(gone, 0)
      if (gone.length > RECORDS_AT_ONCE) this.#run(this.#forgetRest(gone))
    }
    for (const { key, cell, before } of gone) {
      if (before !== undefined || cell.value !== undefined) this.#changed(key, cell.value, before)
    }
    return true
  }

  /** Removes a number of records of cells that are gone. */
  #forgetRecords(gone: readonly Gone<V>[], from: number): void {
    for (const { key, cell } of gone.slice(from, from + RECORDS_AT_ONCE)) {
      const now = this.cells.get(key, cell.identity)
      if (now instanceof MergedCell && now === cell) this.write(key, cell, undefined)
      // Where something has been written since, its record has taken the place of the old one.
      else if (now === undefined) this.#removeRecord(key, cell)
    }
  }

  *#forgetRest(gone: readonly Gone<V>[]): Task {
    for (let from = RECORDS_AT_ONCE; from < gone.length; from += RECORDS_AT_ONCE) {
      yield 'go'
      this.#forgetRecords(gone, from)
      this.#touch()
    }
  }

  #restore(key: string, cell: Cell<V>): boolean {
    const { cells } = this
    const now =
      cell instanceof MergedCell
        ? cells.join(key, cell as MergedCell<V>)
        : cells.apply(key, cell.identity, cell.value, cell.clock, cell.origin)
    if (now?.value !== undefined) this.#changed(key, now.value, undefined)
    return now !== undefined
  }

  #adopt(cell: Cell<Uint8Array>): Cell<V> {
    const decoded = (value: Uint8Array | undefined) => (value === undefined ? undefined : this.bytes.decode(value))
    if (cell instanceof MergedCell) {
      const merged = new MergedCell<V>(this.merge)
      const versions = (cell as MergedCell<Uint8Array>).versions
      merged.restore(
        versions.map((version) => ({ ...version, value: decoded(version.value) })),
        cell.seen,
      )
      return merged
    }
    const { clock, origin, identity } = cell
    const value = decoded(cell.value)
    return this.isBag ? new BagCell(value, clock, origin, identity) : new Cell(value, clock, origin)
  }
}

/** The key of a record: `=` and the key in a set; length of the key, colon, key and identity in a bag. */
function recordKey(key: string, { identity }: Cell<unknown>, isBag: boolean): string {
  return isBag ? `${key.length}:${key}${identity}` : `=${key}`
}

function keyOfRecord(name: string): [key: string, identity: string | undefined] {
  if (name.startsWith('=')) return [name.slice(1), undefined]
  const colon = name.indexOf(':')
  const length = Number(name.slice(0, colon))
  return [name.slice(colon + 1, colon + 1 + length), name.slice(colon + 1 + length)]
}
