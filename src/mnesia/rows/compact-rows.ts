/** A bag of which there are millions: a row is a small integer by its key, and no object is kept for any of them. */
import type { RowCodec } from '../definition.ts'
import { KeyPages } from './key-pages.ts'
import { NO_ROWS, type OrderedKeys } from './readable-table.ts'
import type { RowChunk, Rows } from './rows.ts'
import type { KeyChunk, Position } from './shards.ts'

export class CompactRows<Row> implements Rows<Row> {
  readonly #codec: RowCodec<Row>
  readonly #pages = new KeyPages()
  #size = 0

  constructor(codec: RowCodec<Row>) {
    this.#codec = codec
  }

  get size(): number {
    return this.#size
  }

  get keyCount(): number {
    return this.#pages.size
  }

  get order(): OrderedKeys | undefined {
    return undefined
  }

  get marks(): undefined {
    return undefined
  }

  has(key: string, hash?: number): boolean {
    return this.#pages.has(key, hash)
  }

  get(key: string, hash?: number): Row | undefined {
    const [packed] = this.#pages.get(key, hash)
    return packed === undefined ? undefined : this.#codec.unpack(key, packed)
  }

  read(key: string, hash?: number): readonly Row[] {
    const numbers = this.#pages.get(key, hash)
    if (numbers.length === 0) return NO_ROWS
    return numbers.map((packed) => this.#codec.unpack(key, packed))
  }

  keys(): IterableIterator<string> {
    return this.#pages.keys()
  }

  keysAfter(key: string | undefined): IterableIterator<string> {
    return this.#pages.keysAfter(key)
  }

  indexed(): readonly Row[] {
    return NO_ROWS
  }

  write(key: string, row: Row, hash?: number): Row | undefined {
    const packed = this.#codec.pack(row)
    const numbers = this.#pages.get(key, hash)
    if (numbers.includes(packed)) return row
    this.#pages.set(key, [...numbers, packed], hash)
    this.#size++
    return undefined
  }

  deleteObject(key: string, row: Row, hash?: number): Row | undefined {
    const packed = this.#codec.pack(row)
    const numbers = this.#pages.get(key, hash)
    if (!numbers.includes(packed)) return undefined
    this.#pages.set(
      key,
      numbers.filter((each) => each !== packed),
      hash,
    )
    this.#size--
    return row
  }

  delete(key: string, hash?: number): readonly Row[] {
    const rows = this.read(key, hash)
    if (rows.length > 0) this.#pages.set(key, NO_ROWS, hash)
    this.#size -= rows.length
    return rows
  }

  clear(): void {
    this.#pages.clear()
    this.#size = 0
  }

  keyChunk(from: Position, to?: Position): KeyChunk {
    return this.#pages.keyChunk(from, to)
  }

  chunk(from: Position, to?: Position): RowChunk<Row> {
    const { entries, next } = this.#pages.chunk(from, to)
    const rows: Row[] = []
    for (const [key, numbers] of entries) for (const packed of numbers) rows.push(this.#codec.unpack(key, packed))
    return { rows, next }
  }
}
