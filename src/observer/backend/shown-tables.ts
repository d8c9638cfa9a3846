/**
 * The tables of the layer below, as observers see them: those of the broker, or of whatever else keeps rows in tables.
 *
 * No process owns such a table, so `init` stands for it. What properties its rows have is told by its first row.
 */
import type { Runtime } from '../../actors/runtime.ts'
import type { Exports, TableInfo } from '../../dist/exports.ts'

/** The part of a table that observers use. */
export interface ObservableTable {
  readonly definition: {
    readonly name: string
    readonly type: 'set' | 'ordered_set' | 'bag'
    readonly key: string
    readonly copies: string
  }
  readonly size: number
  rows(): Iterator<unknown>
}

/** All tables of a node, asked each time. */
export interface ObservableTables {
  all(): readonly ObservableTable[]
}

/** Shows tables to observers: ours, and Erlang's, which take them for those of Mnesia. */
export function showTables(exports: Exports, runtime: Runtime, tables: ObservableTables): void {
  exports.showTables(() => tables.all().map((table) => infoOf(table, runtime)))
}

function infoOf(table: ObservableTable, { init }: Runtime): TableInfo {
  const { name, type, key, copies } = table.definition
  const first = table.rows().next()
  const others = first.done ? [] : Object.keys(first.value as object).filter((property) => property !== key)
  return {
    name,
    owner: init.pid,
    type,
    size: table.size,
    memoryBytes: 0,
    storage: copies,
    attributes: [key, ...others],
    rows: () => table.rows() as Iterator<object>,
  }
}
