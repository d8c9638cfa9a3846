/**
 * Containers of rows in memory: a set, an ordered_set, a bag, a bag of small integers, each with the indexes of its table.
 *
 * A container knows nothing of events, nodes and discs. A local_content table is one container, an owned one has a container for each
 * owner. All of them grow past V8's limit of 16,777,216 entries and without long pauses (shards.ts), and can be read in chunks while they
 * change: `chunk` returns what lies in one shard, by the order of hashes, and where to go on; a row that is there from the first chunk
 * to the last is in exactly one of them.
 */
import type { TableDefinition } from '../definition.ts'
import { BagRows } from './bag-rows.ts'
import { CompactRows } from './compact-rows.ts'
import { IndexedRows } from './indexed-rows.ts'
import type { OrderedKeys } from './readable-table.ts'
import { OrderedRows, SetRows } from './set-rows.ts'
import type { KeyChunk, Position } from './shards.ts'

export interface RowChunk<Row> {
  /** Rows of a key lie together. */
  readonly rows: readonly Row[]
  /** Where to go on; undefined when this was the last. */
  readonly next: Position | undefined
}

/** Numbers that are kept with the rows of keys, such as hashes of them. */
export interface RowMarks {
  /** That of a key's row: 0 before one has been set, and undefined where there is no row. */
  markOf(key: string, hash: number): number | undefined
  /** Sets that of a row that is there. */
  setMark(key: string, hash: number, mark: number): void
}

/** `hash` is that of the key, by `hashOf`, for who has it at hand. */
export interface Rows<Row> {
  /** Number of rows. */
  readonly size: number
  /** Number of keys. */
  readonly keyCount: number
  has(key: string, hash?: number): boolean
  /** The row of a key, one of them in a bag. */
  get(key: string, hash?: number): Row | undefined
  read(key: string, hash?: number): readonly Row[]
  /** Keys, each once, in order when it is an ordered_set; those that come or go meanwhile may be missing. */
  keys(): IterableIterator<string>
  /** Keys after one that need not exist, in an order that depends on nothing but the keys; all when it is undefined. */
  keysAfter(key: string | undefined): IterableIterator<string>
  /** Keys in order; of an ordered_set only. */
  readonly order: OrderedKeys | undefined
  /** Undefined in a container that keeps none. */
  readonly marks: RowMarks | undefined
  /** Rows whose field has a value, by index; empty when the field has no index. */
  indexed(field: keyof Row & string, value: unknown): readonly Row[]
  /** Returns the row that it replaced. */
  write(key: string, row: Row, hash?: number): Row | undefined
  /** Removes the row of the same identity; in a set, of the same key. Returns what it removed. */
  deleteObject(key: string, row: Row, hash?: number): Row | undefined
  /** Removes all rows of a key, and returns them. */
  delete(key: string, hash?: number): readonly Row[]
  clear(): void
  chunk(from: Position, to?: Position): RowChunk<Row>
  /** Keys alone. */
  keyChunk(from: Position, to?: Position): KeyChunk
}

/**
 * An empty container for a table, with indexes on these fields. `owner` is the node whose rows it will hold: `compact` rows may
 * leave it out. `isMarked`: a container with one row for a key keeps marks.
 */
export function createRows<Row>(
  definition: TableDefinition<Row>,
  owner: string,
  { indexes = definition.index ?? [], isMarked = false }: RowsOptions<Row> = {},
): Rows<Row> {
  return withIndexes(plainRows(definition, owner, isMarked), indexes)
}

export interface RowsOptions<Row> {
  /** @default those of the definition */
  readonly indexes?: readonly (keyof Row & string)[]
  /** @default false */
  readonly isMarked?: boolean
}

/** The same rows with indexes on these fields and no others; the container that was given is not to be used any more. */
export function withIndexes<Row>(rows: Rows<Row>, fields: readonly (keyof Row & string)[]): Rows<Row> {
  if (rows instanceof IndexedRows) {
    if (fields.length === 0) return rows.rows
    rows.setFields(fields)
    return rows
  }
  return fields.length === 0 ? rows : new IndexedRows(rows, fields)
}

function plainRows<Row>(definition: TableDefinition<Row>, owner: string, isMarked: boolean): Rows<Row> {
  if (definition.type === 'set') return new SetRows(isMarked)
  if (definition.type === 'ordered_set') return new OrderedRows(isMarked)
  if (definition.compact !== undefined) return new CompactRows(definition.compact(owner))
  return new BagRows(definition.identity)
}
