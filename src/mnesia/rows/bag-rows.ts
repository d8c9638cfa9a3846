/** Several rows for a key. A key with one row holds that row in its slot, without a list around it. */
import { termKey } from '../../dist/term-key.ts'
import { KeyMap } from './key-map.ts'
import { NO_ROWS, type OrderedKeys } from './readable-table.ts'
import type { RowChunk, Rows } from './rows.ts'
import type { KeyChunk, Position } from './shards.ts'

/** The rows of a key that has more than one, by identity. */
class Several<Row> {
  readonly rows = new Map<string, Row>()
}

export class BagRows<Row> implements Rows<Row> {
  readonly #identity: (row: Row) => string
  readonly #rows = new KeyMap<Row | Several<Row>>()
  #size = 0

  /** Without an `identity` rows are the same when they are equal as terms. */
  constructor(identity: ((row: Row) => string) | undefined) {
    this.#identity = identity ?? termKey
  }

  get size(): number {
    return this.#size
  }

  get keyCount(): number {
    return this.#rows.size
  }

  get order(): OrderedKeys | undefined {
    return undefined
  }

  get marks(): undefined {
    return undefined
  }

  has(key: string, hash?: number): boolean {
    return this.#rows.has(key, hash)
  }

  get(key: string, hash?: number): Row | undefined {
    const held = this.#rows.get(key, hash)
    return held instanceof Several ? rowsOf(held)[0] : held
  }

  read(key: string, hash?: number): readonly Row[] {
    const held = this.#rows.get(key, hash)
    return held === undefined ? NO_ROWS : rowsOf(held)
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
    const held = this.#rows.get(key, hash)
    const identity = this.#identity(row)
    let old: Row | undefined
    if (held instanceof Several) {
      old = held.rows.get(identity)
      held.rows.set(identity, row)
    } else if (held === undefined || this.#identity(held) === identity) {
      old = held
      this.#rows.set(key, row, hash)
    } else {
      const several = new Several<Row>()
      several.rows.set(this.#identity(held), held).set(identity, row)
      this.#rows.set(key, several, hash)
    }
    if (old === undefined) this.#size++
    return old
  }

  deleteObject(key: string, row: Row, hash?: number): Row | undefined {
    const held = this.#rows.get(key, hash)
    if (held === undefined) return undefined
    const identity = this.#identity(row)
    if (!(held instanceof Several)) {
      if (this.#identity(held) !== identity) return undefined
      this.#rows.delete(key, hash)
      this.#size--
      return held
    }
    const old = held.rows.get(identity)
    if (old === undefined) return undefined
    held.rows.delete(identity)
    if (held.rows.size === 1) for (const last of held.rows.values()) this.#rows.set(key, last, hash)
    this.#size--
    return old
  }

  delete(key: string, hash?: number): readonly Row[] {
    const held = this.#rows.delete(key, hash)
    if (held === undefined) return NO_ROWS
    const rows = rowsOf(held)
    this.#size -= rows.length
    return rows
  }

  clear(): void {
    this.#rows.clear()
    this.#size = 0
  }

  keyChunk(from: Position, to?: Position): KeyChunk {
    return this.#rows.keyChunk(from, to)
  }

  chunk(from: Position, to?: Position): RowChunk<Row> {
    const { entries, next } = this.#rows.chunk(from, to)
    const rows: Row[] = []
    for (const [, held] of entries) {
      if (held instanceof Several) for (const row of held.rows.values()) rows.push(row)
      else rows.push(held)
    }
    return { rows, next }
  }
}

function rowsOf<Row>(held: Row | Several<Row>): Row[] {
  return held instanceof Several ? [...held.rows.values()] : [held]
}
