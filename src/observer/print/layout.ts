/**
 * Values as nested pieces of text, and their way onto lines: a group that fits into the rest of a line stays on it, else each of
 * its items has a line of its own; short items without labels are packed.
 */
import { width } from './text.ts'

/** A piece of text, or a group of them. */
export type Piece = string | Group

export interface Group {
  readonly open: string
  readonly close: string
  readonly items: readonly Item[]
  /** Spaces inside of the brackets when it is on one line. */
  readonly spaced: boolean
}

export interface Item {
  /** `key: `, `key => `, or nothing. */
  readonly label: string
  readonly value: Piece
  /** What stands before it; a comma unless told. */
  readonly separator?: string
}

const INDENT = 2
/** Longest item that is packed with others on a line. */
const PACKED = 16

/** The text of a piece that begins at column `at`. */
export function lay(piece: Piece, columns: number, at: number): string {
  if (typeof piece === 'string') return piece
  const line = flat(piece, columns - at)
  if (line !== undefined) return line
  const indent = INDENT + at
  const inner = `\n${' '.repeat(indent)}`
  const rows = isPackable(piece)
    ? packed(piece, columns - indent)
    : piece.items.map((item) => layItem(item, columns, indent))
  return `${piece.open}${rows.map((row, index) => inner + row + separatorAfter(piece, rows, index)).join('')}\n${' '.repeat(at)}${piece.close}`
}

function layItem({ label, value }: Item, columns: number, indent: number): string {
  if (typeof value === 'string') return label + value
  const line = flat(value, columns - indent - width(label))
  return label + (line ?? lay(value, columns, indent))
}

function separatorAfter(group: Group, rows: readonly string[], index: number): string {
  if (index === rows.length - 1) return ''
  const next = rows.length === group.items.length ? group.items[index + 1] : undefined
  return next?.separator === undefined ? ',' : next.separator.trimEnd()
}

/** On one line, when it fits into so many columns. */
export function flat(piece: Piece, columns: number): string | undefined {
  if (columns < 0) return undefined
  if (typeof piece === 'string') return width(piece) <= columns && !piece.includes('\n') ? piece : undefined
  const { open, close, items, spaced } = piece
  if (items.length === 0) return open + close
  const space = spaced ? ' ' : ''
  let line = open + space
  for (const [index, { label, value, separator = ', ' }] of items.entries()) {
    const text = flat(value, columns - width(line))
    if (text === undefined) return undefined
    line += (index === 0 ? '' : separator) + label + text
    if (width(line) > columns) return undefined
  }
  line += space + close
  return width(line) <= columns ? line : undefined
}

function isPackable({ items }: Group): boolean {
  return items.every(
    ({ label, value, separator }) =>
      label === '' && separator === undefined && typeof value === 'string' && width(value) <= PACKED,
  )
}

function packed({ items }: Group, columns: number): string[] {
  const rows: string[] = []
  let row = ''
  for (const { value } of items) {
    const text = value as string
    const longer = row === '' ? text : `${row}, ${text}`
    if (row !== '' && width(longer) > columns) {
      rows.push(row)
      row = text
    } else {
      row = longer
    }
  }
  rows.push(row)
  return rows
}
