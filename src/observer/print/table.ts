/**
 * Lists of rows as tables: any array of plain objects with the same properties, wherever it comes from, so that what a user has
 * filtered or mapped at the prompt is still a table.
 */
import { Pid } from '../../actors/pid.ts'
import { Ref } from '../../actors/ref.ts'
import { Atom, Tuple } from '../../dist/term.ts'
import { isMasked, masked } from './mask.ts'
import { cut, padded, safe, width } from './text.ts'

/** A row with more columns is no row of a table. */
const MAX_COLUMNS = 14
const MAX_ROWS = 1000
/** Values within values are columns as long as they are so short. */
const MAX_NESTED = 48
const MIN_WIDTH = 8
const GAP = '  '

interface Column {
  readonly title: string
  readonly cells: string[]
  readonly isNumeric: boolean
}

/** The table of a list of rows; undefined when the value is none. */
export function tableOf(
  value: unknown,
  { columns: room, unmask = false }: { readonly columns: number; readonly unmask?: boolean },
  inline: (cell: unknown) => string,
): string | undefined {
  const names = columnsOf(value)
  if (names === undefined) return undefined
  const rows = (value as readonly Readonly<Record<string, unknown>>[]).slice(0, MAX_ROWS)
  const columns: Column[] = []
  for (const name of names) {
    const cells: string[] = []
    for (const { [name]: cell } of rows) {
      const text = !unmask && isMasked(name) ? masked(cell) : cellText(cell, inline)
      if (isNested(cell) && text.length > MAX_NESTED) return undefined
      cells.push(text)
    }
    const isNumeric = rows.every(({ [name]: cell }) => cell === undefined || typeof cell === 'number')
    columns.push({ title: title(name), cells, isNumeric })
  }
  return lines(columns, rows.length, room).join('\n')
}

/** The names of the columns, in the order in which they come. */
function columnsOf(value: unknown): string[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined
  const names = new Set<string>()
  for (const row of value as readonly unknown[]) {
    if (!isPlain(row)) return undefined
    for (const name of Object.keys(row)) names.add(name)
    if (names.size > MAX_COLUMNS) return undefined
  }
  const isRow = (row: object): boolean => Object.keys(row).length * 2 > names.size
  return names.size > 0 && value.every(isRow) ? [...names] : undefined
}

/** An object literal, of this realm or of the one of the prompt. */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function isNested(cell: unknown): boolean {
  if (typeof cell !== 'object' || cell === null) return false
  return !(cell instanceof Pid || cell instanceof Ref || cell instanceof Atom || cell instanceof Uint8Array)
}

function cellText(cell: unknown, inline: (cell: unknown) => string): string {
  if (cell === undefined) return ''
  if (typeof cell === 'string') return safe(cell)
  if (Array.isArray(cell) && cell.every((part) => typeof part === 'string')) return cell.map(safe).join(' ')
  return cell instanceof Tuple || typeof cell === 'object' ? inline(cell) : String(cell)
}

/** `redsPerSec` is the column REDS PER SEC. */
function title(name: string): string {
  return safe(name)
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toUpperCase()
}

function lines(columns: readonly Column[], rows: number, room: number): string[] {
  const widths = fitted(
    columns.map(({ title: name, cells }) => Math.max(width(name), ...cells.map(width))),
    columns.map(({ isNumeric }) => isNumeric),
    room - GAP.length * (columns.length - 1),
  )
  const line = (cellOf: (column: Column) => string): string =>
    columns
      .map((column, at) => padded(cut(cellOf(column), widths[at]!), widths[at]!, column.isNumeric ? 'right' : 'left'))
      .join(GAP)
      .trimEnd()
  const body = Array.from({ length: rows }, (_, row) => line(({ cells }) => cells[row]!))
  return [line(({ title: name }) => name), ...body]
}

/** Takes from the widest texts until all fits, and no text below what can be read. */
function fitted(widths: readonly number[], isNumeric: readonly boolean[], room: number): number[] {
  const columns = [...widths]
  for (let over = columns.reduce((sum, one) => sum + one, 0) - room; over > 0; over--) {
    let widest = -1
    for (const [at, one] of columns.entries()) {
      if (!isNumeric[at] && one > MIN_WIDTH && (widest < 0 || one > columns[widest]!)) widest = at
    }
    if (widest < 0) break
    columns[widest]!--
  }
  return columns
}
