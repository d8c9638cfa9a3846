/**
 * The file of a backup.
 *
 * It begins with `AGNERBAK` and the number of its format. Then come frames as in the files of the store: a head, rows, and an end. The head
 * is JSON and says of which node, cluster and time the rows are, which tables they belong to and how many there are. Rows are a number of
 * a table, a number of rows, and for each its length and bytes. The end is JSON with a SHA-256 of all that is between the two.
 * Rows come table by table, in the order of their keys.
 */
import { BackupError } from '../errors.ts'

export const MAGIC = Buffer.from('AGNERBAK')
/** Grows when a later version cannot be read by this one. */
export const BACKUP_FORMAT = 1
/** Offset of the head. */
export const HEAD_AT = MAGIC.length + 4
/** Checksums of frames begin with it: there is nothing in a backup that could be taken for another. */
export const SALT = 0

/** A table in a backup. */
export interface BackupTable {
  readonly name: string
  readonly type: string
  readonly key: string
  readonly replication: string
  readonly copies: string
  /** How rows are bytes: as terms, or in the way of the table's own definition. */
  readonly bytes: 'term' | 'own'
  readonly rows: number
}

export interface BackupInfo {
  readonly format: number
  readonly node: string
  /** Undefined when the node was in none. */
  readonly cluster: string | undefined
  /** The instant as of which the rows are; ISO 8601. */
  readonly at: string
  readonly tables: readonly BackupTable[]
}

export interface BackupEnd {
  readonly rows: number
  readonly sha256: string
}

const LONGEST_NUMBER = 15

/** The head as text, of the same length whatever the numbers of rows are: they are filled in at the end. */
export function headText(info: BackupInfo): string {
  const tables = info.tables.map(({ rows, ...table }) => {
    const text = JSON.stringify(table)
    return `  ${text.slice(0, -1)},"rows":${String(rows).padStart(LONGEST_NUMBER)}}`
  })
  const { tables: _, ...rest } = info
  return `${JSON.stringify(rest).slice(0, -1)},"tables":[\n${tables.join(',\n')}\n]}\n`
}

/** Throws a `BackupError` for a head that makes no sense. */
export function parseHead(file: string, text: string): BackupInfo {
  const head = parsed(file, text) as Partial<BackupInfo>
  if (typeof head.node !== 'string' || typeof head.at !== 'string' || !Array.isArray(head.tables)) {
    throw new BackupError(file, 'its head is not that of a backup')
  }
  const tables = head.tables as readonly BackupTable[]
  for (const { name, type, key, rows } of tables) {
    if (
      typeof name !== 'string' ||
      typeof type !== 'string' ||
      typeof key !== 'string' ||
      !Number.isSafeInteger(rows)
    ) {
      throw new BackupError(file, 'its head describes a table that is none')
    }
  }
  return { format: BACKUP_FORMAT, node: head.node, cluster: head.cluster, at: head.at, tables }
}

export function parseEnd(file: string, text: string): BackupEnd {
  return parsed(file, text) as BackupEnd
}

function parsed(file: string, text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Told below.
  }
  throw new BackupError(file, 'its head or end is no JSON')
}
