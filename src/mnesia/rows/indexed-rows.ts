/** A container whose rows can be found by the values of some fields as well. */
import type { OrderedKeys } from './readable-table.ts'
import { RowIndex } from './row-index.ts'
import type { RowChunk, RowMarks, Rows } from './rows.ts'
import { sameValue } from './same-value.ts'
import type { KeyChunk, Position } from './shards.ts'

export class IndexedRows<Row> implements Rows<Row> {
  readonly #rows: Rows<Row>
  readonly #indexes = new Map<keyof Row & string, RowIndex>()

  constructor(rows: Rows<Row>, fields: readonly (keyof Row & string)[]) {
    this.#rows = rows
    this.setFields(fields)
  }

  /** The container without indexes. */
  get rows(): Rows<Row> {
    return this.#rows
  }

  /** Adds and removes indexes, so that there are these. */
  setFields(fields: readonly (keyof Row & string)[]): void {
    for (const field of this.#indexes.keys()) if (!fields.includes(field)) this.#indexes.delete(field)
    for (const field of fields) {
      if (this.#indexes.has(field)) continue
      const index = new RowIndex()
      for (const key of this.#rows.keys()) for (const row of this.#rows.read(key)) index.add(row[field], key)
      this.#indexes.set(field, index)
    }
  }

  get size(): number {
    return this.#rows.size
  }

  get keyCount(): number {
    return this.#rows.keyCount
  }

  get order(): OrderedKeys | undefined {
    return this.#rows.order
  }

  get marks(): RowMarks | undefined {
    return this.#rows.marks
  }

  has(key: string, hash?: number): boolean {
    return this.#rows.has(key, hash)
  }

  get(key: string, hash?: number): Row | undefined {
    return this.#rows.get(key, hash)
  }

  read(key: string, hash?: number): readonly Row[] {
    return this.#rows.read(key, hash)
  }

  keys(): IterableIterator<string> {
    return this.#rows.keys()
  }

  keysAfter(key: string | undefined): IterableIterator<string> {
    return this.#rows.keysAfter(key)
  }

  indexed(field: keyof Row & string, value: unknown): readonly Row[] {
    const found: Row[] = []
    for (const key of this.#indexes.get(field)?.keys(value) ?? []) {
      for (const row of this.#rows.read(key)) if (sameValue(row[field], value)) found.push(row)
    }
    return found
  }

  write(key: string, row: Row, hash?: number): Row | undefined {
    const old = this.#rows.write(key, row, hash)
    for (const [field, index] of this.#indexes) {
      const value = row[field]
      if (old !== undefined) {
        const before = (old as Row)[field]
        if (sameValue(before, value)) continue
        index.delete(before, key)
      }
      index.add(value, key)
    }
    return old
  }

  deleteObject(key: string, row: Row, hash?: number): Row | undefined {
    const old = this.#rows.deleteObject(key, row, hash)
    if (old !== undefined) this.#forget(key, old)
    return old
  }

  delete(key: string, hash?: number): readonly Row[] {
    const removed = this.#rows.delete(key, hash)
    for (const row of removed) this.#forget(key, row)
    return removed
  }

  clear(): void {
    this.#rows.clear()
    for (const index of this.#indexes.values()) index.clear()
  }

  keyChunk(from: Position, to?: Position): KeyChunk {
    return this.#rows.keyChunk(from, to)
  }

  chunk(from: Position, to?: Position): RowChunk<Row> {
    return this.#rows.chunk(from, to)
  }

  #forget(key: string, row: Row): void {
    for (const [field, index] of this.#indexes) index.delete(row[field], key)
  }
}
