/**
 * Tables as text, and back [OTP mnesia:dump_to_textfile/1, load_textfile/1]: to read, to compare, to edit.
 *
 *     agner tables, text format 1, of n1@127.0.0.1 at 2026-11-26T12:00:00.000Z
 *     table {"name":"users","type":"set","key":"username","replication":"shared","copies":"disc_copies"}
 *     {"username":"ada","passwordHash":"…","createdAtMs":1795608000000}
 *     end
 *
 * A table is a line of its own, and a row is one: JSON with the additions of text-values.ts, sorted by key. Empty lines and lines that begin with `#`
 * mean nothing. The last line is `end`, so that a file which has lost its rest is noticed.
 */
import { isUtf8 } from 'node:buffer'
import fs from 'node:fs'
import type { TableDefinition } from '../definition.ts'
import { BackupError } from '../errors.ts'
import { NewFile } from '../store/new-file.ts'
import type { BackupOptions } from './backup.ts'
import type { BackupTable } from './backup-file.ts'
import { type RestoreOptions, type RestoreResult, restoreFrom, type SourceList } from './restore.ts'
import { snapshot } from './snapshot.ts'
import { rowFromText, rowToText } from './text-values.ts'

const FORMAT = 1
const BEGINNING = 'agner tables, text format '
const END = 'end'
const WRITE_CHARACTERS = 128 << 10
const ROWS_AT_A_TIME = 500
const NEWLINE = 10

export type DumpOptions = Omit<BackupOptions, 'cluster'>

/** Writes tables as they are now, as text. Resolves with the number of rows of each; rejects with a `BackupError`. */
export async function dumpToText({
  file,
  tables,
  node,
  now,
}: DumpOptions): Promise<readonly { name: string; rows: number }[]> {
  const taken = tables.map((table) => snapshot(table, node))
  let out: TextWriter | undefined
  try {
    out = new TextWriter(file)
    await out.line(`${BEGINNING}${FORMAT}, of ${node} at ${new Date(now).toISOString()}`)
    const written: { name: string; rows: number }[] = []
    for (const [i, { definition }] of tables.entries()) {
      const { name, type, key, replication, copies } = definition
      await out.line(`table ${JSON.stringify({ name, type, key, replication, copies })}`)
      let count = 0
      for await (const rows of taken[i]!.lists()) {
        for (const row of rows) await out.line(rowToText(row))
        count += rows.length
      }
      written.push({ name, rows: count })
    }
    await out.line(END)
    await out.finish()
    return written
  } catch (error) {
    out?.abandon()
    throw new BackupError(file, `cannot be written: ${messageOf(error)}`, { cause: error })
  } finally {
    for (const each of taken) each.end()
  }
}

/**
 * Brings the rows of a text into tables, as `restore` does those of a backup. Rejects with a `BackupError` that names the line; when
 * something is wrong with any of them nothing has been changed.
 */
export async function loadText(options: RestoreOptions): Promise<RestoreResult> {
  const { file } = options
  const tables = await tablesIn(file)
  return restoreFrom(options, {
    file,
    tables,
    lists: (definitions) => listsIn(file, definitions),
    close: () => undefined,
  })
}

type TextTable = Pick<BackupTable, 'name' | 'type' | 'key'>

/** Reads the lines that matter: that of the format, those of tables, and the last. */
async function tablesIn(file: string): Promise<TextTable[]> {
  const tables: TextTable[] = []
  let isEnded = false
  let number = 0
  for await (const line of lines(file)) {
    number = line.number
    if (line.number === 1) checkFormat(file, line.text)
    else if (isEnded) throw new BackupError(file, `line ${line.number}: behind the end`)
    else if (line.text === END) isEnded = true
    else if (line.text.startsWith('table ')) tables.push(tableIn(file, line))
    else if (tables.length === 0) throw new BackupError(file, `line ${line.number}: a row before the first table`)
  }
  if (number === 0) throw new BackupError(file, 'is empty')
  if (!isEnded) throw new BackupError(file, `ends with line ${number} and not with '${END}': it is not complete`)
  return tables
}

async function* listsIn(
  file: string,
  definitions: readonly (TableDefinition<unknown> | undefined)[],
): AsyncGenerator<SourceList, void, void> {
  let table = -1
  let rows: unknown[] = []
  let first = 0
  const list = (): SourceList => ({ table, rows, where: `in line ${first} or after` })
  for await (const { number, text } of lines(file)) {
    const isRow = number > 1 && text !== END && !text.startsWith('table ')
    if ((!isRow || rows.length >= ROWS_AT_A_TIME) && rows.length > 0) {
      yield list()
      rows = []
    }
    if (!isRow) {
      if (text.startsWith('table ')) table++
      continue
    }
    if (definitions[table] === undefined) continue
    if (rows.length === 0) first = number
    rows.push(rowIn(file, number, text))
  }
}

function rowIn(file: string, number: number, text: string): unknown {
  try {
    return rowFromText(text)
  } catch (error) {
    throw new BackupError(file, `line ${number}: no row: ${messageOf(error)}`, { cause: error })
  }
}

function checkFormat(file: string, text: string): void {
  if (!text.startsWith(BEGINNING))
    throw new BackupError(file, `is no text of tables: it should begin with '${BEGINNING}${FORMAT}'`)
  const format = Number.parseInt(text.slice(BEGINNING.length), 10)
  if (format !== FORMAT) throw new BackupError(file, `is of format ${format}, and this version reads format ${FORMAT}`)
}

function tableIn(file: string, { number, text }: Line): TextTable {
  try {
    const table = JSON.parse(text.slice('table '.length)) as Partial<TextTable>
    const { name, type, key } = table
    if (typeof name === 'string' && typeof type === 'string' && typeof key === 'string') return { name, type, key }
  } catch {
    // Told below.
  }
  throw new BackupError(file, `line ${number}: no table: it should be table {"name":…,"type":…,"key":…}`)
}

interface Line {
  readonly number: number
  readonly text: string
}

/** The lines that mean something. */
async function* lines(file: string): AsyncGenerator<Line, void, void> {
  let number = 0
  let begun: Buffer[] = []
  const lineOf = (bytes: Buffer): Line | undefined => {
    number++
    if (!isUtf8(bytes)) throw new BackupError(file, `line ${number}: no UTF-8`)
    const text = bytes.toString().trim()
    return text === '' || text.startsWith('#') ? undefined : { number, text }
  }
  try {
    for await (const chunk of fs.createReadStream(file, { highWaterMark: 256 << 10 }) as AsyncIterable<Buffer>) {
      let from = 0
      for (let to = chunk.indexOf(NEWLINE); to >= 0; to = chunk.indexOf(NEWLINE, from)) {
        begun.push(chunk.subarray(from, to))
        const line = lineOf(begun.length === 1 ? begun[0]! : Buffer.concat(begun))
        if (line !== undefined) yield line
        begun = []
        from = to + 1
      }
      if (from < chunk.length) begun.push(chunk.subarray(from))
    }
  } catch (error) {
    if (error instanceof BackupError) throw error
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new BackupError(file, isMissing ? 'there is no such file' : `cannot be read: ${messageOf(error)}`, {
      cause: error,
    })
  }
  const last = begun.length > 0 ? lineOf(Buffer.concat(begun)) : undefined
  if (last !== undefined) yield last
}

class TextWriter {
  readonly #file: NewFile
  #waiting: string[] = []
  #characters = 0
  #offset = 0

  /** Throws the error of the system call. */
  constructor(path: string) {
    this.#file = new NewFile(path)
  }

  async line(text: string): Promise<void> {
    this.#waiting.push(text)
    this.#characters += text.length
    if (this.#characters >= WRITE_CHARACTERS) await this.#write()
  }

  async finish(): Promise<void> {
    await this.#write()
    await this.#file.finish()
  }

  abandon(): void {
    this.#file.abandon()
  }

  async #write(): Promise<void> {
    const bytes = Buffer.from(`${this.#waiting.join('\n')}\n`)
    this.#waiting = []
    this.#characters = 0
    await this.#file.write([bytes], this.#offset)
    this.#offset += bytes.length
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
