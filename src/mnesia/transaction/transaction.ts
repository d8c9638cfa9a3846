/**
 * Transactions: several reads and writes of shared tables as one, as if no other transaction ran meanwhile [OTP mnesia:transaction/1].
 *
 *     lock each row at its home ─▶ read here, write into a list ─▶ one entry to all members ─▶ confirmed ─▶ unlock
 *
 * Rows are locked when they are first used and until the end (two-phase locking), so transactions are serialisable among members that see
 * the same members run. What is written becomes one entry of this node: every node, and every disc, has all of it or none.
 * When another transaction is in the way, or a member comes or goes, the function runs again from its beginning; it must have no other effects.
 * Dirty operations (those of `Table`) ask for no lock and see what is applied: they may see a transaction's rows as soon as it commits.
 *
 * Differs from Mnesia: a transaction is asynchronous and is handed to its function as an object; after a partition the later of two
 * writes stands, whichever was in a transaction, so who must not write in a minority asks for `majority`.
 */
import { TableError } from '../errors.ts'
import { sameValue } from '../rows/same-value.ts'
import { SharedTable, type TableOperations } from '../shared/shared-table.ts'
import type { Table, TableOperation } from '../table.ts'
import type { LockMode } from './lock-table.ts'
import { type Locks, Restart } from './locks.ts'
import { Writes } from './writes.ts'

/** OTP's `{atomic, Value}` or `{aborted, Reason}`. */
export type TransactionResult<T> =
  | {
      readonly ok: true
      readonly value: T
      /** Members that had not applied it in time. */
      readonly unconfirmed: readonly string[]
    }
  | { readonly ok: false; readonly reason: AbortReason }

/** Why nothing was changed: what `abort` was given, or what the function threw, or one of the words below. */
export type AbortReason =
  | { readonly tag: 'aborted'; readonly reason: unknown }
  | { readonly tag: 'error'; readonly error: unknown }
  | { readonly tag: 'no_majority' | 'too_many_retries' | 'disc' }

/** Thrown by `abort`. */
export class Abort extends Error {
  override readonly name = 'Abort'
  readonly reason: unknown

  constructor(reason: unknown) {
    super('the transaction was aborted')
    this.reason = reason
  }
}

type AnyTable = SharedTable<unknown>

/** What the function of a transaction is given. Its methods may be awaited one after the other or together. */
export class Transaction {
  readonly #locks: Locks
  readonly #writes = new Writes()
  #isClosed = false

  /** For `Transactions`. */
  constructor(locks: Locks) {
    this.#locks = locks
  }

  /** The rows of a key, with what this transaction has written [OTP mnesia:read/3]. `mode` write locks them for a later write. */
  async read<Row>(table: Table<Row>, key: string, mode: LockMode = 'read'): Promise<readonly Row[]> {
    const shared = this.#sharedOf(table)
    await this.#locks.lock(shared.definition.name, key, mode)
    return this.#writes.rowsOf(shared, key) as readonly Row[]
  }

  /** Writes a row [OTP mnesia:write/1]. */
  async write<Row>(table: Table<Row>, row: Row): Promise<void> {
    await this.#change(table, String(row[table.definition.key]), { op: 'write', row })
  }

  /** Removes all rows of a key [OTP mnesia:delete/1]. */
  async delete<Row>(table: Table<Row>, key: string): Promise<void> {
    await this.#change(table, key, { op: 'delete', key })
  }

  /** Removes one row of a bag; in a set, the row of the same key if it is the same in all [OTP mnesia:delete_object/1]. */
  async deleteObject<Row>(table: Table<Row>, row: Row): Promise<void> {
    await this.#change(table, String(row[table.definition.key]), { op: 'delete_object', row })
  }

  /** Rows whose fields equal those of the pattern; locks a row when the pattern has the key, else the table [OTP mnesia:match_object/1]. */
  async match<Row>(table: Table<Row>, pattern: Partial<Row>): Promise<Row[]> {
    const { key: field } = table.definition
    const fields = Object.keys(pattern) as (keyof Row & string)[]
    const matches = (row: Row): boolean => fields.every((each) => sameValue(row[each], pattern[each]))
    if (fields.includes(field)) return (await this.read(table, String(pattern[field]))).filter(matches)
    const shared = await this.#locked(table)
    return this.#rowsOf(shared, keysOf(shared, table.match(pattern)), matches)
  }

  /** Rows whose field has this value, by an index; locks the table [OTP mnesia:index_read/3]. Throws as `Table.indexRead` does. */
  async indexRead<Row, F extends keyof Row & string>(table: Table<Row>, field: F, value: Row[F]): Promise<Row[]> {
    const shared = await this.#locked(table)
    const keys = keysOf(shared, table.indexRead(field, value))
    return this.#rowsOf(shared, keys, (row: Row) => sameValue(row[field], value))
  }

  /** The rows for which `where` holds; locks the table [OTP mnesia:select/2]. */
  async select<Row>(table: Table<Row>, where: (row: Row) => boolean): Promise<Row[]> {
    const shared = await this.#locked(table)
    return this.#rowsOf(shared, shared.keys(), where)
  }

  /** Goes through all rows; locks the table [OTP mnesia:foldl/3]. */
  async fold<Row, A>(table: Table<Row>, initial: A, combine: (accumulated: A, row: Row) => A): Promise<A> {
    return (await this.select(table, () => true)).reduce(combine, initial)
  }

  /** All keys; locks the table [OTP mnesia:all_keys/1]. */
  async keys<Row>(table: Table<Row>): Promise<string[]> {
    const shared = await this.#locked(table)
    return [...this.#keys(shared, shared.keys())].filter((key) => this.#has(shared, key))
  }

  /** Smallest key of an ordered_set; locks the table [OTP mnesia:first/1]. Throws a TypeError for other types. */
  async first<Row>(table: Table<Row>): Promise<string | undefined> {
    const shared = await this.#locked(table)
    return this.#least(shared, undefined, shared.first())
  }

  /** Greatest key of an ordered_set; locks the table [OTP mnesia:last/1]. Throws a TypeError for other types. */
  async last<Row>(table: Table<Row>): Promise<string | undefined> {
    const shared = await this.#locked(table)
    return this.#greatest(shared, undefined, shared.last())
  }

  /** Smallest key that is greater than `key`, which need not exist; locks the table [OTP mnesia:next/2]. Throws as `first` does. */
  async next<Row>(table: Table<Row>, key: string): Promise<string | undefined> {
    const shared = await this.#locked(table)
    return this.#least(shared, key, shared.next(key))
  }

  /** Greatest key that is smaller than `key`, which need not exist; locks the table [OTP mnesia:prev/2]. Throws as `first` does. */
  async prev<Row>(table: Table<Row>, key: string): Promise<string | undefined> {
    const shared = await this.#locked(table)
    return this.#greatest(shared, key, shared.prev(key))
  }

  /** Locks a whole table [OTP mnesia:read_lock_table/1, write_lock_table/1]. */
  async lockTable<Row>(table: Table<Row>, mode: LockMode): Promise<void> {
    await this.#locked(table, mode)
  }

  /** Ends the transaction, or the nested one in which it is called; nothing of it has been changed [OTP mnesia:abort/1]. */
  abort(reason: unknown): never {
    throw new Abort(reason)
  }

  /** A transaction within: when it aborts, what it wrote is forgotten and the outer one goes on. Locks stay until the outer one ends. */
  async nested<T>(body: (tx: Transaction) => T | Promise<T>): Promise<TransactionResult<T>> {
    const before = this.#writes.length
    try {
      return { ok: true, value: await body(this), unconfirmed: [] }
    } catch (thrown) {
      this.#writes.truncate(before)
      if (thrown instanceof Restart || this.#locks.isDoomed) throw thrown
      if (thrown instanceof Abort) return { ok: false, reason: { tag: 'aborted', reason: thrown.reason } }
      return { ok: false, reason: { tag: 'error', error: thrown } }
    }
  }

  /** For `Transactions`: it is over. */
  close(): void {
    this.#isClosed = true
  }

  /** For `Transactions`: what it writes, by table, in order. */
  parts(): TableOperations[] {
    return this.#writes.parts()
  }

  async #change<Row>(table: Table<Row>, key: string, operation: TableOperation<Row>): Promise<void> {
    const shared = this.#sharedOf(table)
    await this.#locks.lock(shared.definition.name, key, 'write')
    this.#sharedOf(table)
    this.#writes.add(shared, key, operation as TableOperation<unknown>)
  }

  async #locked<Row>(table: Table<Row>, mode: LockMode = 'read'): Promise<AnyTable> {
    const shared = this.#sharedOf(table)
    await this.#locks.lock(shared.definition.name, undefined, mode)
    return shared
  }

  /** Rows as this transaction sees them, of some keys and of those that it has written. */
  #rowsOf<Row>(table: AnyTable, keys: Iterable<string>, where: (row: Row) => boolean): Row[] {
    const found: Row[] = []
    for (const key of this.#keys(table, keys)) {
      for (const row of this.#writes.rowsOf(table, key) as readonly Row[]) if (where(row)) found.push(row)
    }
    return found
  }

  /** Some keys of a table and those that this transaction has written, each once; of an ordered_set in order. */
  #keys(table: AnyTable, keys: Iterable<string>): Iterable<string> {
    const all = new Set(keys)
    for (const key of this.#writes.keys(table)) all.add(key)
    return table.definition.type === 'ordered_set' ? [...all].sort() : all
  }

  #has(table: AnyTable, key: string): boolean {
    return this.#writes.rowsOf(table, key).length > 0
  }

  /** The least key beyond `from`; `inTable` is the least that the table has, as it is without what this transaction has written. */
  #least(table: AnyTable, from: string | undefined, inTable: string | undefined): string | undefined {
    let least = inTable
    while (least !== undefined && !this.#has(table, least)) least = table.next(least)
    for (const key of this.#writes.keys(table)) {
      const isNearer = (from === undefined || key > from) && (least === undefined || key < least)
      if (isNearer && this.#has(table, key)) least = key
    }
    return least
  }

  /** As `#least`, in the other direction. */
  #greatest(table: AnyTable, from: string | undefined, inTable: string | undefined): string | undefined {
    let greatest = inTable
    while (greatest !== undefined && !this.#has(table, greatest)) greatest = table.prev(greatest)
    for (const key of this.#writes.keys(table)) {
      const isNearer = (from === undefined || key < from) && (greatest === undefined || key > greatest)
      if (isNearer && this.#has(table, key)) greatest = key
    }
    return greatest
  }

  #sharedOf<Row>(table: Table<Row>): AnyTable {
    if (this.#isClosed) throw new TableError('no_transaction', 'the transaction is over')
    if (table instanceof SharedTable) return table as AnyTable
    const { name, replication } = table.definition
    throw new TableError('no_transaction', `table ${name} is ${replication}: transactions are for shared tables`)
  }
}

function* keysOf(table: AnyTable, rows: readonly unknown[]): IterableIterator<string> {
  for (const row of rows) yield String((row as Record<string, unknown>)[table.definition.key])
}
