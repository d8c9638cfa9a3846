/**
 * What every kind of table has in common: events, the version, and the reads that are made of simpler ones.
 *
 * OwnedTable, SharedTable and LocalTable keep their rows each in their own way and extend this class with what only they can
 * know: how rows of a key are found, in which order keys come, and what an index holds. Whatever changes what is visible goes through
 * `changed`, so the version, which caches rely on, cannot be forgotten.
 */
import type { TableDefinition } from '../definition.ts'
import type { TableEvent, TableReader } from '../table.ts'
import { sameValue } from './same-value.ts'

/** What `read` returns for a key without rows: one list for all, since it is asked often. */
export const NO_ROWS: readonly never[] = Object.freeze([])

/** Keys in order; `SortedKeys` is one. */
export interface OrderedKeys {
  first(): string | undefined
  last(): string | undefined
  next(key: string): string | undefined
  previous(key: string): string | undefined
  ceiling(key: string): string | undefined
}

export abstract class ReadableTable<Row> implements TableReader<Row> {
  readonly definition: TableDefinition<Row>
  /** Name of the field that is the key. */
  protected readonly keyField: keyof Row & string
  #listeners: ((event: TableEvent<Row>) => void)[] = []
  #version = 0
  #indexes: readonly (keyof Row & string)[]

  constructor(definition: TableDefinition<Row>) {
    this.definition = definition
    this.keyField = definition.key
    this.#indexes = definition.index ?? []
  }

  abstract get size(): number
  abstract get keyCount(): number
  abstract has(key: string): boolean
  abstract get(key: string): Row | undefined
  abstract read(key: string): readonly Row[]
  /** Visible keys, each once; of an ordered_set in order. */
  abstract keys(): IterableIterator<string>

  /**
   * Visible keys, each once, in an order that depends on nothing but the keys, from the first one after `key` on, which need not exist
   * any more; all of them when it is undefined. `KeyMap.keysAfter` is such an order, and so is that of an ordered_set.
   */
  protected abstract keysAfter(key: string | undefined): IterableIterator<string>
  /** Visible keys in order; asked of an ordered_set only. */
  protected abstract order(): OrderedKeys
  /** Visible rows whose indexed field has this value; asked only of fields that have an index. */
  protected abstract indexed(field: keyof Row & string, value: unknown): readonly Row[]
  /** `indexes` are others now. */
  protected abstract reindex(): void

  get version(): number {
    return this.#version
  }

  /** Fields that have an index: those of the definition, until others are set. */
  get indexes(): readonly (keyof Row & string)[] {
    return this.#indexes
  }

  /** Adds and removes indexes, so that it has these. Those that are new are filled before it returns. */
  setIndexes(fields: readonly string[]): void {
    this.#indexes = fields as readonly (keyof Row & string)[]
    this.reindex()
  }

  /** Only owned tables have such rows. */
  readParked(_key: string): readonly Row[] {
    return NO_ROWS
  }

  *rows(): IterableIterator<Row> {
    for (const key of this.keys()) yield* this.read(key)
  }

  /** Only owned tables have owners. */
  *rowsOf(_owner: string): IterableIterator<Row> {}

  /** Only owned tables have owners. */
  isVisible(_owner: string): boolean {
    return false
  }

  first(): string | undefined {
    return this.#ordered().first()
  }

  last(): string | undefined {
    return this.#ordered().last()
  }

  next(key: string): string | undefined {
    return this.#ordered().next(key)
  }

  prev(key: string): string | undefined {
    return this.#ordered().previous(key)
  }

  ceiling(key: string): string | undefined {
    return this.#ordered().ceiling(key)
  }

  indexRead<F extends keyof Row & string>(field: F, value: Row[F]): readonly Row[] {
    if (!this.#indexes.includes(field)) {
      throw new TypeError(`${this.definition.name} has no index on ${field}`)
    }
    return this.indexed(field, value)
  }

  match(pattern: Partial<Row>): Row[] {
    const fields = Object.keys(pattern) as (keyof Row & string)[]
    const matches = (row: Row): boolean => fields.every((field) => sameValue(row[field], pattern[field]))
    const found: Row[] = []
    for (const row of this.#candidates(pattern, fields)) if (matches(row)) found.push(row)
    return found
  }

  select(where: (row: Row) => boolean, options: { readonly limit?: number; readonly after?: string } = {}): Row[] {
    const { limit = Number.POSITIVE_INFINITY, after } = options
    const found: Row[] = []
    if (limit <= 0) return found
    const keys = after === undefined && limit === Number.POSITIVE_INFINITY ? this.keys() : this.keysAfter(after)
    for (const key of keys) {
      for (const row of this.read(key)) if (where(row)) found.push(row)
      // Not between the rows of one key: `after` could not tell where to go on.
      if (found.length >= limit) break
    }
    return found
  }

  subscribe(listener: (event: TableEvent<Row>) => void): () => void {
    // Its own function object, so that a listener that subscribes twice ends one subscription at a time.
    const subscription = (event: TableEvent<Row>) => listener(event)
    this.#listeners = [...this.#listeners, subscription]
    return () => {
      this.#listeners = this.#listeners.filter((each) => each !== subscription)
    }
  }

  /** True when somebody would get an event; without anybody a caller may say `changed()` and save making it. */
  protected get isWatched(): boolean {
    return this.#listeners.length > 0
  }

  /** To be called after each change of what is visible, in the order of the changes, when the table reads as it will. */
  protected changed(event?: TableEvent<Row>): void {
    this.#version++
    if (event === undefined) return
    for (const listener of this.#listeners) listener(event)
  }

  /** The key of a row. */
  protected keyOf(row: Row): string {
    return String(row[this.keyField])
  }

  #ordered(): OrderedKeys {
    if (this.definition.type !== 'ordered_set') throw new TypeError(`${this.definition.name} is not an ordered_set`)
    return this.order()
  }

  #candidates(pattern: Partial<Row>, fields: readonly (keyof Row & string)[]): Iterable<Row> {
    if (fields.includes(this.keyField)) return this.read(String(pattern[this.keyField]))
    const field = this.#indexes.find((each) => fields.includes(each))
    return field === undefined ? this.rows() : this.indexed(field, pattern[field])
  }
}
