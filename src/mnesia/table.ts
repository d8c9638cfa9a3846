/**
 * The interface of a table: read it directly, write it, follow its changes.
 *
 * Reads are local and synchronous; a write is applied here at once and may be waited for until it is durable or has reached the
 * other members. A row is immutable. Each table has one writer on a node (noted at its definition); anyone reads and subscribes.
 */
import type { TableDefinition } from './definition.ts'

export type TableOperation<Row> =
  | { readonly op: 'write'; readonly row: Row }
  /** Removes every row of a key; in an owned table, every row of this node. */
  | { readonly op: 'delete'; readonly key: string }
  /** Removes one row of a bag; in a set, the row of the same key if it is the same in all. */
  | { readonly op: 'delete_object'; readonly row: Row }

export type TableEvent<Row> =
  /** `old` is the row that it replaced. `owner` is the node that owns it, in an owned table. */
  | { readonly type: 'write'; readonly row: Row; readonly old: Row | undefined; readonly owner?: string }
  | { readonly type: 'delete'; readonly row: Row; readonly owner?: string }
  /** All rows of a node are visible from now on, or not any more; no event for each of them: `rowsOf` has them. */
  | { readonly type: 'shown'; readonly owner: string }
  | { readonly type: 'hidden'; readonly owner: string }
  /** Rows of a node that are not visible are others now; only in a table whose definition has `parked`. `rowsOf` has them. */
  | { readonly type: 'parked'; readonly owner: string }

export interface WriteOptions {
  /** `local` (default): applied here; `durable`: flushed here; `members`: applied by every connected member, bounded. */
  readonly wait?: 'local' | 'durable' | 'members'
  /** Of `members`. @default 1000 */
  readonly timeoutMs?: number
}

/** What became of a write that was waited for. */
export interface WriteOutcome {
  /** Members that did not confirm in time; empty when all is well. */
  readonly unconfirmed: readonly string[]
}

/** The part of a table that anyone may use. Iterations are of the rows at hand: they may miss what changes meanwhile. */
export interface TableReader<Row> {
  readonly definition: TableDefinition<Row>
  /** Number of visible rows. */
  readonly size: number
  /** Number of distinct keys that have a visible row. In an owned table that has just appeared or vanished in part, an estimate: see `OwnedTable`. */
  readonly keyCount: number
  /** Grows with every change of what is visible. */
  readonly version: number
  has(key: string): boolean
  /** The row of a key in a set or ordered_set; in a bag, one of its rows. In an owned table, this node's row before others'. */
  get(key: string): Row | undefined
  /** All visible rows of a key; an empty list when there are none. In an owned set, one for each owner that has the key. */
  read(key: string): readonly Row[]
  /** Rows of members that are not visible, as of those that are down, as far as the definition's `parked` admits them. */
  readParked(key: string): readonly Row[]
  keys(): IterableIterator<string>
  rows(): IterableIterator<Row>
  /**
   * In an owned table, the rows that are known of one owner, visible or not: for who hears that they are `shown` or `hidden`. In other
   * tables there are none.
   */
  rowsOf(owner: string): IterableIterator<Row>
  /** In an owned table, whether readers see the rows of an owner, if there are any. */
  isVisible(owner: string): boolean
  /** Smallest key of an ordered_set. Throws a TypeError for other types. */
  first(): string | undefined
  /** Greatest key of an ordered_set. Throws a TypeError for other types. */
  last(): string | undefined
  /** Smallest key of an ordered_set that is greater than `key`, which need not exist. Throws a TypeError for other types. */
  next(key: string): string | undefined
  /** Greatest key of an ordered_set that is smaller than `key`, which need not exist. Throws a TypeError for other types. */
  prev(key: string): string | undefined
  /** Smallest key of an ordered_set that is `key` or greater. Throws a TypeError for other types. */
  ceiling(key: string): string | undefined
  /** Fields that `indexRead` can look up. */
  readonly indexes: readonly string[]
  /** Rows whose field has this value, by an index. Throws a TypeError when there is none on the field. */
  indexRead<F extends keyof Row & string>(field: F, value: Row[F]): readonly Row[]
  /** Rows whose fields equal those of the pattern; a pattern with the key, or an indexed field, looks at those rows only. */
  match(pattern: Partial<Row>): Row[]
  /**
   * The first `limit` rows for which `where` holds, from the first key after `after` on, in an order that depends on nothing but the
   * keys. Rows of one key stay together, so in a bag there may be more than `limit`.
   */
  select(where: (row: Row) => boolean, options?: { readonly limit?: number; readonly after?: string }): Row[]
}

/**
 * Without options a write is complete when it returns, as far as this node goes. With options it returns undefined when it
 * is complete in the sense asked for, else a promise of what became of it. The promise rejects only with a `StoreError`, for
 * `durable` when the disc refuses.
 */
export interface Table<Row> extends TableReader<Row> {
  /**
   * Calls `listener` after each change, in the turn of the change and in its order. It must not throw and must not write
   * to this table. Returns the function that ends the subscription; a process that subscribes calls it when it terminates.
   */
  subscribe(listener: (event: TableEvent<Row>) => void): () => void
  write(row: Row): void
  write(row: Row, options: WriteOptions): Promise<WriteOutcome> | undefined
  /** Removes every row of a key. */
  delete(key: string): void
  delete(key: string, options: WriteOptions): Promise<WriteOutcome> | undefined
  /**
   * Removes one row of a bag; in a set, the row of the same key if it is the same in all. A node without a copy cannot tell, and
   * removes what there is.
   */
  deleteObject(row: Row): void
  deleteObject(row: Row, options: WriteOptions): Promise<WriteOutcome> | undefined
  /** Applies operations in order, as one list: other nodes, and the disc, see all of them or none. */
  batch(operations: readonly TableOperation<Row>[], options: WriteOptions): Promise<WriteOutcome> | undefined
  /**
   * Removes all rows that there are now: of a shared table those of the cluster, of the others those of this node [OTP
   * mnesia:clear_table/1].
   */
  clear(): void
  clear(options: WriteOptions): Promise<WriteOutcome> | undefined
}

/** The tables of one node. */
export interface Tables {
  /** The table of a definition, created when there is none yet. Throws when another definition has its name. */
  open<Row>(definition: TableDefinition<Row>): Table<Row>
  /** Every table that has been opened. */
  all(): readonly TableReader<unknown>[]
}
