/**
 * Reads backups. A file is read through once when it is opened, every checksum is compared and every row counted, so whoever reads
 * rows of it knows that it is whole [OTP mnesia:traverse_backup/4].
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import type { RowBytes } from '../definition.ts'
import { BackupError } from '../errors.ts'
import { termBytes } from '../row-bytes.ts'
import { readAt } from '../store/files.ts'
import { END, type Frame, HEAD, ROWS, scanFrames } from '../store/frames.ts'
import { RecordReader } from '../store/records.ts'
import { type RowsToWrite, writeBackup } from './backup.ts'
import {
  BACKUP_FORMAT,
  type BackupEnd,
  type BackupInfo,
  HEAD_AT,
  MAGIC,
  parseEnd,
  parseHead,
  SALT,
} from './backup-file.ts'

/** Encoded rows of one table. */
export interface RowList {
  /** Number of the table in the head. */
  readonly table: number
  readonly rows: readonly Buffer[]
  /** Where in the file the list is. */
  readonly offset: number
}

/** Opens a backup and reads it through. Rejects with a `BackupError` that says what is wrong, and where. */
export async function openBackup(file: string): Promise<BackupReader> {
  const fd = openFile(file)
  try {
    const reader = new BackupReader(file, fd, fs.fstatSync(fd).size)
    await reader.check()
    return reader
  } catch (error) {
    fs.closeSync(fd)
    throw error instanceof BackupError ? error : cannotRead(file, error)
  }
}

export class BackupReader {
  readonly file: string
  readonly #fd: number
  readonly #size: number
  #info: BackupInfo | undefined
  #rowsAt = 0
  #rowsEnd = 0

  constructor(file: string, fd: number, size: number) {
    this.file = file
    this.#fd = fd
    this.#size = size
  }

  get info(): BackupInfo {
    return this.#info!
  }

  /** Reads everything through. */
  async check(): Promise<void> {
    await this.#checkFormat()
    const counts: number[] = []
    let sequence = 0
    let end: BackupEnd | undefined
    for await (const frame of this.#frames(HEAD_AT, this.#size)) {
      if (end !== undefined || frame.sequence !== sequence++) throw this.#damagedAt(frame.offset)
      if (frame.kind === HEAD) {
        this.#info = parseHead(this.file, textOf(frame))
        this.#rowsAt = frame.end
      } else if (this.#info !== undefined && frame.kind === ROWS) {
        const { table, rows } = this.#listIn(frame)
        counts[table] = (counts[table] ?? 0) + rows.length
      } else if (this.#info !== undefined && frame.kind === END) {
        end = parseEnd(this.file, textOf(frame))
        this.#rowsEnd = frame.offset
      } else throw this.#damagedAt(frame.offset)
    }
    if (this.#info === undefined || end === undefined) {
      throw new BackupError(this.file, `ends at byte ${this.#size}, before its end: it is not complete`)
    }
    for (const [i, { name, rows }] of this.#info.tables.entries()) {
      if ((counts[i] ?? 0) !== rows) {
        throw new BackupError(this.file, `has ${counts[i] ?? 0} rows of ${name}, and should have ${rows}`)
      }
    }
    if ((await this.#sha256()) !== end.sha256)
      throw new BackupError(this.file, 'is not what was written: its SHA-256 differs')
  }

  /** The rows of all tables, in the order of the file. */
  async *lists(): AsyncGenerator<RowList, void, void> {
    for await (const frame of this.#frames(this.#rowsAt, this.#rowsEnd)) yield this.#listIn(frame)
  }

  close(): void {
    fs.closeSync(this.#fd)
  }

  async #checkFormat(): Promise<void> {
    const head = Buffer.alloc(HEAD_AT)
    const length = await readAt(this.#fd, head, 0)
    if (length < HEAD_AT || !head.subarray(0, MAGIC.length).equals(MAGIC)) {
      throw new BackupError(this.file, this.#size === 0 ? 'is empty' : 'is no backup')
    }
    const format = head.readUInt32LE(MAGIC.length)
    if (format !== BACKUP_FORMAT) {
      throw new BackupError(this.file, `is of format ${format}, and this version reads format ${BACKUP_FORMAT}`)
    }
  }

  async *#frames(from: number, to: number): AsyncGenerator<Frame, void, void> {
    for await (const frame of scanFrames({ fd: this.#fd, salt: SALT }, from, to)) {
      if (frame.kind !== 'gap') yield frame as Frame
      else throw this.#damagedAt(frame.offset, frame.end === this.#size)
    }
  }

  #damagedAt(offset: number, isLast = false): BackupError {
    const what = isLast ? `is damaged or cut off at byte ${offset}` : `is damaged at byte ${offset}`
    return new BackupError(this.file, `${what} of ${this.#size}`)
  }

  #listIn({ bytes, from, to, offset }: Frame): RowList {
    const reader = new RecordReader(bytes, from, to)
    const table = reader.varint()
    const rows: Buffer[] = []
    for (let left = reader.varint(); left > 0; left--) {
      const length = reader.varint()
      rows.push(bytes.subarray(reader.at, reader.at + length))
      reader.at += length
    }
    if (reader.at !== to || table >= this.info.tables.length) throw this.#damagedAt(offset)
    return { table, rows, offset }
  }

  async #sha256(): Promise<string> {
    const hash = createHash('sha256')
    const buffer = Buffer.allocUnsafeSlow(1 << 20)
    for (let at = this.#rowsAt; at < this.#rowsEnd; ) {
      const length = await readAt(this.#fd, buffer.subarray(0, Math.min(buffer.length, this.#rowsEnd - at)), at)
      if (length === 0) break
      hash.update(buffer.subarray(0, length))
      at += length
    }
    return hash.digest('hex')
  }
}

/** What a backup holds, after reading it through. */
export async function backupInfo(file: string): Promise<BackupInfo> {
  const reader = await openBackup(file)
  reader.close()
  return reader.info
}

export interface TraversedRow {
  readonly table: string
  /** The row; its bytes when the table has a form of its own and `bytes` does not say which. */
  readonly row: unknown
}

export interface TraverseOptions {
  /** Names of the tables that are wanted. @default all */
  readonly tables?: readonly string[]
  /** How rows of tables whose definition says so are bytes. */
  readonly bytes?: (table: string) => RowBytes<unknown> | undefined
}

/** The rows of a backup, one by one. Rejects with a `BackupError` before the first when the file is damaged anywhere. */
export async function* traverseBackup(
  file: string,
  options: TraverseOptions = {},
): AsyncGenerator<TraversedRow, void, void> {
  const reader = await openBackup(file)
  try {
    for await (const { table, rows, offset } of reader.lists()) {
      const { name, bytes: kind } = reader.info.tables[table]!
      if (options.tables?.includes(name) === false) continue
      const bytes = kind === 'term' ? termBytes<unknown>() : options.bytes?.(name)
      for (const row of rows) {
        yield { table: name, row: bytes === undefined ? Buffer.from(row) : decodeRow(file, offset, name, bytes, row) }
      }
    }
  } finally {
    reader.close()
  }
}

/**
 * Writes a backup of the rows of another one, each changed to any number of rows: none drops it
 * [OTP mnesia:traverse_backup/4 with a target].
 */
export async function rewriteBackup(
  source: string,
  target: string,
  change: (row: unknown, table: string) => readonly unknown[],
  options: TraverseOptions = {},
): Promise<BackupInfo> {
  const reader = await openBackup(source)
  try {
    const tables = reader.info.tables.filter(({ name }) => options.tables?.includes(name) !== false)
    const sources = tables.map((table): RowsToWrite => {
      const bytes = table.bytes === 'term' ? termBytes<unknown>() : options.bytes?.(table.name)
      if (bytes === undefined)
        throw new BackupError(source, `rows of ${table.name} have a form of their own, which has to be given`)
      return {
        table: { ...table, rows: 0 },
        lists: async function* () {
          for await (const { table: number, rows, offset } of reader.lists()) {
            if (reader.info.tables[number]!.name !== table.name) continue
            yield rows.flatMap((row) =>
              change(decodeRow(source, offset, table.name, bytes, row), table.name).map((changed) =>
                bytes.encode(changed),
              ),
            )
          }
        },
      }
    })
    return await writeBackup(target, reader.info, sources)
  } finally {
    reader.close()
  }
}

/** Throws a `BackupError` for bytes that are no row. */
export function decodeRow(file: string, offset: number, table: string, bytes: RowBytes<unknown>, row: Buffer): unknown {
  try {
    return bytes.decode(row)
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error)
    throw new BackupError(file, `a row of ${table} at byte ${offset} is none: ${problem}`, { cause: error })
  }
}

function textOf({ bytes, from, to }: Frame): string {
  return bytes.toString('utf8', from, to)
}

function openFile(file: string): number {
  try {
    return fs.openSync(file, 'r')
  } catch (error) {
    throw cannotRead(file, error)
  }
}

function cannotRead(file: string, error: unknown): BackupError {
  const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
  const problem = isMissing
    ? 'there is no such file'
    : `cannot be read: ${error instanceof Error ? error.message : String(error)}`
  return new BackupError(file, problem, { cause: error })
}
