/**
 * Rows as bytes, for every table whose definition brings no `RowBytes` of its own: one version byte, then a term.
 *
 * The external term format carries most of what a row holds: strings, numbers, bigints, lists, objects with undefined fields, Buffers, atoms,
 * tuples, pids and references. What it has no form for, or gives back as something else, travels as a tuple that begins
 * with the atom `$row`: the infinities and NaN, Maps, Sets, Dates, Uint8Arrays that are no Buffers, bigints that are safe numbers, objects
 * with keys that are no atoms or without a prototype, and text with half a surrogate pair. A row with none of these is encoded as it is, after one look
 * through it. So a row comes back exactly as it went; only holes of arrays come back as undefined.
 *
 * Bytes in a decoded row are copies: a row is kept for long, and must not keep a chunk of the wire or a page of the disc.
 */
import { type Atom, AtomQuota, atom } from '../dist/atom-table.ts'
import { Decoder } from '../dist/etf-decode.ts'
import { Encoder } from '../dist/etf-encode.ts'
import { ImproperList, Tuple } from '../dist/term.ts'
import type { RowBytes } from './definition.ts'
import { RowBytesError } from './errors.ts'

const VERSION = 1
const ESCAPE = atom('$row')
const MAX_KEY = 255
// The codec allows as much; beyond it the encoder says what is wrong.
const MAX_DEPTH = 1000
// Encoded rows are slices of slabs of this size: small, since a row in a log may be the last of its slab.
const SLAB_BYTES = 4096

/**
 * Rows as terms of the external term format. `encode` throws `UnsendableError` for a row that holds a function or an instance of
 * a class; `decode` throws `RowBytesError`.
 */
export function termBytes<Row>(): RowBytes<Row> {
  return TERM_BYTES as RowBytes<Row>
}

const encoder = new Encoder({ slabBytes: SLAB_BYTES })
// Atoms of rows count for no peer: whoever may write rows is a member. Nobody's pids are this decoder's own.
const decoder = new Decoder({
  node: { name: '', creation: 0 },
  quota: new AtomQuota(Number.POSITIVE_INFINITY),
  copiesBinaries: true,
})

const TERM_BYTES: RowBytes<unknown> = {
  encode: (row) => {
    encoder.truncate(0)
    encoder.byte(VERSION)
    encoder.write(toTerm(row, MAX_DEPTH))
    return encoder.take()
  },
  decode: (bytes) => {
    if (bytes[0] !== VERSION) {
      throw new RowBytesError(
        bytes.length === 0
          ? 'no bytes where a row should be'
          : `row of format ${bytes[0]}; this version reads ${VERSION}`,
      )
    }
    const decoded = decoder.decodeBare(bytes, 1)
    if (!decoded.ok) throw new RowBytesError(`damaged row: ${decoded.error.reason} at byte ${decoded.error.at}`)
    if (decoded.end !== bytes.length)
      throw new RowBytesError(`damaged row: ${bytes.length - decoded.end} bytes too many`)
    return fromTerm(decoded.value)
  },
}

/** The value itself when the codec gives it back as it is. */
function toTerm(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return isWellFormed(value) ? value : escaped('utf16', Buffer.from(value, 'utf16le'))
    case 'number':
      return Number.isFinite(value) ? value : escaped('number', String(value))
    case 'bigint':
      return isSafe(value) ? escaped('bigint', Number(value)) : value
    case 'object':
      return value === null || depth === 0 ? value : objectToTerm(value, depth - 1)
    default:
      return value
  }
}

function objectToTerm(value: object, depth: number): unknown {
  if (Array.isArray(value)) return listToTerm(value, depth)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) return plainToTerm(value as Record<string, unknown>, depth)
  if (prototype === null) return escaped('dictionary', entriesOf(value as Record<string, unknown>, depth))
  if (value instanceof Uint8Array) return Buffer.isBuffer(value) ? value : escaped('bytes', asBuffer(value))
  if (value instanceof Tuple) {
    const elements = listToTerm(value.elements, depth)
    if (value.elements[0] === ESCAPE) return escaped('tuple', elements)
    return elements === value.elements ? value : new Tuple(elements)
  }
  if (value instanceof Map) return escaped('map', listToTerm([...value].flat(), depth))
  if (value instanceof Set) return escaped('set', listToTerm([...value], depth))
  if (value instanceof Date) return escaped('date', toTerm(value.getTime(), depth))
  if (value instanceof ImproperList) {
    return new ImproperList(listToTerm(value.elements, depth), toTerm(value.tail, depth))
  }
  return value
}

function listToTerm(values: readonly unknown[], depth: number): readonly unknown[] {
  let changed: unknown[] | undefined
  for (let i = 0; i < values.length; i++) {
    const term = toTerm(values[i], depth)
    if (changed !== undefined) changed.push(term)
    else if (term !== values[i]) changed = [...values.slice(0, i), term]
  }
  return changed ?? values
}

function plainToTerm(object: Readonly<Record<string, unknown>>, depth: number): unknown {
  const keys = Object.keys(object)
  let changed: Record<string, unknown> | undefined
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!
    if (key.length > MAX_KEY || key === '__proto__' || !isWellFormed(key)) {
      return escaped('object', entriesOf(object, depth))
    }
    const term = toTerm(object[key], depth)
    if (changed === undefined && term !== object[key]) changed = { ...object }
    if (changed !== undefined) changed[key] = term
  }
  return changed ?? object
}

/** Keys and values in turn. */
function entriesOf(object: Readonly<Record<string, unknown>>, depth: number): unknown {
  return listToTerm(Object.entries(object).flat(), depth)
}

function escaped(kind: string, content: unknown): Tuple {
  return new Tuple([ESCAPE, atom(kind), content])
}

/** Undoes `toTerm`, in place: the term has been made by the decoder, so nobody else has it. */
function fromTerm(term: unknown): unknown {
  return typeof term === 'object' && term !== null ? fromObject(term) : term
}

function fromObject(term: object): unknown {
  if (Array.isArray(term)) return fromList(term)
  if (Object.getPrototypeOf(term) === Object.prototype) {
    const object = term as Record<string, unknown>
    for (const key of Object.keys(object)) {
      const value = object[key]
      if (typeof value === 'object' && value !== null) object[key] = fromObject(value)
    }
    return object
  }
  if (term instanceof Uint8Array) return term
  if (term instanceof Tuple) {
    const { elements } = term
    if (elements[0] !== ESCAPE) return new Tuple(fromList(elements as unknown[]))
    if (elements.length !== 3) throw new RowBytesError('damaged row: an escape that is none')
    return unescaped((elements[1] as Atom | undefined)?.name, elements[2])
  }
  if (term instanceof Map) return mapOf(fromList([...term].flat()))
  if (term instanceof ImproperList) return new ImproperList(fromList([...term.elements]), fromTerm(term.tail))
  return term
}

function fromList(terms: unknown[]): unknown[] {
  for (let i = 0; i < terms.length; i++) {
    const term = terms[i]
    if (typeof term === 'object' && term !== null) terms[i] = fromObject(term)
  }
  return terms
}

function unescaped(kind: unknown, content: unknown): unknown {
  switch (kind) {
    case 'utf16':
      return bytesIn(content).toString('utf16le')
    case 'number':
      if (content === 'Infinity' || content === '-Infinity' || content === 'NaN') return Number(content)
      break
    case 'bigint':
      if (Number.isSafeInteger(content)) return BigInt(content as number)
      break
    case 'bytes':
      return new Uint8Array(bytesIn(content))
    case 'tuple':
      return new Tuple(listIn(content))
    case 'map':
      return mapOf(pairsIn(content))
    case 'set':
      return new Set(listIn(content))
    case 'date': {
      const ms = fromTerm(content)
      if (typeof ms === 'number') return new Date(ms)
      break
    }
    case 'object':
      return objectOf({}, pairsIn(content))
    case 'dictionary':
      return objectOf(Object.create(null), pairsIn(content))
  }
  throw new RowBytesError('damaged row: an escape that is none, or of a later format')
}

function listIn(content: unknown): unknown[] {
  if (!Array.isArray(content)) throw new RowBytesError('damaged row: a list is missing')
  return fromList(content)
}

function pairsIn(content: unknown): unknown[] {
  const flat = listIn(content)
  if (flat.length % 2 !== 0) throw new RowBytesError('damaged row: a key without a value')
  return flat
}

function bytesIn(content: unknown): Buffer {
  if (!(content instanceof Uint8Array)) throw new RowBytesError('damaged row: bytes are missing')
  return asBuffer(content)
}

function mapOf(flat: readonly unknown[]): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>()
  for (let i = 0; i < flat.length; i += 2) map.set(flat[i], flat[i + 1])
  return map
}

function objectOf(object: object, flat: readonly unknown[]): object {
  for (let i = 0; i < flat.length; i += 2) {
    const key = flat[i]
    if (typeof key !== 'string') throw new RowBytesError('damaged row: a key that is no text')
    // Defined and not assigned: an assignment to `__proto__` would change the prototype.
    Object.defineProperty(object, key, {
      value: flat[i + 1],
      configurable: true,
      enumerable: true,
      writable: true,
    })
  }
  return object
}

function isSafe(value: bigint): boolean {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
}

/** False for text with half a surrogate pair, which UTF-8 cannot carry. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed()
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
