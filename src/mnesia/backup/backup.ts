/**
 * Writes backups: the rows of any tables as of one instant, while writes go on [OTP mnesia:backup/1].
 *
 * Memory and the time without a pause are bounded, however many rows there are. A file appears under its name when it is whole
 * and on disc; whatever was there under that name is replaced.
 */
import { createHash } from 'node:crypto'
import type { RowBytes, TableDefinition } from '../definition.ts'
import { BackupError } from '../errors.ts'
import { termBytes } from '../row-bytes.ts'
import { END, FRAME_BYTES, HEAD, ROWS, sealFrame } from '../store/frames.ts'
import { NewFile } from '../store/new-file.ts'
import { RecordWriter } from '../store/records.ts'
import { BACKUP_FORMAT, type BackupInfo, type BackupTable, HEAD_AT, headText, MAGIC, SALT } from './backup-file.ts'
import { type FollowedTable, snapshot, type TableSnapshot } from './snapshot.ts'

const WRITE_BYTES = 256 << 10

export interface BackupOptions {
  /** Path of the file. */
  readonly file: string
  // biome-ignore lint/suspicious/noExplicitAny: tables of any rows
  readonly tables: readonly FollowedTable<any>[]
  /** This node. Of an owned table its own rows are saved. */
  readonly node: string
  /** Id of the cluster. */
  readonly cluster?: string
  /** ms since 1970. */
  readonly now: number
}

/** Rows of a table that is being saved. */
export interface RowsToWrite {
  readonly table: BackupTable
  /** Encoded. */
  lists(): AsyncIterable<readonly Uint8Array[]>
}

/** How the rows of a table are bytes in a backup. Packed rows are unpacked: what packs them may change. */
export function backupBytes<Row>(definition: TableDefinition<Row>): {
  readonly kind: 'term' | 'own'
  readonly bytes: RowBytes<Row>
} {
  const { bytes, compact } = definition
  return bytes === undefined || compact !== undefined
    ? { kind: 'term', bytes: termBytes<Row>() }
    : { kind: 'own', bytes }
}

/** Saves tables as they are now. Resolves with what is in the file; rejects with a `BackupError`, and leaves no file then. */
export async function backup({ file, tables, node, cluster, now }: BackupOptions): Promise<BackupInfo> {
  const taken: TableSnapshot<unknown>[] = []
  try {
    for (const table of tables) taken.push(snapshot(table, node))
    const sources = tables.map(({ definition }, i): RowsToWrite => {
      const { name, type, key, replication, copies } = definition
      const { kind, bytes } = backupBytes(definition)
      return {
        table: { name, type, key, replication, copies, bytes: kind, rows: 0 },
        lists: async function* () {
          for await (const rows of taken[i]!.lists()) yield rows.map((row) => bytes.encode(row))
        },
      }
    })
    return await writeBackup(file, { node, cluster, at: new Date(now).toISOString() }, sources)
  } finally {
    for (const each of taken) each.end()
  }
}

/** Writes a file of what sources give. */
export async function writeBackup(
  file: string,
  of: Pick<BackupInfo, 'node' | 'cluster' | 'at'>,
  sources: readonly RowsToWrite[],
): Promise<BackupInfo> {
  let writer: BackupWriter | undefined
  try {
    writer = new BackupWriter(file, { format: BACKUP_FORMAT, ...of, tables: sources.map(({ table }) => table) })
    for (const [number, source] of sources.entries()) {
      for await (const rows of source.lists()) await writer.add(number, rows)
    }
    return await writer.finish()
  } catch (error) {
    writer?.abandon()
    if (error instanceof BackupError) throw error
    throw new BackupError(file, `cannot be written: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}

class BackupWriter {
  readonly #file: NewFile
  readonly #info: BackupInfo
  readonly #counts: number[]
  readonly #writer = new RecordWriter(WRITE_BYTES)
  readonly #hash = createHash('sha256')
  #offset: number
  #sequence = 1

  /** Throws the error of the system call. */
  constructor(file: string, info: BackupInfo) {
    this.#info = info
    this.#counts = info.tables.map(() => 0)
    this.#offset = HEAD_AT + headFrame(info).length
    this.#file = new NewFile(file)
  }

  async add(table: number, rows: readonly Uint8Array[]): Promise<void> {
    const writer = this.#writer
    const from = writer.at
    writer.reserve(FRAME_BYTES)
    writer.at += FRAME_BYTES
    writer.varint(table)
    writer.varint(rows.length)
    for (const row of rows) {
      writer.varint(row.length)
      writer.raw(row)
    }
    sealFrame(writer.bytes, from, writer.at, ROWS, this.#sequence++, SALT)
    this.#counts[table]! += rows.length
    if (writer.at >= WRITE_BYTES) await this.#write()
  }

  async finish(): Promise<BackupInfo> {
    await this.#write()
    const info = { ...this.#info, tables: this.#info.tables.map((table, i) => ({ ...table, rows: this.#counts[i]! })) }
    const rows = this.#counts.reduce((sum, count) => sum + count, 0)
    const end = jsonFrame(END, this.#sequence, JSON.stringify({ rows, sha256: this.#hash.digest('hex') }))
    await this.#file.write([end], this.#offset)
    const format = Buffer.alloc(4)
    format.writeUInt32LE(BACKUP_FORMAT)
    await this.#file.write([MAGIC, format, headFrame(info)], 0)
    await this.#file.finish()
    return info
  }

  abandon(): void {
    this.#file.abandon()
  }

  async #write(): Promise<void> {
    const written = this.#writer.bytes.subarray(0, this.#writer.at)
    this.#hash.update(written)
    await this.#file.write([written], this.#offset)
    this.#offset += written.length
    this.#writer.at = 0
  }
}

function headFrame(info: BackupInfo): Buffer {
  return jsonFrame(HEAD, 0, headText(info))
}

function jsonFrame(kind: number, sequence: number, text: string): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(FRAME_BYTES), Buffer.from(text)])
  sealFrame(bytes, 0, bytes.length, kind, sequence, SALT)
  return bytes
}
