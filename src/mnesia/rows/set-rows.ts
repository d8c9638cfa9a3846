/** One row for a key, with or without an order of the keys. */
import { byCodeUnits, SortedKeys } from '../../actors/sorted-keys.ts'
import { KeyMap } from './key-map.ts'
import { NO_ROWS, type OrderedKeys } from './readable-table.ts'
import type { RowChunk, RowMarks, Rows } from './rows.ts'
import type { KeyChunk, Position } from './shards.ts'

export class SetRows<Row> implements Rows<Row> {
  readonly #rows: KeyMap<Row>
  readonly marks: RowMarks | undefined

  constructor(isMarked = false) {
    if (isMarked) {
      const marked = new MarkedMap<Row>()
      this.#rows = marked
      this.marks = marked
    } else this.#rows = new KeyMap()
  }

  get size(): number {
    return this.#rows.size
  }

  get keyCount(): number {
    return this.#rows.size
  }

  get order(): OrderedKeys | undefined {
    return undefined
  }

  has(key: string, hash?: number): boolean {
    return this.#rows.has(key, hash)
  }

  get(key: string, hash?: number): Row | undefined {
    return this.#rows.get(key, hash)
  }

  read(key: string, hash?: number): readonly Row[] {
    const row = this.#rows.get(key, hash)
    return row === undefined ? NO_ROWS : [row]
  }

  keys(): IterableIterator<string> {
    return this.#rows.keys()
  }

  keysAfter(key: string | undefined): IterableIterator<string> {
    return this.#rows.keysAfter(key)
  }

  indexed(): readonly Row[] {
    return NO_ROWS
  }

  write(key: string, row: Row, hash?: number): Row | undefined {
    return this.#rows.set(key, row, hash)
  }

  deleteObject(key: string, _row: Row, hash?: number): Row | undefined {
    return this.remove(key, hash)
  }

  delete(key: string, hash?: number): readonly Row[] {
    const row = this.remove(key, hash)
    return row === undefined ? NO_ROWS : [row]
  }

  clear(): void {
    this.#rows.clear()
  }

  keyChunk(from: Position, to?: Position): KeyChunk {
    return this.#rows.keyChunk(from, to)
  }

  chunk(from: Position, to?: Position): RowChunk<Row> {
    const { entries, next } = this.#rows.chunk(from, to)
    return { rows: entries.map(([, row]) => row), next }
  }

  protected remove(key: string, hash?: number): Row | undefined {
    return this.#rows.delete(key, hash)
  }
}

export class OrderedRows<Row> extends SetRows<Row> {
  readonly #sorted = new SortedKeys<string>(byCodeUnits)

  override get order(): OrderedKeys {
    return this.#sorted
  }

  override write(key: string, row: Row, hash?: number): Row | undefined {
    const old = super.write(key, row, hash)
    if (old === undefined) this.#sorted.insert(key)
    return old
  }

  override clear(): void {
    super.clear()
    this.#sorted.clear()
  }

  override *keys(): IterableIterator<string> {
    for (let key = this.#sorted.first(); key !== undefined; key = this.#sorted.next(key)) yield key
  }

  override *keysAfter(after: string | undefined): IterableIterator<string> {
    let key = after === undefined ? this.#sorted.first() : this.#sorted.next(after)
    for (; key !== undefined; key = this.#sorted.next(key)) yield key
  }

  protected override remove(key: string, hash?: number): Row | undefined {
    const old = super.remove(key, hash)
    if (old !== undefined) this.#sorted.delete(key)
    return old
  }
}

class MarkedMap<Row> extends KeyMap<Row> implements RowMarks {
  constructor() {
    super(1)
  }

  markOf(key: string, hash: number): number | undefined {
    const shard = this.shardOf(hash)
    const slot = shard.find(key, hash)
    return slot < 0 ? undefined : shard.numberAt(slot, 0)
  }

  setMark(key: string, hash: number, mark: number): void {
    const shard = this.shardOf(hash)
    shard.setNumberAt(shard.find(key, hash), 0, mark)
  }
}
