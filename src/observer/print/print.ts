/**
 * Prints any value that a command may return: terms of Erlang in Erlang's notation, plain data in JavaScript's, lists of rows as
 * tables, trees as trees. Pure: the same value and options give the same text.
 *
 * What is long is cut and says how much there was; `rp` prints it in full. Payloads and secrets are masked by their names.
 */
import { inspect, types } from 'node:util'
import { Pid } from '../../actors/pid.ts'
import { Ref } from '../../actors/ref.ts'
import { Atom, BitBinary, Export, Float, Fun, ImproperList, Port, Tuple } from '../../dist/term.ts'
import { flat, type Group, type Item, lay, type Piece } from './layout.ts'
import { isMasked, masked } from './mask.ts'
import { tableOf } from './table.ts'
import { binary, cut, quoted, safe } from './text.ts'
import { tree } from './tree.ts'
import { viewOf } from './view.ts'

export interface PrintOptions {
  /** Width of a line. */
  readonly columns: number
  /** How a pid is written; on its own node it is `<0.12.0>`. */
  readonly pid: (pid: Pid) => string
  /** Nothing is cut. @default false */
  readonly full?: boolean
  /** Payloads and secrets are shown. @default false */
  readonly unmask?: boolean
  /** Lists of printable characters are texts, as Erlang prints them. @default false */
  readonly charlists?: boolean
}

const MAX_DEPTH = 4
const MAX_ITEMS = 100
const MAX_CHARACTERS = 10_000
const MAX_STRING = 1000
const FULL = Number.POSITIVE_INFINITY

/** The text of a value, without a newline at its end. */
export function print(value: unknown, options: PrintOptions): string {
  const view = viewOf(value)
  const note = view?.note === undefined ? '' : `\n${view.note}`
  if (view?.as === 'text') return String((value as { readonly text: string }).text) + note
  if (view?.as === 'tree') return tree(value, options) + note
  const asTable = tableOf(value, options, (cell) => inline(cell, { ...options, full: true, columns: FULL }))
  if (asTable !== undefined) return asTable + note
  return lay(new Printer(options).piece(value, 0), options.columns, 0) + note
}

/** Longest text of a value on one line. */
const MAX_INLINE = 120

/** The value on one line, cut where that gets too long. */
export function inline(value: unknown, options: Partial<PrintOptions> = {}): string {
  const { columns = MAX_INLINE } = options
  const piece = new Printer({ columns, pid: (pid) => pid.toJSON(), ...options }).piece(value, 0)
  return cut(flat(piece, FULL)!, columns)
}

class Printer {
  readonly #options: PrintOptions
  readonly #above: object[] = []
  /** Characters that may still be made. */
  #left: number

  constructor(options: PrintOptions) {
    this.#options = options
    this.#left = options.full ? FULL : MAX_CHARACTERS
  }

  piece(value: unknown, depth: number): Piece {
    const piece = this.#pieceOf(value, depth)
    if (typeof piece === 'string') this.#left -= piece.length
    return piece
  }

  #pieceOf(value: unknown, depth: number): Piece {
    switch (typeof value) {
      case 'string':
        return this.#string(value)
      case 'bigint':
        return `${value}n`
      case 'object':
        return value === null ? 'null' : (this.#scalar(value) ?? this.#nested(value, depth))
      case 'function':
        return value.name === '' ? '[function]' : `[function ${safe(value.name)}]`
      default:
        return String(value)
    }
  }

  #string(text: string): string {
    const max = this.#options.full ? FULL : MAX_STRING
    return text.length <= max ? quoted(text) : `${quoted(text.slice(0, max))} … ${text.length - max} more characters`
  }

  /** Objects that are one value. */
  #scalar(value: object): string | undefined {
    if (value instanceof Pid) return this.#options.pid(value)
    if (value instanceof Ref || value instanceof Port) return value.toString()
    if (value instanceof Atom) return atomText(value.name)
    if (value instanceof Uint8Array) return binary(value, this.#options.full ? FULL : MAX_STRING)
    if (value instanceof Float) return Number.isInteger(value.value) ? value.value.toFixed(1) : String(value.value)
    if (value instanceof BitBinary) return `${binary(value.bytes, MAX_STRING).slice(0, -2)}:${value.lastBits}>>`
    if (value instanceof Fun) return `#Fun/${value.arity}`
    if (value instanceof Export) {
      return `fun ${atomText(value.module.name)}:${atomText(value.function.name)}/${value.arity}`
    }
    if (types.isDate(value) || types.isRegExp(value) || types.isPromise(value))
      return safe(inspect(value, { depth: 0 }))
    if (types.isNativeError(value)) return `[${safe(value.name)}: ${safe(value.message)}]`
    return this.#options.charlists && isCharlist(value) ? `"${safe(String.fromCodePoint(...value))}"` : undefined
  }

  #nested(value: object, depth: number): Piece {
    const { open, close, spaced } = bracketsOf(value)
    if (this.#above.includes(value)) return '[circular]'
    if (!this.#options.full && depth >= MAX_DEPTH) return `${open}…${close}`
    this.#above.push(value)
    const items = this.#items(value, depth)
    this.#above.pop()
    return { open, close, items, spaced } satisfies Group
  }

  #items(value: object, depth: number): Item[] {
    const items: Item[] = []
    const parts = partsOf(value)
    let count = 0
    for (const part of parts) {
      if (!this.#options.full && (count >= MAX_ITEMS || this.#left <= 0)) break
      count++
      items.push(this.#item(part, depth + 1))
    }
    const more = sizeOf(value) - count
    if (more > 0) items.push({ label: '', value: `… ${more} more` })
    if (value instanceof ImproperList) {
      items.push({ label: '', separator: ' | ', value: this.piece(value.tail, depth + 1) })
    }
    return items
  }

  #item(part: Part, depth: number): Item {
    if (part.key === undefined) return { label: '', value: this.piece(part.value, depth) }
    if (!part.isProperty) {
      const key = flat(this.piece(part.key, depth), FULL)!
      return { label: `${key} => `, value: this.piece(part.value, depth) }
    }
    const key = part.key as string
    const label = `${/^[A-Za-z_$][\w$]*$/.test(key) ? key : quoted(key)}: `
    this.#left -= label.length
    if (!this.#options.unmask && isMasked(key)) return { label, value: masked(part.value) }
    return { label, value: this.piece(part.value, depth) }
  }
}

/** An element, an entry of a map or a property. */
interface Part {
  readonly key?: unknown
  readonly isProperty?: boolean
  readonly value: unknown
}

function* partsOf(value: object): Generator<Part> {
  if (value instanceof Tuple || value instanceof ImproperList) {
    for (const element of value.elements) yield { value: element }
  } else if (Array.isArray(value) || types.isSet(value)) {
    for (const element of value as Iterable<unknown>) yield { value: element }
  } else if (types.isMap(value)) {
    for (const [key, element] of value as ReadonlyMap<unknown, unknown>) yield { key, value: element }
  } else {
    for (const key of Object.keys(value)) {
      yield { key, isProperty: true, value: (value as Readonly<Record<string, unknown>>)[key] }
    }
  }
}

function sizeOf(value: object): number {
  if (value instanceof Tuple || value instanceof ImproperList) return value.elements.length
  if (Array.isArray(value)) return value.length
  return types.isSet(value) || types.isMap(value) ? value.size : Object.keys(value).length
}

/** Terms of Erlang have no space inside of theirs. */
function bracketsOf(value: object): { readonly open: string; readonly close: string; readonly spaced: boolean } {
  if (value instanceof Tuple) return { open: '{', close: '}', spaced: false }
  if (value instanceof ImproperList) return { open: '[', close: ']', spaced: false }
  if (types.isMap(value)) return { open: '#{', close: '}', spaced: false }
  if (types.isSet(value)) return { open: 'Set {', close: '}', spaced: true }
  return Array.isArray(value) ? { open: '[', close: ']', spaced: true } : { open: '{', close: '}', spaced: true }
}

/** As Erlang writes it when it needs no quotes; else in a form that can be pasted. */
function atomText(name: string): string {
  return /^[a-z][\w@]*$/.test(name) ? name : `atom(${quoted(name)})`
}

function isCharlist(value: object): value is number[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= MAX_STRING &&
    value.every(
      (code) => typeof code === 'number' && Number.isInteger(code) && code >= 32 && code < 0xd800 && code !== 127,
    )
  )
}
