/**
 * Tables in memory, local to a node, owned by a process [OTP ets]: set, ordered_set and bag of rows that are plain objects.
 *
 * A table belongs to the process that made it and goes when that process ends, unless it has an heir. Reading needs no
 * message: who holds a table reads it. Writing is bound to a handle: a `protected` table (the default) is written by its
 * owner's handle only, a `public` one by every handle; a `private` table is found by nobody else.
 *
 * Differs from OTP: protection is by the handle and not by the calling process, which JavaScript cannot see; rows are
 * shared by reference and must not be changed in place; iteration is over the rows at hand, without `safe_fixtable`.
 */
import { BadArgError } from './errors.ts'
import { Pid } from './pid.ts'
import type { ProcessContext } from './process.ts'
import { Ref } from './ref.ts'
import type { Runtime } from './runtime.ts'
import { SortedKeys } from './sorted-keys.ts'

/** What a key can be. Keys are equal as in Erlang; in an ordered_set numbers come before strings, then pids and references. */
export type EtsKey = string | number | Pid | Ref

export interface EtsOptions<Row> {
  /** @default 'set' */
  readonly type?: 'set' | 'ordered_set' | 'bag'
  /** The property that holds the key. */
  readonly key: keyof Row & string
  /** @default 'protected' */
  readonly protection?: 'public' | 'protected' | 'private'
  /** Finds the table by its name; throws when the name is taken. @default false */
  readonly named?: boolean
  /** Who gets the table, with a message `EtsTransfer`, when its owner ends. */
  readonly heir?: { readonly pid: Pid; readonly data: unknown }
}

/** Sent to the new owner of a table: OTP's `'ETS-TRANSFER'`. */
export interface EtsTransfer<Row = unknown> {
  readonly tag: 'ETS-TRANSFER'
  readonly table: Ets<Row>
  readonly from: Pid
  readonly data: unknown
}

/** What `info` tells of a table. */
export interface EtsInfo {
  /** Names the table even when it has no name of its own. */
  readonly id: Ref
  readonly name: string
  readonly type: 'set' | 'ordered_set' | 'bag'
  readonly protection: 'public' | 'protected' | 'private'
  readonly owner: Pid
  readonly heir: Pid | undefined
  readonly size: number
  readonly named: boolean
  /** The property of a row that holds its key. */
  readonly key: string
}

type Slot = string | number

interface Entry<Row> {
  readonly key: EtsKey
  rows: Row[]
}

/** The table itself; handles give access to it. */
class Table<Row> {
  readonly id: Ref
  readonly name: string
  readonly type: 'set' | 'ordered_set' | 'bag'
  readonly keyProperty: keyof Row & string
  readonly protection: 'public' | 'protected' | 'private'
  readonly named: boolean
  readonly entries = new Map<Slot, Entry<Row>>()
  readonly sorted: SortedKeys<EtsKey> | undefined
  heir: EtsOptions<Row>['heir']
  owner: Pid
  size = 0
  deleted = false

  constructor(id: Ref, name: string, options: EtsOptions<Row>, owner: Pid) {
    this.id = id
    this.name = name
    this.type = options.type ?? 'set'
    this.keyProperty = options.key
    this.protection = options.protection ?? 'protected'
    this.named = options.named ?? false
    this.heir = options.heir
    this.owner = owner
    this.sorted = this.type === 'ordered_set' ? new SortedKeys(compareKeys) : undefined
  }
}

/** A handle of a table. All methods throw `BadArgError` once the table is gone, writing ones also when the handle may not write. */
export class Ets<Row> {
  readonly #table: Table<Row>
  /** Whose handle it is; undefined for readers'. */
  readonly #holder: Pid | undefined
  readonly #registry: EtsRegistry

  /** Made by `EtsRegistry` only. */
  constructor(table: Table<Row>, holder: Pid | undefined, registry: EtsRegistry) {
    this.#table = table
    this.#holder = holder
    this.#registry = registry
  }

  get size(): number {
    return this.#readable().size
  }

  info(): EtsInfo {
    const { id, name, type, protection, owner, heir, size, named, keyProperty } = this.#readable()
    return { id, name, type, protection, owner, heir: heir?.pid, size, named, key: keyProperty }
  }

  /** Rows of a key, at most one unless the table is a bag. */
  lookup(key: EtsKey): readonly Row[] {
    return this.#readable().entries.get(slotOf(key))?.rows ?? []
  }

  /** The row of a key in a set; in a bag, its first. */
  get(key: EtsKey): Row | undefined {
    return this.#readable().entries.get(slotOf(key))?.rows[0]
  }

  member(key: EtsKey): boolean {
    return this.#readable().entries.has(slotOf(key))
  }

  /** Inserts a row; in a set it replaces the one of its key, in a bag an equal one is not doubled. */
  insert(row: Row): void {
    const table = this.#writable()
    const key = row[table.keyProperty] as EtsKey
    const slot = slotOf(key)
    const entry = table.entries.get(slot)
    if (entry === undefined) {
      table.entries.set(slot, { key, rows: [row] })
      table.sorted?.insert(key)
      table.size++
    } else if (table.type !== 'bag') {
      entry.rows = [row]
    } else if (!entry.rows.some((other) => isSameRow(other, row))) {
      entry.rows = [...entry.rows, row]
      table.size++
    }
  }

  /** Inserts a row unless its key is present; returns whether it did. */
  insertNew(row: Row): boolean {
    const table = this.#writable()
    if (table.entries.has(slotOf(row[table.keyProperty] as EtsKey))) return false
    this.insert(row)
    return true
  }

  /** Adds to a number in the row of a key and returns the sum; throws when there is no such row. */
  updateCounter(key: EtsKey, property: keyof Row & string, by: number): number {
    this.#writable()
    const row = this.get(key)
    const value = row?.[property]
    if (row === undefined || typeof value !== 'number') throw new BadArgError(`no number ${property} under this key`)
    this.insert({ ...row, [property]: value + by })
    return value + by
  }

  /** Removes all rows of a key. */
  delete(key: EtsKey): void {
    this.#remove(this.#writable(), slotOf(key))
  }

  /** Removes the row that equals this one. */
  deleteObject(row: Row): void {
    const table = this.#writable()
    const slot = slotOf(row[table.keyProperty] as EtsKey)
    const entry = table.entries.get(slot)
    if (entry === undefined) return
    const rest = entry.rows.filter((other) => !isSameRow(other, row))
    if (rest.length === entry.rows.length) return
    if (rest.length === 0) {
      this.#remove(table, slot)
    } else {
      entry.rows = rest
      table.size--
    }
  }

  deleteAllObjects(): void {
    const table = this.#writable()
    table.entries.clear()
    table.sorted?.clear()
    table.size = 0
  }

  /** Removes and returns the rows of a key. */
  take(key: EtsKey): readonly Row[] {
    const rows = this.lookup(key)
    this.delete(key)
    return rows
  }

  /** In key order for an ordered_set, else in the order in which keys came. */
  first(): EtsKey | undefined {
    const table = this.#readable()
    return table.sorted !== undefined ? table.sorted.first() : firstOf(table.entries)?.key
  }

  last(): EtsKey | undefined {
    return this.#ordered().last()
  }

  /** The smallest key of an ordered_set that is greater than `key`. */
  next(key: EtsKey): EtsKey | undefined {
    return this.#ordered().next(key)
  }

  prev(key: EtsKey): EtsKey | undefined {
    return this.#ordered().previous(key)
  }

  *[Symbol.iterator](): IterableIterator<Row> {
    const table = this.#readable()
    if (table.sorted === undefined) {
      for (const entry of table.entries.values()) yield* entry.rows
      return
    }
    for (let key = table.sorted.first(); key !== undefined; key = table.sorted.next(key)) {
      yield* table.entries.get(slotOf(key))?.rows ?? []
    }
  }

  /** All rows: `tab2list`. */
  toList(): Row[] {
    return [...this]
  }

  /** Rows for which `match` holds. */
  select(match: (row: Row) => boolean): Row[] {
    return this.toList().filter(match)
  }

  foldl<A>(fold: (row: Row, accumulator: A) => A, initial: A): A {
    let accumulator = initial
    for (const row of this) accumulator = fold(row, accumulator)
    return accumulator
  }

  /** Gives the table to another process, which is sent an `EtsTransfer`; this handle may then no longer write. */
  giveAway(to: Pid, data: unknown): void {
    this.#registry.giveAway(this.#writable(), to, data)
  }

  /** Deletes the table. */
  drop(): void {
    this.#registry.drop(this.#writable())
  }

  #readable(): Table<Row> {
    if (this.#table.deleted) throw new BadArgError(`the table ${this.#table.name} does not exist`)
    return this.#table
  }

  #writable(): Table<Row> {
    const table = this.#readable()
    if (table.protection !== 'public' && (this.#holder === undefined || !table.owner.equals(this.#holder))) {
      throw new BadArgError(`the table ${table.name} is written by its owner ${table.owner} only`)
    }
    return table
  }

  #ordered(): SortedKeys<EtsKey> {
    const { sorted, name } = this.#readable()
    if (sorted === undefined) throw new BadArgError(`the table ${name} is not an ordered_set`)
    return sorted
  }

  #remove(table: Table<Row>, slot: Slot): void {
    const entry = table.entries.get(slot)
    if (entry === undefined) return
    table.entries.delete(slot)
    table.sorted?.delete(entry.key)
    table.size -= entry.rows.length
  }
}

/** The tables of one runtime. */
export class EtsRegistry {
  readonly #runtime: Runtime
  readonly #tables = new Set<Table<unknown>>()
  readonly #named = new Map<string, Table<unknown>>()

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  /** Makes a table owned by a process. */
  create<Row>(owner: ProcessContext, name: string, options: EtsOptions<Row>): Ets<Row> {
    if (options.named && this.#named.has(name)) throw new BadArgError(`there is a table named ${name}`)
    const table = new Table<Row>(this.#runtime.makeRef(), name, options, owner.pid)
    this.#tables.add(table as Table<unknown>)
    if (options.named) this.#named.set(name, table as Table<unknown>)
    this.#watch(owner, table as Table<unknown>)
    return new Ets(table, owner.pid, this)
  }

  /** A handle of a named table that is not private, for reading, and for writing when it is public. */
  whereis<Row>(name: string): Ets<Row> | undefined {
    const table = this.#named.get(name) as Table<Row> | undefined
    return table === undefined || table.protection === 'private' ? undefined : new Ets(table, undefined, this)
  }

  /** As `whereis`, by the reference that `info` tells as well: for tables without a name. */
  find<Row>(id: string | Ref): Ets<Row> | undefined {
    if (typeof id === 'string') return this.whereis(id)
    for (const table of this.#tables) {
      if (table.id.equals(id)) {
        return table.protection === 'private' ? undefined : new Ets(table as Table<Row>, undefined, this)
      }
    }
    return undefined
  }

  /** What is known of every table. */
  all(): EtsInfo[] {
    return [...this.#tables].map((table) => new Ets(table, undefined, this).info())
  }

  /** For `Ets` only. */
  drop<Row>(table: Table<Row>): void {
    table.deleted = true
    table.entries.clear()
    this.#tables.delete(table as Table<unknown>)
    if (table.named) this.#named.delete(table.name)
  }

  /** For `Ets` only. */
  giveAway<Row>(table: Table<Row>, to: Pid, data: unknown): void {
    const process = this.#runtime.process(to)
    if (process === undefined) throw new BadArgError(`${to} is not alive on this node`)
    const from = table.owner
    table.owner = to
    this.#watch(process, table as Table<unknown>)
    const transfer: EtsTransfer<Row> = { tag: 'ETS-TRANSFER', table: new Ets(table, to, this), from, data }
    this.#runtime.send(to, transfer)
  }

  #watch(owner: ProcessContext, table: Table<unknown>): void {
    owner.onExit(() => {
      if (table.deleted || !table.owner.equals(owner.pid)) return
      const { heir } = table
      table.heir = undefined
      if (heir !== undefined && this.#runtime.process(heir.pid) !== undefined) this.giveAway(table, heir.pid, heir.data)
      else this.drop(table)
    })
  }
}

function slotOf(key: EtsKey): Slot {
  // A string key and the key string of a pid must not meet in one map.
  return key instanceof Pid || key instanceof Ref ? `\u0000${key.key}` : key
}

function compareKeys(a: EtsKey, b: EtsKey): number {
  const [rankA, rankB] = [rankOf(a), rankOf(b)]
  if (rankA !== rankB) return rankA - rankB
  const [slotA, slotB] = [slotOf(a), slotOf(b)]
  return slotA < slotB ? -1 : slotA > slotB ? 1 : 0
}

function rankOf(key: EtsKey): number {
  if (typeof key === 'number') return 0
  return typeof key === 'string' ? 1 : 2
}

function firstOf<Row>(entries: ReadonlyMap<Slot, Entry<Row>>): Entry<Row> | undefined {
  for (const entry of entries.values()) return entry
  return undefined
}

/** Equality of rows: property by property, values by identity or as keys. */
function isSameRow<Row>(a: Row, b: Row): boolean {
  if (a === b) return true
  const left = Object.entries(a as object)
  const right = b as Record<string, unknown>
  return left.length === Object.keys(right).length && left.every(([name, value]) => isSameValue(value, right[name]))
}

function isSameValue(a: unknown, b: unknown): boolean {
  return Object.is(a, b) || ((a instanceof Pid || a instanceof Ref) && a.equals(b))
}
