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
import type { Caller } from '../../actors/gen.ts'
import type { Runtime } from '../../actors/runtime.ts'
import { TableError } from '../errors.ts'
import { hashOf } from '../rows/key-hash.ts'
import { SharedTable, type TableOperations } from '../shared/shared-table.ts'
import type { Table, TableOperation, WriteOptions, WriteOutcome } from '../table.ts'
import type { LockMode, TransactionId } from './lock-table.ts'
import { type LockReply, locker, MNESIA_LOCKER, type Position } from './locker.ts'

export interface TransactionOptions {
  /** How often it may begin again. @default without limit */
  readonly retries?: number
  /** Aborts with `no_majority` unless more than half of the members run. @default false */
  readonly majority?: boolean
  /** Whether it is complete only when it is on this node's disc as well [OTP mnesia:sync_transaction/1]. @default false */
  readonly durable?: boolean
  /** How long the members have to apply what was written. @default 1000 */
  readonly timeoutMs?: number
}

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

/** What transactions need of the tables of a node. */
export interface TransactionHost {
  readonly runtime: Runtime
  /** Members that run, this node included, sorted. */
  running(): readonly string[]
  members(): readonly string[]
  /** Writes one entry. */
  write(parts: readonly TableOperations[], options: WriteOptions | undefined): Promise<WriteOutcome> | undefined
  /** How far this node has applied the entries of an origin; 0 for one that it has not heard of. */
  appliedOf(node: string, epoch: number): number
  /** The last entry that this node has written. */
  position(): Position
  flushed(): Promise<void>
}

const CATCH_UP_POLL_MS = 5
const CATCH_UP_MS = 2000
const FIRST_PAUSE_MS = 2
const LAST_PAUSE_MS = 100

/** Thrown to run the function again; user code that catches it cannot keep the transaction alive. */
class Restart extends Error {
  override readonly name = 'Restart'
}

/** Thrown by `abort`. */
class Abort extends Error {
  override readonly name = 'Abort'
  readonly reason: unknown

  constructor(reason: unknown) {
    super('the transaction was aborted')
    this.reason = reason
  }
}

interface Counters {
  committed: number
  aborted: number
  restarted: number
}

/** The transactions of one node. */
export class Transactions {
  readonly counters: Counters = { committed: 0, aborted: 0, restarted: 0 }
  readonly #host: TransactionHost
  #lastNumber = 0

  constructor(host: TransactionHost) {
    this.#host = host
  }

  /** Runs a function as a transaction, in the name of a process: when that ends, the transaction's locks are given back. */
  async run<T>(
    caller: Caller,
    body: (tx: Transaction) => T | Promise<T>,
    options: TransactionOptions = {},
  ): Promise<TransactionResult<T>> {
    const { runtime } = this.#host
    const { retries = Number.POSITIVE_INFINITY } = options
    const { name: node } = runtime.node
    // Its age is that of the first attempt, so that it cannot be overtaken for ever.
    const startedAtMs = runtime.clock.now()
    for (let attempt = 0; ; attempt++) {
      const id = { startedAtMs, node, number: ++this.#lastNumber }
      const result = await this.#attempt(caller, id, body, options)
      if (result !== undefined) {
        this.counters[result.ok ? 'committed' : 'aborted']++
        return result
      }
      this.counters.restarted++
      if (attempt >= retries) {
        this.counters.aborted++
        return { ok: false, reason: { tag: 'too_many_retries' } }
      }
      await pause(runtime, Math.min(FIRST_PAUSE_MS * 2 ** attempt, LAST_PAUSE_MS) * (0.5 + runtime.random()))
    }
  }

  /** Undefined when it has to begin again. */
  async #attempt<T>(
    caller: Caller,
    id: TransactionId,
    body: (tx: Transaction) => T | Promise<T>,
    options: TransactionOptions,
  ): Promise<TransactionResult<T> | undefined> {
    const locks = new Locks(this.#host, caller, id)
    const tx = new Transaction(locks)
    let position: Position | undefined
    try {
      if (options.majority === true && !this.#isMajority()) return { ok: false, reason: { tag: 'no_majority' } }
      const value = await body(tx)
      tx.close()
      if (locks.isDoomed || !locks.isViewCurrent) return undefined
      if (options.majority === true && !this.#isMajority()) return { ok: false, reason: { tag: 'no_majority' } }
      const parts = tx.parts()
      if (parts.length === 0) return { ok: true, value, unconfirmed: [] }
      const { timeoutMs } = options
      const written = this.#host.write(parts, { wait: 'members', ...(timeoutMs === undefined ? {} : { timeoutMs }) })
      position = this.#host.position()
      const outcome = (await written) ?? { unconfirmed: [] }
      if (options.durable === true && !(await this.#isFlushed())) return { ok: false, reason: { tag: 'disc' } }
      return { ok: true, value, unconfirmed: outcome.unconfirmed }
    } catch (thrown) {
      tx.close()
      if (thrown instanceof Restart || locks.isDoomed) return undefined
      if (thrown instanceof Abort) return { ok: false, reason: { tag: 'aborted', reason: thrown.reason } }
      return { ok: false, reason: { tag: 'error', error: thrown } }
    } finally {
      locks.release(position)
    }
  }

  #isMajority(): boolean {
    return this.#host.running().length * 2 > this.#host.members().length
  }

  async #isFlushed(): Promise<boolean> {
    try {
      await this.#host.flushed()
      return true
    } catch {
      return false
    }
  }
}

/** The locks of one attempt. */
class Locks {
  /** A lock could not be had: the attempt leads to nothing. */
  isDoomed = false
  readonly #host: TransactionHost
  readonly #caller: Caller
  readonly #id: TransactionId
  /** The members that ran at the beginning; homes are chosen among them. */
  readonly #running: readonly string[]
  readonly #view: string
  readonly #held = new Map<string, LockMode>()
  readonly #homes = new Set<string>()

  constructor(host: TransactionHost, caller: Caller, id: TransactionId) {
    this.#host = host
    this.#caller = caller
    this.#id = id
    this.#running = host.running()
    this.#view = viewOf(this.#running)
  }

  /** Whether the same members run as at the beginning. */
  get isViewCurrent(): boolean {
    return viewOf(this.#host.running()) === this.#view
  }

  /** Locks a row, or with an undefined key the table. Throws `Restart` when that cannot be. */
  async lock(table: string, key: string | undefined, mode: LockMode): Promise<void> {
    if (this.#isHeld(table, undefined, mode) || this.#isHeld(table, key, mode)) return
    // Rows of a table have their homes on all nodes, so whoever wants all of them asks all.
    const homes = key === undefined ? this.#running : [homeOf(`${table}\0${key}`, this.#running)]
    for (const home of homes) await this.#lockAt(home, table, key, mode)
    this.#held.set(resourceName(table, key), mode)
  }

  release(position: Position | undefined): void {
    for (const node of this.#homes) {
      locker.cast(this.#caller, { name: MNESIA_LOCKER, node }, 'unlock', this.#id, position)
    }
  }

  async #lockAt(node: string, table: string, key: string | undefined, mode: LockMode): Promise<void> {
    this.#homes.add(node)
    let answer: LockReply
    try {
      const to = { name: MNESIA_LOCKER, node }
      answer = await locker.callWithin(this.#caller, 'infinity', to, 'lock', this.#id, { table, key }, mode, this.#view)
    } catch {
      // The home is gone: the members are others now.
      answer = { tag: 'restart' }
    }
    if (answer.tag === 'restart') this.#doom()
    else for (const position of answer.after) await this.#applied(position)
  }

  /** Waits until what an earlier transaction has written is here. What nobody who runs has any more never comes. */
  async #applied([node, epoch, seq]: Position): Promise<void> {
    for (let waitedMs = 0; this.#host.appliedOf(node, epoch) < seq; waitedMs += CATCH_UP_POLL_MS) {
      if (this.isDoomed || !this.isViewCurrent) this.#doom()
      if (waitedMs >= CATCH_UP_MS) return
      await pause(this.#host.runtime, CATCH_UP_POLL_MS)
    }
  }

  #doom(): never {
    this.isDoomed = true
    throw new Restart('the transaction begins again')
  }

  #isHeld(table: string, key: string | undefined, mode: LockMode): boolean {
    const held = this.#held.get(resourceName(table, key))
    return held !== undefined && (mode === 'read' || held === 'write')
  }
}

/** What the function of a transaction is given. Its methods may be awaited one after the other or together. */
export class Transaction {
  readonly #locks: Locks
  /** What has been written, in order; not in the tables yet. */
  #operations: { readonly table: SharedTable<unknown>; readonly operation: TableOperation<unknown> }[] = []
  #isClosed = false

  /** For `Transactions`. */
  constructor(locks: Locks) {
    this.#locks = locks
  }

  /** The rows of a key, with what this transaction has written [OTP mnesia:read/3]. `mode` write locks them for a later write. */
  async read<Row>(table: Table<Row>, key: string, mode: LockMode = 'read'): Promise<readonly Row[]> {
    const shared = this.#sharedOf(table)
    await this.#locks.lock(shared.definition.name, key, mode)
    return this.#rowsOf(shared, key) as readonly Row[]
  }

  /** Writes a row [OTP mnesia:write/1]. */
  async write<Row>(table: Table<Row>, row: Row): Promise<void> {
    await this.#change(table, String(row[table.definition.key]), { op: 'write', row })
  }

  /** Removes all rows of a key [OTP mnesia:delete/1]. */
  async delete<Row>(table: Table<Row>, key: string): Promise<void> {
    await this.#change(table, key, { op: 'delete', key })
  }

  /** Removes one row of a bag; in a set, the row of the same key [OTP mnesia:delete_object/1]. */
  async deleteObject<Row>(table: Table<Row>, row: Row): Promise<void> {
    await this.#change(table, String(row[table.definition.key]), { op: 'delete_object', row })
  }

  /** Rows whose fields equal those of the pattern; locks a row when the pattern has the key, else the table [OTP mnesia:match_object/1]. */
  async match<Row>(table: Table<Row>, pattern: Partial<Row>): Promise<Row[]> {
    const { key: field } = table.definition
    const fields = Object.keys(pattern) as (keyof Row & string)[]
    const rows = fields.includes(field) ? await this.read(table, String(pattern[field])) : await this.#allRows(table)
    return rows.filter((row) => fields.every((each) => Object.is(row[each], pattern[each])))
  }

  /** The rows for which `where` holds; locks the table [OTP mnesia:select/2]. */
  async select<Row>(table: Table<Row>, where: (row: Row) => boolean): Promise<Row[]> {
    return (await this.#allRows(table)).filter(where)
  }

  /** Goes through all rows; locks the table [OTP mnesia:foldl/3]. */
  async fold<Row, A>(table: Table<Row>, initial: A, combine: (accumulated: A, row: Row) => A): Promise<A> {
    return (await this.#allRows(table)).reduce(combine, initial)
  }

  /** All keys; locks the table [OTP mnesia:all_keys/1]. */
  async keys<Row>(table: Table<Row>): Promise<string[]> {
    const rows = await this.#allRows(table)
    return [...new Set(rows.map((row) => String(row[table.definition.key])))]
  }

  /** Locks a whole table [OTP mnesia:read_lock_table/1, write_lock_table/1]. */
  async lockTable<Row>(table: Table<Row>, mode: LockMode): Promise<void> {
    await this.#locks.lock(this.#sharedOf(table).definition.name, undefined, mode)
  }

  /** Ends the transaction, or the nested one in which it is called; nothing of it has been changed [OTP mnesia:abort/1]. */
  abort(reason: unknown): never {
    throw new Abort(reason)
  }

  /** A transaction within: when it aborts, what it wrote is forgotten and the outer one goes on. Locks stay until the outer one ends. */
  async nested<T>(body: (tx: Transaction) => T | Promise<T>): Promise<TransactionResult<T>> {
    const before = this.#operations
    this.#operations = [...before]
    try {
      return { ok: true, value: await body(this), unconfirmed: [] }
    } catch (thrown) {
      this.#operations = before
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
    const byTable = new Map<SharedTable<unknown>, TableOperation<unknown>[]>()
    for (const { table, operation } of this.#operations) {
      const operations = byTable.get(table)
      if (operations === undefined) byTable.set(table, [operation])
      else operations.push(operation)
    }
    return [...byTable].map(([table, operations]) => ({ table, operations }))
  }

  async #change<Row>(table: Table<Row>, key: string, operation: TableOperation<Row>): Promise<void> {
    const shared = this.#sharedOf(table)
    await this.#locks.lock(shared.definition.name, key, 'write')
    this.#sharedOf(table)
    this.#operations.push({ table: shared, operation: operation as TableOperation<unknown> })
  }

  async #allRows<Row>(table: Table<Row>): Promise<Row[]> {
    const shared = this.#sharedOf(table)
    await this.#locks.lock(shared.definition.name, undefined, 'read')
    const keys = new Set(shared.keys())
    for (const { table: changed, operation } of this.#operations) {
      if (changed === shared && operation.op === 'write') keys.add(keyOf(shared, operation))
    }
    const sorted = shared.definition.type === 'ordered_set' ? [...keys].sort() : [...keys]
    return sorted.flatMap((key) => this.#rowsOf(shared, key)) as Row[]
  }

  /** Rows of a key as this transaction sees them. */
  #rowsOf(table: SharedTable<unknown>, key: string): readonly unknown[] {
    let rows = table.read(key)
    for (const { table: changed, operation } of this.#operations) {
      if (changed !== table || keyOf(table, operation) !== key) continue
      if (operation.op === 'delete' || table.definition.type !== 'bag')
        rows = operation.op === 'write' ? [operation.row] : []
      else {
        const identity = identityIn(table, operation.row)
        const others = rows.filter((row) => identityIn(table, row) !== identity)
        rows = operation.op === 'write' ? [...others, operation.row] : others
      }
    }
    return rows
  }

  #sharedOf<Row>(table: Table<Row>): SharedTable<unknown> {
    if (this.#isClosed) throw new TableError('no_transaction', 'the transaction is over')
    if (table instanceof SharedTable) return table as SharedTable<unknown>
    const { name, replication } = table.definition
    throw new TableError('no_transaction', `table ${name} is ${replication}: transactions are for shared tables`)
  }
}

function keyOf(table: SharedTable<unknown>, operation: TableOperation<unknown>): string {
  if (operation.op === 'delete') return operation.key
  return String((operation.row as Record<string, unknown>)[table.definition.key])
}

function identityIn(table: SharedTable<unknown>, row: unknown): string {
  const { identity } = table.definition
  return identity === undefined ? Buffer.from(table.bytes.encode(row)).toString('latin1') : identity(row)
}

function resourceName(table: string, key: string | undefined): string {
  return key === undefined ? table : `${table}\0${key}`
}

function viewOf(running: readonly string[]): string {
  return running.join(' ')
}

/** The member at which a resource is locked: by rendezvous, so that few move when a member comes or goes. */
function homeOf(resource: string, running: readonly string[]): string {
  let [best, bestHash] = ['', Number.NEGATIVE_INFINITY]
  for (const node of running) {
    const hash = hashOf(`${node}\0${resource}`)
    if (hash > bestHash) [best, bestHash] = [node, hash]
  }
  return best
}

function pause({ timers }: Runtime, ms: number): Promise<void> {
  return new Promise((resolve) => void timers.set(ms, resolve))
}

/** The view of the members that run, for `locker`. */
export function runningView(host: Pick<TransactionHost, 'running'>): string {
  return viewOf(host.running())
}
