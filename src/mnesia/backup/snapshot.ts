/**
 * The rows of a table as they were at one instant, in the order of their keys, while writes go on.
 *
 * Nothing is copied in advance. From the instant on the events of the table are noted for each key that has not been read yet, and
 * undone when it is: rows are immutable, so the row that an event replaced or removed is the one that was there. What has been read, or is
 * written and read unchanged, costs nothing; the memory that it takes is a reference to each key, and the changes ahead of the reader.
 */
import { byCodeUnits, SortedKeys } from '../../actors/sorted-keys.ts'
import { termKey } from '../../dist/term-key.ts'
import { KeysInOrder, turn } from '../keys-in-order.ts'
import type { Table, TableEvent } from '../table.ts'

/** Keys that are arranged, or read, before others get their turn. */
const KEYS_AT_A_TIME = 2000
const ROWS_AT_A_TIME = 500

/** What is asked of a table that is saved. */
export type FollowedTable<Row> = Pick<Table<Row>, 'definition' | 'keys' | 'read' | 'rowsOf' | 'subscribe'>

/** The rows of a table as of the making of this object. */
export interface TableSnapshot<Row> {
  /** To be called once: lists of about 500 rows, rows of a key together. */
  lists(): AsyncGenerator<readonly Row[], void, void>
  /** Stops following the table; to be called in any case. */
  end(): void
}

/** Of an owned table these are the rows of one owner. */
export function snapshot<Row>(table: FollowedTable<Row>, owner: string): TableSnapshot<Row> {
  const taken = table.definition.replication === 'owned' ? new OwnedSnapshot(table, owner) : new Snapshot(table)
  return { lists: () => lists(taken), end: () => taken.end() }
}

interface Snapshotted<Row> {
  readonly keys: KeysInOrder
  rowsOf(key: string): readonly Row[]
  /** The first key that was there and is not in `keys` any more; undefined when there is none before `key`. */
  lostBefore(key: string | undefined): string | undefined
  end(): void
}

async function* lists<Row>(table: Snapshotted<Row>): AsyncGenerator<readonly Row[], void, void> {
  const { keys } = table
  while (!keys.prepare(KEYS_AT_A_TIME)) await turn()
  let rows: Row[] = []
  let key = keys.next()
  for (let looked = 1; ; looked++) {
    const next: string | undefined = table.lostBefore(key) ?? key
    if (next === undefined) break
    if (next === key) key = keys.next()
    rows.push(...table.rowsOf(next))
    if (rows.length >= ROWS_AT_A_TIME) {
      yield rows
      rows = []
      await turn()
    } else if (looked % KEYS_AT_A_TIME === 0) await turn()
  }
  if (rows.length > 0) yield rows
}

class Snapshot<Row> implements Snapshotted<Row> {
  readonly keys: KeysInOrder
  readonly #table: FollowedTable<Row>
  readonly #identity: (row: Row) => string
  readonly end: () => void
  /** What has happened to keys that have not been read yet, in the order of events. */
  readonly #changes = new Map<string, TableEvent<Row>[]>()
  /** The same keys, sorted. */
  readonly #changed = new SortedKeys<string>(byCodeUnits)
  /** The key that was read last. */
  #readTo: string | undefined

  constructor(table: FollowedTable<Row>) {
    const { type, identity = termKey } = table.definition
    this.#table = table
    this.#identity = type === 'bag' ? identity : () => ''
    this.end = table.subscribe((event) => this.#note(event))
    this.keys = new KeysInOrder(table.keys())
  }

  rowsOf(key: string): readonly Row[] {
    // Keys may come up twice when they are removed and written again meanwhile.
    if (key === this.#readTo) return []
    this.#readTo = key
    const changes = this.#changes.get(key)
    const rows = this.#table.read(key)
    if (changes === undefined) return rows
    this.#changes.delete(key)
    this.#changed.delete(key)
    const before = new Map(rows.map((row) => [this.#identity(row), row]))
    for (const event of changes.reverse()) this.#undo(event, before)
    return [...before.values()]
  }

  lostBefore(key: string | undefined): string | undefined {
    const first = this.#changed.first()
    return first !== undefined && (key === undefined || first < key) ? first : undefined
  }

  #note(event: TableEvent<Row>): void {
    if (event.type !== 'write' && event.type !== 'delete') return
    const key = String(event.row[this.#table.definition.key])
    if (this.#readTo !== undefined && key <= this.#readTo) return
    const changes = this.#changes.get(key)
    if (changes !== undefined) changes.push(event)
    else {
      this.#changes.set(key, [event])
      this.#changed.insert(key)
    }
  }

  #undo(event: TableEvent<Row>, rows: Map<string, Row>): void {
    if (event.type === 'delete') rows.set(this.#identity(event.row), event.row)
    if (event.type !== 'write') return
    rows.delete(this.#identity(event.row))
    if (event.old !== undefined) rows.set(this.#identity(event.old), event.old)
  }
}

/** Nothing tells whose the rows of a key are, so the rows of the owner are taken at once. */
class OwnedSnapshot<Row> implements Snapshotted<Row> {
  readonly keys: KeysInOrder
  readonly #rows = new Map<string, Row[]>()

  constructor(table: FollowedTable<Row>, owner: string) {
    for (const row of table.rowsOf(owner)) {
      const key = String(row[table.definition.key])
      const rows = this.#rows.get(key)
      if (rows === undefined) this.#rows.set(key, [row])
      else rows.push(row)
    }
    this.keys = new KeysInOrder(this.#rows.keys())
  }

  rowsOf(key: string): readonly Row[] {
    return this.#rows.get(key) ?? []
  }

  lostBefore(): undefined {
    return undefined
  }

  end(): void {}
}
