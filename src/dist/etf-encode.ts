/**
 * Terms to bytes: the External Term Format as OTP 25 and later write it. See term.ts for what becomes what.
 *
 * An `Encoder` appends to a buffer of its own that grows, so that many terms and frames of a batch lie side by side and leave in one
 * write. A term that cannot be sent throws UnsendableError and leaves no bytes behind. What is written here must be
 * acceptable to Erlang in every detail, since it answers one bad byte by dropping the connection; therefore text that is
 * empty is sent with 0 bits, floats are finite (etf-own-terms.ts has the rest), and a Map's keys are checked for being different terms and not only
 * different values: 'a' and Buffer.from('a'), or 1 and 1n, are one key to Erlang, and a key that is there twice is a bad byte.
 *
 * Atoms and keys are copied from their characters: for short ASCII that measured faster than a copy of bytes encoded in
 * advance, and needs no table from keys to atoms.
 */
import { types } from 'node:util'
import { Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import { isAtomName } from './atom-table.ts'
import { ByteWriter, type ByteWriterOptions, Overflow } from './byte-writer.ts'
import { magnitudeBytes } from './etf-integers.ts'
import { ENCODE_LIMITS, type EncodeLimits } from './etf-limits.ts'
import { MapKeys } from './etf-map-keys.ts'
import { exportOfNumber, OBJECT } from './etf-own-terms.ts'
import * as tag from './etf-tags.ts'
import { Refused, unsendable } from './etf-unsendable.ts'
import { Atom, BitBinary, Encoded, Export, Float, Fun, ImproperList, Port, Tuple } from './term.ts'

const TWO_32 = 2 ** 32
// Ids of ports had 28 bits before OTP 24.
const TWO_28 = 2 ** 28
// Below these lengths a loop over the characters measured faster than a call into the engine.
const SHORT_TEXT = 40
const SHORT_ATOM = 64
// Text of at least this length is measured first rather than given three bytes for each character.
const LONG_TEXT = 4096

/** The bytes of a term, version byte first, as `term_to_binary/1`. Throws UnsendableError. */
export function encode(term: unknown, limits: Partial<EncodeLimits> = {}): Buffer {
  const encoder = new Encoder({ limits, slabBytes: 256 })
  encoder.writeVersioned(term)
  return encoder.take()
}

/** A term encoded once to be sent many times. Throws UnsendableError. */
export function preencode(term: unknown, limits: Partial<EncodeLimits> = {}): Encoded {
  return new Encoded(encode(term, limits).subarray(1))
}

export interface EncoderOptions extends ByteWriterOptions {
  readonly limits?: Partial<EncodeLimits>
}

export class Encoder extends ByteWriter {
  readonly #limits: EncodeLimits
  /** Of the term at hand. */
  #mapKeys: MapKeys | undefined

  constructor({ limits = {}, ...options }: EncoderOptions = {}) {
    super(options)
    this.#limits = { ...ENCODE_LIMITS, ...limits }
  }

  /** Appends a term without the version byte. Throws UnsendableError, and has then appended nothing. */
  write(term: unknown): void {
    this.#write(term, this.length)
  }

  /** Appends a term with the version byte, 131. Throws UnsendableError, and has then appended nothing. */
  writeVersioned(term: unknown): void {
    const before = this.length
    this.byte(tag.VERSION)
    this.#write(term, before)
  }

  /** What was appended from `before` on is dropped when the term cannot be sent. */
  #write(term: unknown, before: number): void {
    const maxLength = this.length + this.#limits.maxTermBytes
    this.maxLength = maxLength
    try {
      this.#term(term, this.#limits.maxDepth)
      if (this.length > maxLength) throw new Overflow()
    } catch (error) {
      this.truncate(before)
      const refused = error instanceof Overflow ? new Refused('too_large', term) : error
      throw refused instanceof Refused ? unsendable(refused, term, this.#limits.maxDepth) : refused
    } finally {
      this.maxLength = Number.POSITIVE_INFINITY
      this.#mapKeys = undefined
    }
  }

  /** A tag and a 32-bit number, with room for `following` bytes more. */
  #head(tagByte: number, value: number, following: number): void {
    this.reserve(5 + following)
    this.bytes[this.at++] = tagByte
    this.putUint32(value)
  }

  #term(term: unknown, depth: number): void {
    switch (typeof term) {
      case 'string':
        this.#text(term)
        break
      case 'number':
        this.#number(term)
        break
      case 'object':
        if (term === null) this.#name('null')
        else this.#object(term, depth)
        break
      case 'boolean':
        this.#name(term ? 'true' : 'false')
        break
      case 'undefined':
        this.#name('undefined')
        break
      case 'bigint':
        this.#bigint(term)
        break
      case 'function':
        throw new Refused('function', term)
      case 'symbol':
        throw new Refused('symbol', term)
    }
  }

  #object(term: object, depth: number): void {
    if (term instanceof Tuple) this.#tuple(term, depth)
    else if (term instanceof Atom) this.#name(term.name)
    else if (term instanceof Uint8Array) this.#binary(term)
    else if (Array.isArray(term)) this.#list(term, depth)
    else {
      const prototype: unknown = Object.getPrototypeOf(term)
      if (prototype === Object.prototype || prototype === null) this.#map(term as Record<string, unknown>, depth)
      else this.#rare(term, depth)
    }
  }

  #rare(term: object, depth: number): void {
    if (term instanceof Pid) {
      this.reserve(1)
      this.bytes[this.at++] = tag.NEW_PID_EXT
      this.#name(term.owner.name)
      this.reserve(12)
      this.putUint32(term.id)
      this.putUint32(term.serial)
      this.putUint32(term.owner.creation)
    } else if (term instanceof Ref) this.#ref(term)
    else if (term instanceof ImproperList) {
      if (depth === 0) throw new Refused('too_deep', term)
      this.#head(tag.LIST_EXT, term.elements.length, 0)
      for (const element of term.elements) this.#term(element, depth - 1)
      this.#term(term.tail, depth - 1)
    } else if (term instanceof Float) this.#double(term.value)
    else if (term instanceof BitBinary) this.#bits(term)
    else if (term instanceof Encoded) this.raw(term.bytes)
    else if (term instanceof Fun) this.raw(term.encoded)
    else if (term instanceof Export) this.#export(term)
    else if (term instanceof Port) this.#port(term)
    else if (types.isMap(term)) this.#mapObject(term, depth)
    else if (types.isUint8Array(term)) this.#binary(term)
    // The object of another realm, such as a line typed into a REPL, has a root prototype of its own.
    else if (Object.getPrototypeOf(Object.getPrototypeOf(term)) === null) {
      this.#map(term as Record<string, unknown>, depth)
    } else throw new Refused('instance', term)
  }

  #number(value: number): void {
    const integer = value | 0
    if (integer === value) {
      if (integer > 0 ? integer < 256 : integer === 0) {
        if (integer === 0 && Object.is(value, -0)) {
          this.#double(value)
          return
        }
        this.reserve(2)
        this.bytes[this.at++] = tag.SMALL_INTEGER_EXT
        this.bytes[this.at++] = integer
      } else {
        this.#head(tag.INTEGER_EXT, integer, 0)
      }
    } else if (Number.isSafeInteger(value)) {
      this.#safeInteger(value)
    } else {
      if (Number.isFinite(value)) this.#double(value)
      else this.#export(exportOfNumber(value))
    }
  }

  /** Of at least 32 bits. */
  #safeInteger(value: number): void {
    const magnitude = Math.abs(value)
    this.reserve(10)
    const bytes = this.bytes
    const from = this.at
    let at = from + 3
    bytes[from] = tag.SMALL_BIG_EXT
    bytes[from + 2] = value < 0 ? 1 : 0
    let low = magnitude | 0
    for (let i = 0; i < 4; i++) {
      bytes[at++] = low
      low >>>= 8
    }
    for (let high = Math.floor(magnitude / TWO_32); high > 0; high >>>= 8) bytes[at++] = high
    bytes[from + 1] = at - from - 3
    this.at = at
  }

  #bigint(value: bigint): void {
    if (value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER) {
      this.#number(Number(value))
      return
    }
    const magnitude = magnitudeBytes(value)
    const sign = value < 0n ? 1 : 0
    if (magnitude.length > this.#limits.maxIntegerBytes) throw new Refused('too_large', value)
    if (magnitude.length < 256) {
      this.reserve(3)
      this.bytes[this.at++] = tag.SMALL_BIG_EXT
      this.bytes[this.at++] = magnitude.length
    } else {
      this.#head(tag.LARGE_BIG_EXT, magnitude.length, 1)
    }
    this.bytes[this.at++] = sign
    this.raw(magnitude)
  }

  #double(value: number): void {
    this.reserve(9)
    this.bytes[this.at] = tag.NEW_FLOAT_EXT
    this.at = this.bytes.writeDoubleBE(value, this.at + 1)
  }

  #text(value: string): void {
    const length = value.length
    this.reserve(6 + (length < LONG_TEXT ? 3 * length : Buffer.byteLength(value)))
    const bytes = this.bytes
    const from = this.at
    let at = from + 6
    if (length < SHORT_TEXT) {
      for (let i = 0; i < length; i++) {
        const code = value.charCodeAt(i)
        if (code > 127) {
          at = from + 6 + bytes.write(value, from + 6)
          break
        }
        bytes[at++] = code
      }
    } else {
      at += bytes.write(value, at)
    }
    const size = at - from - 6
    bytes[from] = tag.BIT_BINARY_EXT
    bytes[from + 1] = size >>> 24
    bytes[from + 2] = size >>> 16
    bytes[from + 3] = size >>> 8
    bytes[from + 4] = size
    // Erlang takes 8 bits of no byte for a corrupted term.
    bytes[from + 5] = size === 0 ? 0 : 8
    this.at = at
  }

  #binary(value: Uint8Array): void {
    this.#head(tag.BINARY_EXT, value.length, 0)
    this.raw(value)
  }

  #bits(value: BitBinary): void {
    const length = value.bytes.length
    this.#head(tag.BIT_BINARY_EXT, length, 1 + length)
    this.bytes[this.at++] = value.lastBits
    this.copy(value.bytes)
    // The bits that do not count are no part of the term.
    this.bytes[this.at - 1]! &= 0xff << (8 - value.lastBits)
  }

  /** An atom. */
  #name(name: string): void {
    const length = name.length
    if (length > SHORT_ATOM) {
      this.#longName(name)
      return
    }
    this.reserve(2 + length)
    const bytes = this.bytes
    let at = this.at
    bytes[at++] = tag.SMALL_ATOM_UTF8_EXT
    bytes[at++] = length
    for (let i = 0; i < length; i++) {
      const code = name.charCodeAt(i)
      if (code > 127) {
        this.#longName(name)
        return
      }
      bytes[at++] = code
    }
    this.at = at
  }

  #longName(name: string): void {
    if (!isAtomName(name)) throw new Refused('bad_key', name)
    const length = Buffer.byteLength(name)
    this.reserve(3 + length)
    if (length < 256) {
      this.bytes[this.at++] = tag.SMALL_ATOM_UTF8_EXT
    } else {
      this.bytes[this.at++] = tag.ATOM_UTF8_EXT
      this.bytes[this.at++] = length >>> 8
    }
    this.bytes[this.at++] = length
    this.at += this.bytes.write(name, this.at)
  }

  #tuple({ elements }: Tuple, depth: number): void {
    const arity = elements.length
    if (depth === 0) throw new Refused('too_deep', elements)
    if (arity < 256) {
      this.reserve(2)
      this.bytes[this.at++] = tag.SMALL_TUPLE_EXT
      this.bytes[this.at++] = arity
    } else {
      this.#head(tag.LARGE_TUPLE_EXT, arity, 0)
    }
    for (let i = 0; i < arity; i++) this.#term(elements[i], depth - 1)
  }

  #list(elements: readonly unknown[], depth: number): void {
    const length = elements.length
    if (length === 0) {
      this.byte(tag.NIL_EXT)
      return
    }
    if (depth === 0) throw new Refused('too_deep', elements)
    this.#head(tag.LIST_EXT, length, 0)
    for (let i = 0; i < length; i++) this.#term(elements[i], depth - 1)
    this.byte(tag.NIL_EXT)
  }

  #map(object: Readonly<Record<string, unknown>>, depth: number): void {
    if (depth === 0) throw new Refused('too_deep', object)
    const keys = Object.keys(object)
    const start = this.length
    this.#head(tag.MAP_EXT, keys.length, 0)
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!
      if (key === '__proto__' || (key.length > SHORT_ATOM && !isAtomName(key))) {
        this.truncate(start)
        this.#textMap(object, keys, depth)
        return
      }
      this.#name(key)
      this.#term(object[key], depth - 1)
    }
  }

  /** An object with keys that can be no atoms. */
  #textMap(object: Readonly<Record<string, unknown>>, keys: readonly string[], depth: number): void {
    this.#head(tag.MAP_EXT, keys.length + 1, 0)
    this.#export(OBJECT)
    this.byte(tag.NIL_EXT)
    for (const key of keys) {
      // In its place Erlang would see another key, and perhaps twice the same.
      if (/\p{Surrogate}/u.test(key)) throw new Refused('bad_key', object)
      this.#text(key)
      this.#term(object[key], depth - 1)
    }
  }

  #mapObject(map: ReadonlyMap<unknown, unknown>, depth: number): void {
    if (depth === 0) throw new Refused('too_deep', map)
    this.#head(tag.MAP_EXT, map.size, 0)
    for (const [key, value] of map) {
      this.#term(key, depth - 1)
      this.#term(value, depth - 1)
    }
    // Only now: the keys are known to be finite terms.
    this.#mapKeys ??= new MapKeys()
    if (!this.#mapKeys.areDistinct(map.keys())) throw new Refused('duplicate_key', map)
  }

  #ref(ref: Ref): void {
    const words = ref.words
    this.reserve(3)
    this.bytes[this.at++] = tag.NEWER_REFERENCE_EXT
    this.bytes[this.at++] = 0
    this.bytes[this.at++] = words.length
    this.#name(ref.owner.name)
    this.reserve(4 + 4 * words.length)
    this.putUint32(ref.owner.creation)
    for (let i = 0; i < words.length; i++) this.putUint32(words[i]!)
  }

  #export({ module, function: name, arity }: Export): void {
    this.byte(tag.EXPORT_EXT)
    this.#name(module.name)
    this.#name(name.name)
    this.#number(arity)
  }

  #port(port: Port): void {
    const isSmall = port.id < TWO_28
    this.byte(isSmall ? tag.NEW_PORT_EXT : tag.V4_PORT_EXT)
    this.#name(port.owner.name)
    this.reserve(12)
    if (isSmall) this.putUint32(Number(port.id))
    else this.at = this.bytes.writeBigUInt64BE(BigInt(port.id), this.at)
    this.putUint32(port.owner.creation)
  }
}
