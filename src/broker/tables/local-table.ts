/**
 * Tables of a node that stands alone: everything in memory, every write complete when it returns.
 *
 * A million routes decide how rows are kept. A bag with one row for a key holds that row in the key's slot, without a
 * list around it; a bag with a `compact` codec holds a small integer there, and no row objects at all.
 */
import { byCodeUnits, SortedKeys } from '../../actors/sorted-keys.ts'
import type { RowCodec, Table, TableDefinition, TableEvent, TableOperation, TableReader, Tables } from '../tables.ts'

const NO_ROWS: readonly never[] = Object.freeze([])

/** How the rows of a table are kept, apart from events and versions. */
interface Rows<Row> {
  /** Rows, not keys. */
  readonly size: number
  readonly keyCount: number
  has(key: string): boolean
  get(key: string): Row | undefined
  read(key: string): readonly Row[]
  keys(): IterableIterator<string>
  /** Returns the row that it replaced. */
  write(key: string, row: Row): Row | undefined
  /** Returns the row that it removed. */
  deleteObject(key: string, row: Row): Row | undefined
}

class SetRows<Row> implements Rows<Row> {
  readonly #rows = new Map<string, Row>()

  get size(): number {
    return this.#rows.size
  }

  get keyCount(): number {
    return this.#rows.size
  }

  has(key: string): boolean {
    return this.#rows.has(key)
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key)
  }

  read(key: string): readonly Row[] {
    const row = this.#rows.get(key)
    return row === undefined ? NO_ROWS : [row]
  }

  keys(): IterableIterator<string> {
    return this.#rows.keys()
  }

  write(key: string, row: Row): Row | undefined {
    const old = this.#rows.get(key)
    this.#rows.set(key, row)
    return old
  }

  deleteObject(key: string): Row | undefined {
    const old = this.#rows.get(key)
    this.#rows.delete(key)
    return old
  }
}

class OrderedRows<Row> extends SetRows<Row> {
  readonly sorted = new SortedKeys<string>(byCodeUnits)

  override write(key: string, row: Row): Row | undefined {
    const old = super.write(key, row)
    if (old === undefined) this.sorted.insert(key)
    return old
  }

  override deleteObject(key: string): Row | undefined {
    const old = super.deleteObject(key)
    if (old !== undefined) this.sorted.delete(key)
    return old
  }

  override *keys(): IterableIterator<string> {
    for (let key = this.sorted.first(); key !== undefined; key = this.sorted.next(key)) yield key
  }
}

class BagRows<Row> implements Rows<Row> {
  readonly #identity: (row: Row) => string
  /** A key's only row, or its rows by identity. */
  readonly #rows = new Map<string, Row | Several<Row>>()
  #size = 0

  constructor(identity: (row: Row) => string) {
    this.#identity = identity
  }

  get size(): number {
    return this.#size
  }

  get keyCount(): number {
    return this.#rows.size
  }

  has(key: string): boolean {
    return this.#rows.has(key)
  }

  get(key: string): Row | undefined {
    return this.read(key)[0]
  }

  read(key: string): readonly Row[] {
    const held = this.#rows.get(key)
    if (held === undefined) return NO_ROWS
    return held instanceof Several ? [...held.rows.values()] : [held]
  }

  keys(): IterableIterator<string> {
    return this.#rows.keys()
  }

  write(key: string, row: Row): Row | undefined {
    const held = this.#rows.get(key)
    const identity = this.#identity(row)
    if (held instanceof Several) {
      const old = held.rows.get(identity)
      held.rows.set(identity, row)
      if (old === undefined) this.#size++
      return old
    }
    if (held !== undefined && this.#identity(held) !== identity) {
      const several = new Several<Row>()
      several.rows.set(this.#identity(held), held).set(identity, row)
      this.#rows.set(key, several)
      this.#size++
      return undefined
    }
    this.#rows.set(key, row)
    if (held === undefined) this.#size++
    return held
  }

  deleteObject(key: string, row: Row): Row | undefined {
    const held = this.#rows.get(key)
    if (held === undefined) return undefined
    const identity = this.#identity(row)
    let old: Row | undefined
    if (held instanceof Several) {
      old = held.rows.get(identity)
      if (old === undefined) return undefined
      held.rows.delete(identity)
      if (held.rows.size === 1) for (const last of held.rows.values()) this.#rows.set(key, last)
    } else {
      if (this.#identity(held) !== identity) return undefined
      old = held
      this.#rows.delete(key)
    }
    this.#size--
    return old
  }
}

class Several<Row> {
  readonly rows = new Map<string, Row>()
}

class CompactRows<Row> implements Rows<Row> {
  readonly #codec: RowCodec<Row>
  /** A key's only row packed, or a list of its rows packed. */
  readonly #rows = new Map<string, number | number[]>()
  #size = 0

  constructor(codec: RowCodec<Row>) {
    this.#codec = codec
  }

  get size(): number {
    return this.#size
  }

  get keyCount(): number {
    return this.#rows.size
  }

  has(key: string): boolean {
    return this.#rows.has(key)
  }

  get(key: string): Row | undefined {
    return this.read(key)[0]
  }

  read(key: string): readonly Row[] {
    const held = this.#rows.get(key)
    if (held === undefined) return NO_ROWS
    if (typeof held === 'number') return [this.#codec.unpack(key, held)]
    return held.map((packed) => this.#codec.unpack(key, packed))
  }

  keys(): IterableIterator<string> {
    return this.#rows.keys()
  }

  write(key: string, row: Row): Row | undefined {
    const packed = this.#codec.pack(row)
    const held = this.#rows.get(key)
    if (held === undefined) this.#rows.set(key, packed)
    else if (typeof held !== 'number') {
      if (held.includes(packed)) return row
      held.push(packed)
    } else {
      if (held === packed) return row
      this.#rows.set(key, [held, packed])
    }
    this.#size++
    return undefined
  }

  deleteObject(key: string, row: Row): Row | undefined {
    const packed = this.#codec.pack(row)
    const held = this.#rows.get(key)
    if (held === packed) this.#rows.delete(key)
    else if (held !== undefined && typeof held !== 'number') {
      const at = held.indexOf(packed)
      if (at < 0) return undefined
      held.splice(at, 1)
      if (held.length === 1) this.#rows.set(key, held[0]!)
    } else return undefined
    this.#size--
    return row
  }
}

class LocalTable<Row> implements Table<Row> {
  readonly definition: TableDefinition<Row>
  readonly #rows: Rows<Row>
  readonly #sorted: SortedKeys<string> | undefined
  readonly #listeners = new Set<(event: TableEvent<Row>) => void>()
  #version = 0

  constructor(definition: TableDefinition<Row>) {
    this.definition = definition
    if (definition.type === 'bag') {
      this.#rows =
        definition.compact === undefined
          ? new BagRows(definition.identity ?? ((row) => JSON.stringify(row)))
          : new CompactRows(definition.compact())
    } else if (definition.type === 'ordered_set') {
      const rows = new OrderedRows<Row>()
      this.#rows = rows
      this.#sorted = rows.sorted
    } else this.#rows = new SetRows()
  }

  get size(): number {
    return this.#rows.size
  }

  get keyCount(): number {
    return this.#rows.keyCount
  }

  get version(): number {
    return this.#version
  }

  has(key: string): boolean {
    return this.#rows.has(key)
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key)
  }

  read(key: string): readonly Row[] {
    return this.#rows.read(key)
  }

  keys(): IterableIterator<string> {
    return this.#rows.keys()
  }

  *rows(): IterableIterator<Row> {
    for (const key of this.#rows.keys()) yield* this.#rows.read(key)
  }

  first(): string | undefined {
    return this.#order().first()
  }

  next(key: string): string | undefined {
    return this.#order().next(key)
  }

  ceiling(key: string): string | undefined {
    return this.#order().ceiling(key)
  }

  write(row: Row): undefined {
    this.#write(row)
  }

  delete(key: string): undefined {
    for (const row of this.#rows.read(key)) this.#deleteObject(row)
  }

  deleteObject(row: Row): undefined {
    this.#deleteObject(row)
  }

  batch(operations: readonly TableOperation<Row>[]): undefined {
    for (const operation of operations) {
      if (operation.op === 'write') this.#write(operation.row)
      else if (operation.op === 'delete') this.delete(operation.key)
      else this.#deleteObject(operation.row)
    }
  }

  subscribe(listener: (event: TableEvent<Row>) => void): () => void {
    // Its own function object, so that a listener that subscribes twice ends one subscription at a time.
    const subscription = (event: TableEvent<Row>) => listener(event)
    this.#listeners.add(subscription)
    return () => {
      this.#listeners.delete(subscription)
    }
  }

  #write(row: Row): void {
    const old = this.#rows.write(this.#keyOf(row), row)
    this.#changed({ type: 'write', row, old })
  }

  #deleteObject(row: Row): void {
    const old = this.#rows.deleteObject(this.#keyOf(row), row)
    if (old !== undefined) this.#changed({ type: 'delete', row: old })
  }

  #changed(event: TableEvent<Row>): void {
    this.#version++
    for (const listener of this.#listeners) listener(event)
  }

  #keyOf(row: Row): string {
    return String(row[this.definition.key])
  }

  #order(): SortedKeys<string> {
    if (this.#sorted === undefined) throw new TypeError(`${this.definition.name} is not an ordered_set`)
    return this.#sorted
  }
}

/** The tables of a node that is no member of a cluster and keeps nothing on disc. */
export class LocalTables implements Tables {
  readonly #tables = new Map<string, { definition: unknown; table: unknown; reader: TableReader<unknown> }>()

  open<Row>(definition: TableDefinition<Row>): Table<Row> {
    const opened = this.#tables.get(definition.name)
    if (opened === undefined) {
      const created = new LocalTable(definition)
      this.#tables.set(definition.name, {
        definition,
        table: created,
        reader: created as unknown as TableReader<unknown>,
      })
      return created
    }
    if (opened.definition !== definition) throw new TypeError(`table ${definition.name} has another definition`)
    return opened.table as Table<Row>
  }

  all(): readonly TableReader<unknown>[] {
    return [...this.#tables.values()].map((entry) => entry.reader)
  }
}
