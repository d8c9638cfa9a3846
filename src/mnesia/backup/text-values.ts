/**
 * Rows as JSON that people read and compare, and back.
 *
 * What JSON has no form for is an object with one key that begins with `$`:
 *
 *     {"$":"undefined"}  {"$":"Infinity"}  {"$":"-Infinity"}  {"$":"NaN"}  {"$":"-0"}
 *     {"$text":"on"}                   bytes that are readable text
 *     {"$bytes":"AAH/"}                other bytes, in base64; {"$uint8":…} for a Uint8Array that is no Buffer
 *     {"$integer":"18446744073709551616"}   a bigint
 *     {"$map":[[key,value],…]}  {"$set":[…]}  {"$date":"2026-01-31T12:00:00.000Z"}
 *     {"$pid":["n1@127.0.0.1",3,12,0]}   node, creation, id, serial;  {"$ref":["n1@127.0.0.1",3,[7,0,0]]}
 *     {"$atom":"ok"}  {"$tuple":[…]}
 *     {"$object":[[key,value],…]}      an object that has a key beginning with `$`; {"$dictionary":…} for one without a prototype
 *     {"$term":"…"}                    anything else that a row may hold, encoded
 */
import { isUtf8 } from 'node:buffer'
import { Pid } from '../../actors/pid.ts'
import { Ref } from '../../actors/ref.ts'
import { Atom, atom, Tuple } from '../../dist/term.ts'
import { termBytes } from '../row-bytes.ts'

const { encode, decode } = termBytes<unknown>()
/** Letters, marks, digits, punctuation and plain spaces. */
const READABLE = /^[\P{C}\n\t]*$/u

/** A row as one line. Throws `UnsendableError` for a value that no row may hold. */
export function rowToText(row: unknown): string {
  return JSON.stringify(toJson(row))
}

/** The row of a line. Throws an Error that says what is wrong. */
export function rowFromText(text: string): unknown {
  return fromJson(JSON.parse(text))
}

function toJson(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { $: Object.is(value, -0) ? '-0' : String(value) }
    case 'undefined':
      return { $: 'undefined' }
    case 'bigint':
      return { $integer: String(value) }
    case 'object':
      return value === null ? null : objectToJson(value)
    default:
      return { $term: base64(encode(value)) }
  }
}

function objectToJson(value: object): unknown {
  if (Array.isArray(value)) return Array.from(value, toJson)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) {
    const entries = Object.entries(value)
    if (entries.some(([key]) => key.startsWith('$') || key === '__proto__')) return { $object: entriesToJson(entries) }
    return Object.fromEntries(entries.map(([key, each]) => [key, toJson(each)]))
  }
  if (prototype === null) return { $dictionary: entriesToJson(Object.entries(value)) }
  if (Buffer.isBuffer(value)) return bytesToJson(value)
  if (value instanceof Uint8Array) return { $uint8: base64(value) }
  if (value instanceof Map) return { $map: entriesToJson([...value]) }
  if (value instanceof Set) return { $set: Array.from(value, toJson) }
  if (value instanceof Date) return { $date: Number.isNaN(value.getTime()) ? null : value.toISOString() }
  if (value instanceof Pid) return { $pid: [value.node, value.creation, value.id, value.serial] }
  if (value instanceof Ref) return { $ref: [value.node, value.creation, value.words] }
  if (value instanceof Atom) return { $atom: value.name }
  if (value instanceof Tuple) return { $tuple: Array.from(value.elements, toJson) }
  return { $term: base64(encode(value)) }
}

function entriesToJson(entries: readonly (readonly [unknown, unknown])[]): unknown[] {
  return entries.map(([key, value]) => [toJson(key), toJson(value)])
}

function bytesToJson(bytes: Buffer): unknown {
  if (isUtf8(bytes)) {
    const text = bytes.toString()
    if (READABLE.test(text)) return { $text: text }
  }
  return { $bytes: base64(bytes) }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

const CONSTANTS: ReadonlyMap<unknown, unknown> = new Map<unknown, unknown>([
  ['undefined', undefined],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ['NaN', Number.NaN],
  ['-0', -0],
])

function fromJson(json: unknown): unknown {
  if (typeof json !== 'object' || json === null) return json
  if (Array.isArray(json)) return json.map(fromJson)
  const keys = Object.keys(json)
  const object = json as Record<string, unknown>
  if (keys.length === 1 && keys[0]!.startsWith('$')) return special(keys[0]!, object[keys[0]!])
  const marked = keys.find((key) => key.startsWith('$'))
  if (marked !== undefined) throw new Error(`${marked} among other keys`)
  return Object.fromEntries(keys.map((key) => [key, fromJson(object[key])]))
}

function special(kind: string, content: unknown): unknown {
  switch (kind) {
    case '$':
      if (CONSTANTS.has(content)) return CONSTANTS.get(content)
      break
    case '$text':
      return Buffer.from(text(kind, content))
    case '$bytes':
      return bytes(kind, content)
    case '$uint8':
      return new Uint8Array(bytes(kind, content))
    case '$integer':
      if (/^-?\d+$/.test(text(kind, content))) return BigInt(content as string)
      break
    case '$map':
      return new Map(entries(kind, content))
    case '$set':
      return new Set(list(kind, content).map(fromJson))
    case '$date':
      if (content === null) return new Date(Number.NaN)
      if (!Number.isNaN(Date.parse(text(kind, content)))) return new Date(content as string)
      break
    case '$pid': {
      const [node, creation, id, serial] = list(kind, content)
      if (typeof node === 'string' && areWords([creation, id, serial])) {
        return new Pid({ name: node, creation: creation as number }, id as number, serial as number)
      }
      break
    }
    case '$ref': {
      const [node, creation, words] = list(kind, content)
      if (typeof node === 'string' && areWords([creation]) && Array.isArray(words) && areWords(words)) {
        return new Ref({ name: node, creation: creation as number }, words as number[])
      }
      break
    }
    case '$atom':
      return atom(text(kind, content))
    case '$tuple':
      return new Tuple(list(kind, content).map(fromJson))
    case '$object':
      return objectOf({}, kind, content)
    case '$dictionary':
      return objectOf(Object.create(null), kind, content)
    case '$term':
      return decode(bytes(kind, content))
    default:
      throw new Error(`${kind} is none of the forms that values have`)
  }
  throw wrong(kind)
}

function wrong(kind: string): Error {
  return new Error(`what ${kind} has is no such value`)
}

function text(kind: string, content: unknown): string {
  if (typeof content !== 'string') throw wrong(kind)
  return content
}

function bytes(kind: string, content: unknown): Buffer {
  const encoded = text(kind, content)
  const decoded = Buffer.from(encoded, 'base64')
  if (decoded.toString('base64') !== encoded) throw wrong(kind)
  return decoded
}

function list(kind: string, content: unknown): unknown[] {
  if (!Array.isArray(content)) throw wrong(kind)
  return content
}

function entries(kind: string, content: unknown): [unknown, unknown][] {
  return list(kind, content).map((entry) => {
    if (!Array.isArray(entry) || entry.length !== 2) throw wrong(kind)
    return [fromJson(entry[0]), fromJson(entry[1])]
  })
}

function objectOf(object: object, kind: string, content: unknown): object {
  for (const [key, value] of entries(kind, content)) {
    if (typeof key !== 'string') throw wrong(kind)
    // Defined and not assigned: an assignment to `__proto__` would change the prototype.
    Object.defineProperty(object, key, { value, configurable: true, enumerable: true, writable: true })
  }
  return object
}

function areWords(values: readonly unknown[]): boolean {
  return values.every((value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 32)
}
