/**
 * One table that is being restored: takes rows of the file in the order of their keys, walks through the keys of the table beside them,
 * and writes what differs.
 *
 * Rows that are out of order, as in a text that people have edited, are written as they come; a table that is to be cleared is emptied
 * first then. Of an owned table only this node's rows count: others' are not its to write or remove.
 */
import { termKey } from '../../dist/term-key.ts'
import type { RowBytes } from '../definition.ts'
import { KeysInOrder, turn } from '../keys-in-order.ts'
import type { TableOperation } from '../table.ts'
import { backupBytes } from './backup.ts'
import type { RestoredInto } from './restore.ts'

const OPERATIONS_AT_A_TIME = 500
const KEYS_AT_A_TIME = 2000

export interface RestorationOptions {
  readonly table: RestoredInto<unknown>
  readonly node: string
  /** Rows of the table that are not in the file go. */
  readonly isCleared: boolean
  /** Rows of the file come in the order of their keys. */
  readonly isSorted: boolean
  /** Keys that the table has are left alone. */
  readonly isMissingOnly: boolean
}

export class TableRestoration {
  readonly #options: RestorationOptions
  readonly #table: RestoredInto<unknown>
  readonly #keyField: string
  readonly #bytes: RowBytes<unknown>
  readonly #identity: (row: unknown) => string
  /** Rows of this node by key, of an owned table. */
  readonly #own: ReadonlyMap<string, readonly unknown[]> | undefined
  /** Keys of a table that is to be cleared, from the first on that has not been met in the file. */
  readonly #oldKeys: KeysInOrder
  #oldKey: string | undefined
  #isBegun = false
  #operations: TableOperation<unknown>[] = []
  /** The rows of one key in the file, of which there may be more to come. */
  #group: unknown[] = []
  #groupKey = ''
  /** In the file, and what has become of them. */
  rows = 0
  written = 0
  removed = 0

  constructor(options: RestorationOptions) {
    const { table, isCleared, node } = options
    const { definition } = table
    this.#options = options
    this.#table = table
    this.#keyField = definition.key
    this.#bytes = backupBytes(definition).bytes
    this.#identity = definition.type === 'bag' ? (definition.identity ?? termKey) : () => ''
    this.#own = definition.replication === 'owned' ? byKey(table.rowsOf(node), (row) => this.#keyOf(row)) : undefined
    this.#oldKeys = new KeysInOrder(isCleared ? (this.#own?.keys() ?? table.keys()) : [][Symbol.iterator]())
  }

  /** Takes the next rows of the file. */
  async add(rows: readonly unknown[]): Promise<void> {
    await this.#begin()
    for (const row of rows) {
      const key = this.#keyOf(row)
      if (key !== this.#groupKey) await this.#endGroup()
      this.#groupKey = key
      this.#group.push(row)
      this.rows++
    }
    await turn()
  }

  /** No more rows come. */
  async finish(): Promise<void> {
    await this.#begin()
    await this.#endGroup()
    await this.#removeBefore(undefined)
    await this.#write()
  }

  async #begin(): Promise<void> {
    if (this.#isBegun) return
    this.#isBegun = true
    while (!this.#oldKeys.prepare(KEYS_AT_A_TIME)) await turn()
    this.#oldKey = this.#oldKeys.next()
    if (!this.#options.isSorted) await this.#removeBefore(undefined)
  }

  async #endGroup(): Promise<void> {
    const rows = this.#group
    if (rows.length === 0) return
    this.#group = []
    const key = this.#groupKey
    await this.#removeBefore(key)
    const isOld = this.#oldKey === key
    if (isOld) this.#oldKey = this.#oldKeys.next()
    const existing = this.#rowsOf(key)
    if (this.#options.isMissingOnly && existing.length > 0) return
    const restored = new Set<string>()
    for (const row of rows) {
      const identity = this.#identity(row)
      restored.add(identity)
      const before = existing.find((each) => this.#identity(each) === identity)
      if (before !== undefined && this.#isSame(before, row)) continue
      this.#operations.push({ op: 'write', row })
      this.written++
    }
    if (isOld) for (const row of existing) if (!restored.has(this.#identity(row))) this.#remove(row)
    if (this.#operations.length >= OPERATIONS_AT_A_TIME) await this.#write()
  }

  /** Removes the rows of keys before one, or of all that are left. */
  async #removeBefore(key: string | undefined): Promise<void> {
    while (this.#oldKey !== undefined && (key === undefined || this.#oldKey < key)) {
      for (const row of this.#rowsOf(this.#oldKey)) this.#remove(row)
      this.#oldKey = this.#oldKeys.next()
      if (this.#operations.length >= OPERATIONS_AT_A_TIME) await this.#write()
    }
  }

  #remove(row: unknown): void {
    this.#operations.push({ op: 'delete_object', row })
    this.removed++
  }

  #rowsOf(key: string): readonly unknown[] {
    return this.#own === undefined ? this.#table.read(key) : (this.#own.get(key) ?? [])
  }

  #isSame(one: unknown, other: unknown): boolean {
    return one === other || Buffer.compare(this.#bytes.encode(one), this.#bytes.encode(other)) === 0
  }

  #keyOf(row: unknown): string {
    return String((row as Record<string, unknown>)[this.#keyField])
  }

  /** Writes, and waits until that is on disc or others have had their turn: nothing piles up. */
  async #write(): Promise<void> {
    const operations = this.#operations
    this.#operations = []
    if (operations.length > 0) await this.#table.batch(operations, { wait: 'durable' })
    await turn()
  }
}

function byKey(rows: Iterable<unknown>, keyOf: (row: unknown) => string): Map<string, unknown[]> {
  const found = new Map<string, unknown[]>()
  for (const row of rows) {
    const key = keyOf(row)
    const others = found.get(key)
    if (others === undefined) found.set(key, [row])
    else others.push(row)
  }
  return found
}
