/**
 * The terms of Erlang that JavaScript has no values for. What is not here maps to plain values:
 *
 * | Erlang | here | |
 * |---|---|---|
 * | the atoms true, false, undefined, null | the JavaScript values | Elixir's nil is `atom('nil')` |
 * | any other atom | `Atom` | compared with `===` |
 * | integer | number when safe, else bigint | a bigint that is safe comes back as a number |
 * | float | number | an integral one goes back as an integer, unless wrapped with `float()`; -0 stays a float |
 * | none | Infinity, NaN | see etf-own-terms.ts; Erlang sees `fun agner:infinity/0` |
 * | binary | Buffer | a view of the received bytes: copy what is kept |
 * | text sent by a JavaScript node | string | Erlang sees a binary, and sends a binary: see `text()` |
 * | list | array | a string of Erlang is an array of numbers: `charlist()` makes one, `text()` reads one |
 * | map whose keys are all atoms | plain object | one with other keys: see etf-own-terms.ts; a map with the atom `__proto__` is a Map |
 * | any other map | Map | a Map whose keys are all atoms comes back as an object |
 * | pid, reference | `Pid`, `Ref` of the actors | |
 *
 * None of these classes is a subclass of Array or Buffer, so that no plain value can be mistaken for one of them.
 */
import { isUtf8 } from 'node:buffer'
import { BadArgError } from '../actors/errors.ts'
import type { NodeIdentity } from '../actors/pid.ts'
import { Atom } from './atom-table.ts'

export { Atom, atom } from './atom-table.ts'

const INSPECT = Symbol.for('nodejs.util.inspect.custom')

type Inspect = (value: unknown, options?: unknown) => string

export class Tuple<Elements extends readonly unknown[] = readonly unknown[]> {
  readonly elements: Elements

  constructor(elements: Elements) {
    this.elements = elements
  }

  get length(): number {
    return this.elements.length
  }

  [Symbol.iterator](): IterableIterator<Elements[number]> {
    return this.elements[Symbol.iterator]() as IterableIterator<Elements[number]>
  }

  [INSPECT](_depth: number, options: unknown, inspect: Inspect): string {
    return `{${this.elements.map((element) => inspect(element, options)).join(', ')}}`
  }
}

/** `{A, B, ...}`. */
export function tuple<const Elements extends readonly unknown[]>(...elements: Elements): Tuple<Elements> {
  return new Tuple(elements)
}

/** True for a tuple, of that many elements when an arity is given. */
export function isTuple(term: unknown, arity?: number): term is Tuple {
  return term instanceof Tuple && (arity === undefined || term.elements.length === arity)
}

/** A list whose last tail is no list: `[a, b | Tail]`. The tag of a gen_server call is one. */
export class ImproperList {
  /** At least one. */
  readonly elements: readonly unknown[]
  readonly tail: unknown

  constructor(elements: readonly unknown[], tail: unknown) {
    if (elements.length === 0 || Array.isArray(tail)) {
      throw new BadArgError('an improper list has elements, and a tail that is no list')
    }
    this.elements = tail instanceof ImproperList ? [...elements, ...tail.elements] : elements
    this.tail = tail instanceof ImproperList ? tail.tail : tail
  }

  [INSPECT](_depth: number, options: unknown, inspect: Inspect): string {
    const elements = this.elements.map((element) => inspect(element, options)).join(', ')
    return `[${elements} | ${inspect(this.tail, options)}]`
  }
}

/** A number that is sent as a float even when it is integral. Decoded floats are plain numbers. */
export class Float {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}

/** Forces a float: `float(1)` is sent as `1.0`. Throws BadArgError for NaN and the infinities. */
export function float(value: number): Float {
  if (!Number.isFinite(value)) throw new BadArgError(`no Erlang float: ${value}`)
  return new Float(value)
}

/** A bit string whose last byte is not whole. */
export class BitBinary {
  readonly bytes: Buffer
  /** Bits of the last byte that count, from the most significant: 1 to 7. */
  readonly lastBits: number

  constructor(bytes: Uint8Array, lastBits: number) {
    if (bytes.length === 0 || !Number.isInteger(lastBits) || lastBits < 1 || lastBits > 7) {
      throw new BadArgError('a bit string that is no binary has bytes, and 1 to 7 bits in its last')
    }
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.lastBits = lastBits
  }
}

/** An Erlang closure: opaque, kept to be sent back unchanged to where it can be called. */
export class Fun {
  /** The term's bytes from the tag on: a copy, since a fun is kept for long if at all. */
  readonly encoded: Buffer
  readonly arity: number

  constructor(encoded: Buffer, arity: number) {
    this.encoded = encoded
    this.arity = arity
  }
}

/** `fun Module:Function/Arity`. */
export class Export {
  readonly module: Atom
  readonly function: Atom
  /** 0 to 255. */
  readonly arity: number

  constructor(module: Atom, functionName: Atom, arity: number) {
    if (!Number.isInteger(arity) || arity < 0 || arity > 255) throw new BadArgError(`no arity: ${arity}`)
    this.module = module
    this.function = functionName
    this.arity = arity
  }
}

export class Port {
  readonly owner: NodeIdentity
  /** 64 bits; a number when safe. */
  readonly id: number | bigint

  constructor(owner: NodeIdentity, id: number | bigint) {
    this.owner = owner
    this.id = id
  }

  equals(other: unknown): boolean {
    return (
      other instanceof Port &&
      this.id === other.id &&
      this.owner.name === other.owner.name &&
      this.owner.creation === other.owner.creation
    )
  }

  toString(): string {
    return `#Port<0.${this.id}>`
  }
}

/** A term that is encoded already: what goes to many peers is encoded once, by `encode`, and copied from then on. */
export class Encoded {
  /** One term, without the version byte. */
  readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

/** The atom that stands for a value, so that `true` and `Atom` can be asked alike; undefined when it is no atom. */
export function atomName(term: unknown): string | undefined {
  if (term instanceof Atom) return term.name
  if (term === undefined || term === null || typeof term === 'boolean') return String(term)
  return undefined
}

/** The value under an atom in a list of pairs. */
export function property(pairs: unknown, key: string): unknown {
  if (!Array.isArray(pairs)) return undefined
  const pair = pairs.find((item) => item instanceof Tuple && item.length === 2 && atomName(item.elements[0]) === key)
  return pair instanceof Tuple ? pair.elements[1] : undefined
}

/** Erlang's string: the list of the code points. */
export function charlist(characters: string): number[] {
  return Array.from(characters, (character) => character.codePointAt(0)!)
}

/**
 * The text of a term that is one: a string, a binary of valid UTF-8, or a list of code points; undefined when it is none. For the
 * edge towards Erlang, where text arrives as a binary or a charlist whatever was sent there. The empty list is the
 * empty text.
 */
export function text(term: unknown): string | undefined {
  if (typeof term === 'string') return term
  if (term instanceof Uint8Array) {
    return isUtf8(term) ? Buffer.from(term.buffer, term.byteOffset, term.length).toString() : undefined
  }
  return Array.isArray(term) && isCodePoints(term) ? codePointsToString(term) : undefined
}

function isCodePoints(terms: readonly unknown[]): terms is readonly number[] {
  for (const term of terms) if (!isCodePoint(term)) return false
  return true
}

function isCodePoint(value: unknown): value is number {
  return (
    typeof value === 'number' &&
    Number.isInteger(value) &&
    value >= 0 &&
    value <= 0x10ffff &&
    (value < 0xd800 || value > 0xdfff)
  )
}

// The arguments of a call live on the stack, which a long list would overflow.
const CODE_POINTS_PER_CALL = 4096

function codePointsToString(codePoints: readonly number[]): string {
  let characters = ''
  for (let at = 0; at < codePoints.length; at += CODE_POINTS_PER_CALL) {
    characters += String.fromCodePoint(...codePoints.slice(at, at + CODE_POINTS_PER_CALL))
  }
  return characters
}
