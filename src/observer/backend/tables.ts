/**
 * Tables as observers read them: a list, and rows in pages, dirty and without locks [OTP observer_backend:get_table].
 *
 * A page that is not the last leaves a cursor behind: the iterator over the table as it changes, at the place where the page
 * has ended. So the next page costs as much as the first, wherever it is. Cursors are few and are forgotten after a while.
 */
import type { EtsInfo } from '../../actors/ets.ts'
import { Pid } from '../../actors/pid.ts'
import { Ref } from '../../actors/ref.ts'
import type { Runtime } from '../../actors/runtime.ts'
import type { TimerHandle } from '../../actors/system.ts'
import type { Exports, TableInfo } from '../../dist/exports.ts'
import { presentable } from '../../dist/presentable.ts'
import type { Page, TablePage, TableRow } from '../rows.ts'
import { BadQuestion } from './question.ts'

/** Rows that one page looks at in search of those that match. */
const MAX_SCANNED = 50_000
/** A page ends when its rows are about so large, so that large rows make short pages. */
const MAX_PAGE_BYTES = 256 * 1024
const MAX_CURSORS = 16
const CURSOR_LIFE_MS = 60_000

/** What chooses the rows of a page. */
export interface RowsQuery {
  readonly limit: number
  readonly match: string | Readonly<Record<string, unknown>> | undefined
  readonly after: string | undefined
}

/** An opened table. */
interface Source {
  readonly key: string
  readonly size: number
  readonly rows: Iterator<object>
}

interface Cursor {
  readonly table: string
  readonly source: Source
  readonly timer: TimerHandle
}

export class TableReader {
  readonly #runtime: Runtime
  readonly #exports: Exports
  readonly #cursors = new Map<string, Cursor>()
  #lastCursor = 0

  constructor(runtime: Runtime, exports: Exports) {
    this.#runtime = runtime
    this.#exports = exports
  }

  /** All tables, by their names. */
  list(limit: number): Page<TableRow> {
    const rows = [...this.#runtime.ets.all().map(etsRow), ...(this.#exports.tables() ?? []).map(tableRow)]
    rows.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    return { rows: rows.slice(0, limit), total: rows.length }
  }

  /** What is known of a table; undefined when there is none of that name or reference. */
  info(table: string | Ref): TableRow | undefined {
    const isAsked = ({ name, id }: { readonly name: string; readonly id?: Ref }): boolean =>
      table instanceof Ref ? table.equals(id) : name === table
    const ets = this.#runtime.ets.all().find(isAsked)
    if (ets !== undefined) return etsRow(ets)
    const shown = this.#exports.tables()?.find(isAsked)
    return shown && tableRow(shown)
  }

  /** A page of the rows of a table; undefined when there is none of that name or reference, or when it is private. */
  rows(table: string | Ref, { limit, match, after }: RowsQuery): TablePage | undefined {
    const source = after === undefined ? this.#open(table) : this.#resume(String(table), after)
    if (source === undefined) return undefined
    const rows: unknown[] = []
    let scanned = 0
    let bytes = 0
    while (rows.length < limit && scanned < MAX_SCANNED && bytes < MAX_PAGE_BYTES) {
      const next = source.rows.next()
      if (next.done) return { rows, total: source.size, scanned }
      scanned++
      const row = next.value as Readonly<Record<string, unknown>>
      if (!matches(row, source.key, match)) continue
      const shown = presentable(row)
      bytes += roughBytes(shown)
      rows.push(shown)
    }
    return { rows, total: source.size, scanned, next: this.#leave(String(table), source) }
  }

  close(): void {
    for (const id of [...this.#cursors.keys()]) this.#forget(id)
  }

  #open(table: string | Ref): Source | undefined {
    const ets = this.#runtime.ets.find<object>(table)
    if (ets !== undefined) return { key: ets.info().key, size: ets.size, rows: ets[Symbol.iterator]() }
    const shown = this.#exports.tables()?.find(({ name }) => name === table)
    return shown && { key: shown.attributes[0] ?? '', size: shown.size, rows: shown.rows() }
  }

  #resume(table: string, id: string): Source {
    const cursor = this.#cursors.get(id)
    if (cursor === undefined || cursor.table !== table) {
      throw new BadQuestion(`there is no page after ${id} any more: begin again without after`)
    }
    this.#forget(id)
    return cursor.source
  }

  #leave(table: string, source: Source): string {
    const { timers } = this.#runtime
    const [oldest] = this.#cursors.keys()
    if (this.#cursors.size >= MAX_CURSORS && oldest !== undefined) this.#forget(oldest)
    const id = `c${++this.#lastCursor}`
    const timer = timers.set(CURSOR_LIFE_MS, () => this.#cursors.delete(id))
    this.#cursors.set(id, { table, source, timer })
    return id
  }

  #forget(id: string): void {
    const cursor = this.#cursors.get(id)
    if (cursor !== undefined) this.#runtime.timers.clear(cursor.timer)
    this.#cursors.delete(id)
  }
}

function etsRow({ id, name, type, size, owner, protection, named }: EtsInfo): TableRow {
  return { name, kind: 'ets', type, size, owner, protection, ...(named ? {} : { id }) }
}

function tableRow({ name, type, size, memoryBytes, storage }: TableInfo): TableRow {
  const bytes = memoryBytes > 0 ? { bytes: memoryBytes } : {}
  return { name, kind: 'mnesia', type, size, ...bytes, storage: storage ?? 'ram_copies' }
}

function matches(row: Readonly<Record<string, unknown>>, key: string, match: RowsQuery['match']): boolean {
  if (match === undefined) return true
  if (typeof match === 'string') return String(row[key]).includes(match)
  return Object.entries(match).every(([property, value]) => isSame(row[property], value))
}

function isSame(a: unknown, b: unknown): boolean {
  return Object.is(a, b) || ((a instanceof Pid || a instanceof Ref) && a.equals(b))
}

const VALUE_BYTES = 16

function roughBytes(value: unknown): number {
  if (typeof value === 'string') return VALUE_BYTES + value.length
  if (value instanceof Uint8Array) return VALUE_BYTES + value.length
  if (typeof value !== 'object' || value === null || value instanceof Pid || value instanceof Ref) return VALUE_BYTES
  let bytes = VALUE_BYTES
  for (const part of Object.values(value)) bytes += roughBytes(part)
  return bytes
}
