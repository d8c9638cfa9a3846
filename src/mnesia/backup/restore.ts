/**
 * Brings rows of a backup, or of a text, back into tables [OTP mnesia:restore/2].
 *
 * Everything is looked at before anything is changed: the file is whole, its tables are there and are of the same kind, each row can be
 * read. Then rows are written as ordinary operations, some hundred at a time, so they replicate as any other write does, and rows that are
 * as they should be are left alone. The whole is not atomic: others read and write meanwhile, and a node that dies in the middle
 * has restored a part; doing it again completes it.
 */
import type { TableDefinition } from '../definition.ts'
import { BackupError } from '../errors.ts'
import { RowForm } from '../owned/row-form.ts'
import type { Table } from '../table.ts'
import { backupBytes } from './backup.ts'
import type { BackupTable } from './backup-file.ts'
import { decodeRow, openBackup } from './backup-reader.ts'
import { TableRestoration } from './table-restoration.ts'

/**
 * What becomes of the rows that a table has: `clear_tables`, afterwards it has those of the backup and no others; `keep_tables`,
 * rows of the backup take the place of those with the same key, the others stay; `skip_tables`, it is left alone.
 */
export type RestoreOp = 'clear_tables' | 'keep_tables' | 'skip_tables'

/** What is asked of a table that is restored. */
export type RestoredInto<Row> = Pick<Table<Row>, 'definition' | 'keys' | 'read' | 'rowsOf' | 'batch'>

export interface RestoreOptions {
  readonly file: string
  /** The table of a name; undefined when there is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tables of any rows
  readonly table: (name: string) => RestoredInto<any> | undefined
  /** This node: of an owned table its own rows are restored. */
  readonly node: string
  /** For tables that are in none of the lists. @default clear_tables */
  readonly defaultOp?: RestoreOp
  readonly clearTables?: readonly string[]
  readonly keepTables?: readonly string[]
  readonly skipTables?: readonly string[]
  /** Writes only rows whose key the table has not; no table is cleared. @default false */
  readonly missingOnly?: boolean
}

export interface RestoredTable {
  readonly name: string
  /** In the backup. */
  readonly rows: number
  /** Written, removed, and left as they were, since they were equal or their key was there. */
  readonly written: number
  readonly removed: number
  readonly kept: number
}

export interface RestoreResult {
  readonly tables: readonly RestoredTable[]
  readonly skipped: readonly string[]
}

/** Rows that can be read twice. */
export interface RowSource {
  readonly file: string
  readonly tables: readonly Pick<BackupTable, 'name' | 'type' | 'key'>[]
  /** Rows of those tables for which there is a definition; rejects with a `BackupError` for one that makes no sense. */
  lists(definitions: readonly (TableDefinition<unknown> | undefined)[]): AsyncIterable<SourceList>
  close(): void
}

export interface SourceList {
  /** Number of the table. */
  readonly table: number
  readonly rows: readonly unknown[]
  /** For people: `at byte 123`, `in line 7`. */
  readonly where: string
}

/** Restores tables from a backup. Rejects with a `BackupError`; when nothing can be restored nothing has been changed. */
export async function restore(options: RestoreOptions): Promise<RestoreResult> {
  const reader = await openBackup(options.file)
  const { tables } = reader.info
  return restoreFrom(options, {
    file: options.file,
    tables,
    lists: async function* (definitions) {
      for await (const { table, rows, offset } of reader.lists()) {
        const definition = definitions[table]
        if (definition === undefined) continue
        const { bytes } = backupBytes(definition)
        const decoded = rows.map((row) => decodeRow(options.file, offset, definition.name, bytes, row))
        yield { table, rows: decoded, where: `at byte ${offset}` }
      }
    },
    close: () => reader.close(),
  })
}

/** Restores tables from any source, and closes it. */
export async function restoreFrom(options: RestoreOptions, source: RowSource): Promise<RestoreResult> {
  try {
    const targets = targetsOf(options, source)
    const isSorted = await lookThrough(source, targets, options.node)
    const restorations = targets.map(
      (target, i) =>
        target &&
        new TableRestoration({
          table: target.table,
          node: options.node,
          isCleared: target.op === 'clear_tables',
          isSorted: isSorted[i]!,
          isMissingOnly: options.missingOnly === true,
        }),
    )
    const definitions = targets.map((target) => target?.table.definition)
    for await (const { table, rows } of source.lists(definitions)) await restorations[table]!.add(rows)
    const tables: RestoredTable[] = []
    for (const [i, restoration] of restorations.entries()) {
      if (restoration === undefined) continue
      await restoration.finish()
      const { rows, written, removed } = restoration
      tables.push({ name: source.tables[i]!.name, rows, written, removed, kept: rows - written })
    }
    return { tables, skipped: source.tables.filter((_, i) => targets[i] === undefined).map(({ name }) => name) }
  } finally {
    source.close()
  }
}

interface Target {
  readonly table: RestoredInto<unknown>
  readonly op: 'clear_tables' | 'keep_tables'
}

/** The table of each table of the source; undefined for those that are skipped. */
function targetsOf(options: RestoreOptions, { file, tables }: RowSource): (Target | undefined)[] {
  const { clearTables = [], keepTables = [], skipTables = [], defaultOp = 'clear_tables', missingOnly } = options
  const names = tables.map(({ name }) => name)
  const unknown = [...clearTables, ...keepTables, ...skipTables].filter((name) => !names.includes(name))
  if (unknown.length > 0)
    throw new BackupError(file, `has no table ${unknown.join(', ')}; it has ${names.join(', ') || 'none'}`)
  const problems: string[] = []
  const targets = tables.map((saved): Target | undefined => {
    const { name } = saved
    const op = skipTables.includes(name)
      ? 'skip_tables'
      : keepTables.includes(name)
        ? 'keep_tables'
        : clearTables.includes(name)
          ? 'clear_tables'
          : defaultOp
    if (op === 'skip_tables') return undefined
    const table = options.table(name) as RestoredInto<unknown> | undefined
    if (table === undefined) problems.push(`there is no table ${name} here: skip it, or open it first`)
    else problems.push(...differences(saved, table.definition))
    return table && { table, op: missingOnly ? 'keep_tables' : op }
  })
  if (problems.length > 0) throw new BackupError(file, `nothing has been restored: ${problems.join('; ')}`)
  return targets
}

function differences(
  saved: Pick<BackupTable, 'name' | 'type' | 'key'>,
  definition: TableDefinition<unknown>,
): string[] {
  return (['type', 'key'] as const)
    .filter((field) => saved[field] !== definition[field])
    .map((field) => `${field} of ${saved.name}: ${saved[field]} in the file, ${definition[field]} here`)
}

/** Reads all rows, makes sure that each can be written, and finds out for which tables they are in the order of their keys. */
async function lookThrough(
  source: RowSource,
  targets: readonly (Target | undefined)[],
  node: string,
): Promise<boolean[]> {
  const definitions = targets.map((target) => target?.table.definition)
  const forms = definitions.map((definition) => definition && new RowForm(definition, node))
  const isSorted = targets.map(() => true)
  const last: (string | undefined)[] = []
  for await (const { table, rows, where } of source.lists(definitions)) {
    const { name, key: field, type } = definitions[table]!
    for (const row of rows) {
      const key = typeof row === 'object' && row !== null ? (row as Record<string, unknown>)[field] : undefined
      if (typeof key !== 'string') {
        throw new BackupError(
          source.file,
          `a row of ${name} ${where} has no text in its field ${field}, which is its key`,
        )
      }
      try {
        forms[table]!.write(row)
        forms[table]!.identity(row)
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error)
        throw new BackupError(source.file, `a row of ${name} ${where} cannot be one: ${problem}`, { cause: error })
      }
      const before = last[table]
      if (before !== undefined && (key < before || (key === before && type !== 'bag'))) isSorted[table] = false
      last[table] = key
    }
  }
  return isSorted
}
