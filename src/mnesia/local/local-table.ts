/**
 * A local_content table: the same definition on every node, rows of its own on each [OTP mnesia, local_content].
 *
 * Every write is complete when it returns, as far as memory goes, and there is no other node to wait for. With a copy on disc it is committed in
 * the same turn. A definition on a node that has no copy of it can be neither read nor written.
 */
import type { CopyKind, TableDefinition } from '../definition.ts'
import { NoCopyError } from '../errors.ts'
import { type OrderedKeys, ReadableTable } from '../rows/readable-table.ts'
import { createRows, type Rows, withIndexes } from '../rows/rows.ts'
import { sameRow } from '../rows/same-value.ts'
import { END, type Position } from '../rows/shards.ts'
import type { StoreOperation } from '../store/store.ts'
import type { Table, TableOperation, WriteOptions, WriteOutcome } from '../table.ts'
import type { LocalDisc } from './local-disc.ts'

const COMPLETE: WriteOutcome = Object.freeze({ unconfirmed: Object.freeze([]) })

export class LocalTable<Row> extends ReadableTable<Row> implements Table<Row> {
  readonly #node: string
  #copy: CopyKind = 'none'
  #rows: Rows<Row> | undefined
  /** Of a copy on disc. */
  #disc: LocalDisc<Row> | undefined
  /** Rows of a copy that is new on disc have been written up to here. */
  #writtenTo: Position = END

  constructor(definition: TableDefinition<Row>, node: string) {
    super(definition)
    this.#node = node
  }

  get copy(): CopyKind {
    return this.#copy
  }

  get size(): number {
    return this.#held.size
  }

  get keyCount(): number {
    return this.#held.keyCount
  }

  has(key: string): boolean {
    return this.#held.has(key)
  }

  get(key: string): Row | undefined {
    return this.#held.get(key)
  }

  read(key: string): readonly Row[] {
    return this.#held.read(key)
  }

  keys(): IterableIterator<string> {
    return this.#held.keys()
  }

  write(row: Row): undefined
  write(row: Row, options: WriteOptions): Promise<WriteOutcome> | undefined
  write(row: Row, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    const rows = this.#held
    // Encoded first: a row that cannot be is not written at all.
    if (this.#disc !== undefined) this.#disc.commit([this.#disc.written(row)])
    this.#put(rows, row)
    return this.#outcome(options)
  }

  delete(key: string): undefined
  delete(key: string, options: WriteOptions): Promise<WriteOutcome> | undefined
  delete(key: string, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.batch([{ op: 'delete', key }], options)
  }

  deleteObject(row: Row): undefined
  deleteObject(row: Row, options: WriteOptions): Promise<WriteOutcome> | undefined
  deleteObject(row: Row, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.batch([{ op: 'delete_object', row }], options)
  }

  batch(operations: readonly TableOperation<Row>[], options?: WriteOptions): Promise<WriteOutcome> | undefined {
    const rows = this.#held
    if (this.#disc === undefined) for (const operation of operations) this.#apply(rows, operation)
    else {
      const written = operations.map((operation) =>
        operation.op === 'write' ? this.#disc!.written(operation.row) : undefined,
      )
      const changes: StoreOperation[] = []
      for (const [i, operation] of operations.entries()) {
        const removed = this.#apply(rows, operation)
        if (written[i] !== undefined) changes.push(written[i])
        for (const row of removed) changes.push(this.#disc.deleted(this.keyOf(row), row))
      }
      this.#disc.commit(changes)
    }
    return this.#outcome(options)
  }

  clear(options?: WriteOptions): Promise<WriteOutcome> | undefined {
    const rows = this.#held
    const removed = this.isWatched ? [...this.rows()] : []
    rows.clear()
    this.#disc?.clear()
    this.#writtenTo = END
    this.changed()
    for (const row of removed) this.changed({ type: 'delete', row })
    return this.#outcome(options)
  }

  // For `LocalTables`

  /** Begins a copy, with the rows that the disc holds if it is one on disc. */
  begin(disc: LocalDisc<Row> | undefined, damaged: (reason: string) => void): void {
    const rows = createRows(this.definition, this.#node, { indexes: this.indexes })
    if (disc !== undefined) for (const row of disc.rows(damaged)) rows.write(this.keyOf(row), row)
    this.#rows = rows
    this.#disc = disc
    this.#copy = disc === undefined ? 'ram_copies' : 'disc_copies'
    this.changed()
  }

  /** Ends the copy: its rows are gone, from the disc as well. Subscribers are told of each. */
  end(): void {
    const rows = this.#rows
    this.#disc?.clear()
    this.#rows = undefined
    this.#disc = undefined
    this.#writtenTo = END
    this.#copy = 'none'
    if (rows === undefined) return
    if (this.isWatched) {
      for (const key of rows.keys()) for (const row of rows.read(key)) this.changed({ type: 'delete', row })
    } else this.changed()
  }

  /** The copy stays in memory alone. */
  leaveDisc(): void {
    this.#disc?.clear()
    this.#disc = undefined
    this.#writtenTo = END
    this.#copy = 'ram_copies'
  }

  /** The copy goes to disc as well: what is written from now on at once, what there is already by `writeMore`. */
  enterDisc(disc: LocalDisc<Row>): void {
    disc.clear()
    this.#disc = disc
    this.#writtenTo = 0
    this.#copy = 'disc_copies'
  }

  /** Writes some of the rows that there were before the copy went to disc. False when there are no more. */
  writeMore(): boolean {
    if (this.#writtenTo === END || this.#disc === undefined || this.#rows === undefined) return false
    const { rows, next } = this.#rows.chunk(this.#writtenTo)
    const disc = this.#disc
    disc.commit(rows.map((row) => disc.written(row)))
    this.#writtenTo = next ?? END
    return next !== undefined
  }

  protected override keysAfter(key: string | undefined): IterableIterator<string> {
    return this.#held.keysAfter(key)
  }

  protected override order(): OrderedKeys {
    return this.#held.order!
  }

  protected override reindex(): void {
    if (this.#rows !== undefined) this.#rows = withIndexes(this.#rows, this.indexes)
  }

  protected override indexed(field: keyof Row & string, value: unknown): readonly Row[] {
    return this.#held.indexed(field, value)
  }

  get #held(): Rows<Row> {
    if (this.#rows === undefined) throw new NoCopyError(this.definition.name, [])
    return this.#rows
  }

  /** Returns the rows that are gone and have not been replaced. */
  #apply(rows: Rows<Row>, operation: TableOperation<Row>): readonly Row[] {
    if (operation.op === 'write') {
      this.#put(rows, operation.row)
      return []
    }
    const removed = operation.op === 'delete' ? rows.delete(operation.key) : this.#deleteObject(rows, operation.row)
    for (const row of removed) this.changed({ type: 'delete', row })
    return removed
  }

  #deleteObject(rows: Rows<Row>, row: Row): readonly Row[] {
    const key = this.keyOf(row)
    if (this.definition.type !== 'bag') {
      const held = rows.get(key)
      if (held === undefined || !sameRow(this.definition, held, row)) return []
    }
    const removed = rows.deleteObject(key, row)
    return removed === undefined ? [] : [removed]
  }

  #put(rows: Rows<Row>, row: Row): void {
    const old = rows.write(this.keyOf(row), row)
    if (this.isWatched) this.changed({ type: 'write', row, old })
    else this.changed()
  }

  #outcome(options: WriteOptions | undefined): Promise<WriteOutcome> | undefined {
    if (options?.wait !== 'durable') return undefined
    return this.#disc?.flushed()?.then(() => COMPLETE)
  }
}
