/**
 * A shared table as its users see it: reads of this node's copy, and writes that become entries of this node's log.
 *
 * Everything that replication does to the copy comes back as a change of a row, which keeps the order of keys and the indexes and makes
 * the events. Without a copy here the table can be written, not read: a write is taken in by the nodes that have one.
 */
import { byCodeUnits, SortedKeys } from '../../actors/sorted-keys.ts'
import type { RowBytes, TableDefinition } from '../definition.ts'
import { NoCopyError } from '../errors.ts'
import { termBytes } from '../row-bytes.ts'
import { NO_ROWS, type OrderedKeys, ReadableTable } from '../rows/readable-table.ts'
import { RowIndex } from '../rows/row-index.ts'
import { sameRow, sameValue } from '../rows/same-value.ts'
import type { Table, TableEvent, TableOperation, WriteOptions, WriteOutcome } from '../table.ts'
import { clearOf, identityOfBytes, type Operation } from './entry.ts'
import type { Knowledge } from './merged-cell.ts'
import type { Replica } from './replica.ts'

/** What a shared table can be asked to do: what any table can, and to remove all its rows. */
export type SharedOperation<Row> = TableOperation<Row> | { readonly op: 'clear' }

/** Operations on one table, within an entry. */
export interface TableOperations {
  // biome-ignore lint/suspicious/noExplicitAny: an entry is over tables of any rows
  readonly table: SharedTable<any>
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly operations: readonly SharedOperation<any>[]
}

/** What a table needs of its replication. */
export interface TableWriter {
  /** Writes one entry. */
  write(parts: readonly TableOperations[], options: WriteOptions | undefined): Promise<WriteOutcome> | undefined
  /** Has the event delivered when the entry that makes it has been applied as a whole. */
  emit(deliver: () => void): void
  /** Every node has had what has a clock up to this. */
  readonly stableClock: number
  /** Nodes that are known to have a copy, sorted. */
  holders(table: string): readonly string[]
}

/** An operation before it is known what it changes. */
export interface Wish<Row> {
  readonly op: SharedOperation<Row>['op']
  readonly key: string
  readonly identity: string | undefined
  readonly row: Row | undefined
  readonly bytes: Uint8Array | undefined
}

export class SharedTable<Row> extends ReadableTable<Row> implements Table<Row> {
  readonly bytes: RowBytes<Row>
  readonly #writer: TableWriter
  #replica: Replica<Row> | undefined
  readonly #sorted: SortedKeys<string> | undefined
  readonly #indexes = new Map<keyof Row & string, RowIndex>()
  readonly #isOwnIdentity: boolean

  /** Throws a TypeError for a definition that cannot be shared. */
  constructor(definition: TableDefinition<Row>, writer: TableWriter) {
    super(definition)
    if (definition.compact !== undefined) {
      throw new TypeError(`${definition.name}: a shared table cannot be compact, as each of its rows has a stamp`)
    }
    if (definition.merge !== undefined && definition.type === 'bag') {
      throw new TypeError(`${definition.name}: rows of a bag are not merged`)
    }
    this.bytes = definition.bytes ?? termBytes<Row>()
    this.#writer = writer
    this.#isOwnIdentity = definition.type === 'bag' && definition.identity === undefined
    if (definition.type === 'ordered_set') this.#sorted = new SortedKeys<string>(byCodeUnits)
    for (const field of this.indexes) this.#indexes.set(field, new RowIndex())
  }

  /** Undefined when this node has no copy. */
  get replica(): Replica<Row> | undefined {
    return this.#replica
  }

  /** For `SharedReplication`: the copy has been added, or removed; its rows are told of by `rowChanged`. */
  setReplica(replica: Replica<Row> | undefined): void {
    this.#replica = replica
    if (replica !== undefined) return
    this.#sorted?.clear()
    for (const index of this.#indexes.values()) index.clear()
    this.changed()
  }

  get size(): number {
    return this.#copy.cells.rows.size
  }

  get keyCount(): number {
    return this.#copy.cells.rows.keyCount
  }

  has(key: string): boolean {
    return this.#copy.cells.rows.hasKey(key)
  }

  get(key: string): Row | undefined {
    return this.#copy.cells.rows.value(key)
  }

  read(key: string): readonly Row[] {
    const cells = this.#copy.cells.rows.of(key)
    return cells.length === 0 ? NO_ROWS : cells.map((cell) => cell.value as Row)
  }

  keys(): IterableIterator<string> {
    const { rows } = this.#copy.cells
    return this.#sorted === undefined ? rows.keys() : this.#sortedAfter(undefined)
  }

  write(row: Row, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.batch([{ op: 'write', row }], options)
  }

  delete(key: string, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.batch([{ op: 'delete', key }], options)
  }

  deleteObject(row: Row, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.batch([{ op: 'delete_object', row }], options)
  }

  batch(operations: readonly TableOperation<Row>[], options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.#writer.write([{ table: this, operations }], options)
  }

  /** Removes all rows that there are now: those that are written later anywhere stay. */
  clear(options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.#writer.write([{ table: this, operations: [{ op: 'clear' }] }], options)
  }

  /** For `SharedReplication`: looks at an operation before anything is changed. Throws what the table's `encode` throws. */
  wish(operation: SharedOperation<Row>, needsBytes: boolean): Wish<Row> {
    // What is merged is merged with what its writer has seen.
    if (this.definition.merge !== undefined) this.#held()
    switch (operation.op) {
      case 'write':
      case 'delete_object': {
        const { op, row } = operation
        const needsOwn = op === 'write' ? needsBytes || this.#isOwnIdentity : this.#isOwnIdentity
        const bytes = needsOwn ? this.bytes.encode(row) : undefined
        return { op, row, key: this.keyOf(row), identity: this.#identityOf(row, bytes), bytes }
      }
      case 'delete':
        // A bag's rows of a key are removed one by one, so this node has to have them.
        if (this.definition.type === 'bag') this.#held()
        return { op: 'delete', key: operation.key, identity: undefined, row: undefined, bytes: undefined }
      case 'clear':
        return { op: 'clear', key: '', identity: undefined, row: undefined, bytes: undefined }
    }
  }

  /** For `SharedReplication`: no stamp of what the operation could replace has a greater clock. */
  clockBefore(wish: Wish<Row>): number {
    const replica = this.#replica
    if (replica === undefined) return 0
    const { cells } = replica
    if (wish.op === 'clear') return cells.greatestClock
    const cleared = cells.cleared?.clock ?? 0
    if (wish.op === 'delete' && this.definition.type === 'bag') return Math.max(cells.greatestClock, cleared)
    return Math.max(cells.get(wish.key, wish.identity ?? '')?.clock ?? 0, cleared)
  }

  /** For `SharedReplication`: how many operations it can become, besides those that come before it in the entry. */
  mostOperations(wish: Wish<Row>): number {
    const isWhole = wish.op === 'delete' && this.definition.type === 'bag'
    return isWhole ? this.#held().cells.rows.of(wish.key).length : 1
  }

  /** For `SharedReplication`: what the operation is, given the rows as they are now. A delete of what is not there is nothing. */
  operationsOf({ op, key, identity, row, bytes }: Wish<Row>): readonly Operation[] {
    const table = this.definition.name
    if (op === 'clear') return [clearOf(table)]
    const replica = this.#replica
    if (op === 'delete' && this.definition.type === 'bag') {
      return this.#held()
        .cells.rows.of(key)
        .map((cell) => this.#removal(key, cell.identity))
    }
    if (op !== 'write') {
      const held = replica?.cells.rows.get(key, identity ?? '')?.value
      // Without a copy here nobody can tell.
      const isThere = replica === undefined || (held !== undefined && (row === undefined || this.#isSame(held, row)))
      return isThere ? [this.#removal(key, identity)] : []
    }
    const seen = this.#seenOf(key)
    return [{ kind: 'write', table, key, identity, isOwnIdentity: this.#isOwnIdentity, bytes, seen }]
  }

  /** For `Replica`. */
  rowChanged(key: string, row: Row | undefined, old: Row | undefined): void {
    if (this.#sorted !== undefined) {
      if (old === undefined) this.#sorted.insert(key)
      else if (row === undefined) this.#sorted.delete(key)
    }
    for (const [field, index] of this.#indexes) this.#reindex(field, index, key, row, old)
    if (!this.isWatched) {
      this.changed()
      return
    }
    const event: TableEvent<Row> = row === undefined ? { type: 'delete', row: old as Row } : { type: 'write', row, old }
    this.#writer.emit(() => this.changed(event))
  }

  protected override keysAfter(key: string | undefined): IterableIterator<string> {
    return this.#sorted === undefined ? this.#held().cells.rows.keysAfter(key) : this.#sortedAfter(key)
  }

  protected override order(): OrderedKeys {
    this.#held()
    return this.#sorted!
  }

  protected override reindex(): void {
    for (const field of this.#indexes.keys()) if (!this.indexes.includes(field)) this.#indexes.delete(field)
    for (const field of this.indexes) {
      if (this.#indexes.has(field)) continue
      const index = new RowIndex()
      if (this.#replica !== undefined) {
        for (const key of this.keys()) for (const row of this.read(key)) index.add(row[field], key)
      }
      this.#indexes.set(field, index)
    }
  }

  protected override indexed(field: keyof Row & string, value: unknown): readonly Row[] {
    this.#held()
    const found: Row[] = []
    for (const key of this.#indexes.get(field)!.keys(value)) {
      for (const row of this.read(key)) if (sameValue(row[field], value)) found.push(row)
    }
    return found
  }

  *#sortedAfter(after: string | undefined): IterableIterator<string> {
    this.#held()
    const sorted = this.#sorted!
    let key = after === undefined ? sorted.first() : sorted.next(after)
    for (; key !== undefined; key = sorted.next(key)) yield key
  }

  #reindex(field: keyof Row, index: RowIndex, key: string, row: Row | undefined, old: Row | undefined): void {
    const value = row?.[field]
    const former = old?.[field]
    if (row !== undefined && old !== undefined && sameValue(value, former)) return
    if (old !== undefined) index.delete(former, key)
    if (row !== undefined) index.add(value, key)
  }

  #removal(key: string, identity: string | undefined): Operation {
    const seen = this.#seenOf(key)
    const table = this.definition.name
    return { kind: 'delete', table, key, identity, isOwnIdentity: this.#isOwnIdentity, bytes: undefined, seen }
  }

  /** Rows of a bag are the same by their identity. */
  #isSame(held: Row, row: Row): boolean {
    return this.definition.type === 'bag' || sameRow(this.definition, held, row)
  }

  /** In a table whose rows are merged: what this node has seen of a key, which is what it may have forgotten and what it holds. */
  #seenOf(key: string): Knowledge | undefined {
    const seen = this.#replica?.seenOf(key)
    return seen && { all: Math.max(seen.all, this.#writer.stableClock), of: seen.of }
  }

  #identityOf(row: Row, bytes: Uint8Array | undefined): string | undefined {
    if (this.definition.type !== 'bag') return undefined
    return this.#isOwnIdentity ? identityOfBytes(bytes!) : this.definition.identity!(row)
  }

  get #copy(): Replica<Row> {
    return this.#replica ?? this.#held()
  }

  #held(): Replica<Row> {
    if (this.#replica === undefined) {
      throw new NoCopyError(this.definition.name, this.#writer.holders(this.definition.name))
    }
    return this.#replica
  }
}
