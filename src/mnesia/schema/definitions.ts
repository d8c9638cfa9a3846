/**
 * Tables as rows of the schema: `table/NAME` says what a table is, `copy/NAME/NODE` that a node has another copy than the others,
 * `index/NAME/FIELD` that there is an index which the definition does not have, or none although it does.
 *
 * Code cannot be compared, so a description says only which functions a definition has. Two definitions are of one table when they agree in
 * what decides how rows replicate: type, key, replication, and whether rows have an identity or are compact. In the rest they may differ, so
 * that members can be upgraded one after the other.
 */
import type { Copies, CopyKind, TableDefinition } from '../definition.ts'
import type { Registry, RegistryRow, RegistryValue } from './registry.ts'

/** A definition as plain data. */
export interface TableDescription {
  readonly status: 'open' | 'deleted'
  readonly type: string
  readonly key: string
  readonly replication: string
  /** Of members that have no row of their own. */
  readonly copies: Copies
  readonly index: readonly string[]
  /** Functions that the definition has, sorted. */
  readonly functions: readonly string[]
}

const FUNCTIONS = ['bytes', 'compact', 'identity', 'merge', 'parked'] as const

const TABLE = 'table/'
const COPY = 'copy/'
const INDEX = 'index/'
/** Kind of an index or a copy of which the definition decides. */
export const AS_DEFINED = 'as_defined'

export function tableKey(name: string): string {
  return `${TABLE}${name}`
}

export function copyKey(name: string, node: string): string {
  // A node name has no slash, so the last one parts the two.
  return `${COPY}${name}/${node}`
}

/** What the schema says of copies of a table on single members. */
export function copyRows(rows: Pick<Registry, 'under'>, name: string): readonly RegistryRow[] {
  const prefix = copyKey(name, '')
  // The name of another table may begin like this.
  return rows.under(prefix).filter(({ key }) => !key.slice(prefix.length).includes('/'))
}

/** What the schema says of the index on a field, which may be nothing. */
export function indexKey(name: string, field: string): string {
  return `${indexesKey(name)}${field}`
}

function indexesKey(name: string): string {
  // The name of a table may have a slash, so that one could seem to be the beginning of another.
  return `${INDEX}${encodeURIComponent(name)}/`
}

/** Rows of the schema that change what `indexesOf` says. */
export function isOfIndex({ key }: RegistryRow): boolean {
  return key.startsWith(INDEX)
}

/** The fields of which the schema says something. */
export function indexRows(rows: Pick<Registry, 'under'>, name: string): readonly RegistryRow[] {
  return rows.under(indexesKey(name))
}

/** The fields that have an index, sorted: those of definitions, with what has been added and deleted since. */
export function indexesOf(rows: Pick<Registry, 'under'>, name: string, defined: Iterable<string>): readonly string[] {
  const fields = new Set(defined)
  for (const { key, value } of indexRows(rows, name)) {
    const field = key.slice(indexesKey(name).length)
    if (value.kind === 'added') fields.add(field)
    else if (value.kind === 'deleted') fields.delete(field)
  }
  return [...fields].sort()
}

export function describe<Row>(definition: TableDefinition<Row>): TableDescription {
  const { type, key, replication, copies, index = [] } = definition
  const functions = FUNCTIONS.filter((name) => definition[name] !== undefined)
  return { status: 'open', type, key, replication, copies, index: [...index].sort(), functions }
}

/**
 * The description as the schema's row has it from now on: what we know of it is ours, what a later version has put there
 * stays.
 */
export function described(description: TableDescription, old: RegistryValue | undefined): RegistryValue {
  return old === undefined || old.status === 'deleted' ? { ...description } : { ...old, ...description }
}

/** The tables that there are, by name. */
export function tablesIn(rows: Pick<Registry, 'under'>): Map<string, RegistryValue> {
  const open = rows.under(TABLE).filter(({ value }) => value.status !== 'deleted')
  return new Map(open.map(({ key, value }) => [key.slice(TABLE.length), value]))
}

/** The table's row; undefined when there is none. */
export function tableIn(rows: Pick<Registry, 'get'>, name: string): RegistryValue | undefined {
  const value = rows.get(tableKey(name))
  return value === undefined || value.status === 'deleted' ? undefined : value
}

export function copyOn(rows: Pick<Registry, 'get'>, name: string, node: string): CopyKind {
  const own = rows.get(copyKey(name, node))?.kind
  const kind = own === undefined || own === AS_DEFINED ? tableIn(rows, name)?.copies : own
  return kind === 'none' || kind === 'ram_copies' ? kind : 'disc_copies'
}

/** What is wrong when two definitions of a name are not of one table: `type: set here, bag there`. */
export function differences(here: RegistryValue, there: RegistryValue): string[] {
  const found: string[] = []
  for (const field of ['type', 'key', 'replication']) {
    if (here[field] !== there[field]) found.push(`${field}: ${String(here[field])} here, ${String(there[field])} there`)
  }
  for (const name of ['compact', 'identity']) {
    const [has, hasThere] = [hasFunction(here, name), hasFunction(there, name)]
    if (has !== hasThere)
      found.push(`${name}: ${has ? 'given here' : 'none here'}, ${hasThere ? 'given' : 'none'} there`)
  }
  return found
}

/** A table of which two nodes have definitions that exclude each other. */
export interface Mismatch {
  readonly table: string
  /** What differs, in words. */
  readonly differences: readonly string[]
}

/** Tables of which the two schemas have definitions that exclude each other, sorted by name. */
export function mismatches(here: readonly RegistryRow[], there: readonly RegistryRow[]): Mismatch[] {
  const theirs = new Map(there.map((row) => [row.key, row.value]))
  const found: Mismatch[] = []
  for (const { key, value } of here) {
    const other = theirs.get(key)
    if (!key.startsWith(TABLE) || other === undefined) continue
    if (value.status === 'deleted' || other.status === 'deleted') continue
    const different = differences(value, other)
    if (different.length > 0) found.push({ table: key.slice(TABLE.length), differences: different })
  }
  return found
}

/** `retained_message (type: set here, bag there)`, for people. */
export function mismatchText({ table, differences: found }: Mismatch): string {
  return `${table} (${found.join('; ')})`
}

/** Whether a node can make the table without code: no function decides what its rows are. */
function isPlain(value: RegistryValue): boolean {
  return ['compact', 'identity', 'merge', 'parked', 'bytes'].every((name) => !hasFunction(value, name))
}

/** The definition of a table that another node has created; only for those that are plain. */
export function definitionOf(name: string, value: RegistryValue): TableDefinition<Record<string, unknown>> | undefined {
  const { type, key, replication, copies, index } = value
  if (!isPlain(value) || typeof key !== 'string') return undefined
  if (type !== 'set' && type !== 'ordered_set' && type !== 'bag') return undefined
  if (replication !== 'owned' && replication !== 'shared' && replication !== 'local_content') return undefined
  return {
    name,
    type,
    key,
    replication,
    copies: copies === 'ram_copies' ? 'ram_copies' : 'disc_copies',
    index: Array.isArray(index) ? index.filter((field) => typeof field === 'string') : [],
  }
}

function hasFunction(value: RegistryValue, name: string): boolean {
  return Array.isArray(value.functions) && value.functions.includes(name)
}
