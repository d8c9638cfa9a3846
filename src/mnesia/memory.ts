/**
 * What the rows of a table take in memory, about: JavaScript does not tell, so some rows are looked at, and the rest is taken to be like them.
 *
 * Sizes are those of V8 on 64 bits. Strings and objects that rows share are counted for each of them.
 */
import type { TableReader } from './table.ts'

const WORD = 8
/** Enough for a mean. */
const SAMPLE = 100
/** A key's entry in a map of rows, in words. */
const ENTRY_WORDS = 5
/** Of a shared table: the stamp of the row. */
const STAMP_WORDS = 3
/** Of a table of compact rows: what a record in a page takes beside its key. */
const COMPACT_BYTES = 18
/** An empty table. */
const TABLE_BYTES = 2048

/** Bytes, estimated. */
export function memoryOf(table: TableReader<unknown>): number {
  const { replication, compact, key } = table.definition
  let count = 0
  let bytes = 0
  for (const row of table.rows()) {
    if (count === SAMPLE) break
    count++
    if (compact !== undefined) bytes += COMPACT_BYTES + String((row as Record<string, unknown>)[key]).length
    else bytes += heapBytes(row) + WORD * (ENTRY_WORDS + (replication === 'shared' ? STAMP_WORDS : 0))
  }
  return TABLE_BYTES + (count === 0 ? 0 : Math.round((bytes / count) * table.size))
}

function heapBytes(value: unknown): number {
  if (typeof value === 'string') return 2 * WORD + Math.ceil(value.length / WORD) * WORD
  if (typeof value === 'number') return Number.isInteger(value) && Math.abs(value) < 2 ** 31 ? 0 : 2 * WORD
  if (typeof value !== 'object' || value === null) return 0
  if (value instanceof Uint8Array) return 12 * WORD + value.length
  const isList = Array.isArray(value)
  const fields = isList ? value : value instanceof Map ? [...value].flat() : Object.values(value)
  return fields.reduce<number>((sum, field) => sum + WORD + heapBytes(field), (isList ? 4 : 3) * WORD)
}
