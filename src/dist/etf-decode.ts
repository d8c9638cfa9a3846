/**
 * Bytes to terms: the External Term Format in all forms that Erlang nodes send. See term.ts for what becomes what.
 *
 * The bytes are a peer's, so nothing here throws past `decode`: every length is checked against the bytes that are left before
 * anything is made of it, levels are counted, memory is estimated and bounded, and no input takes more than linear time.
 * Refused, because no peer has a reason to send it: compressed terms (a few bytes that become many), the old funs of tag
 * 117, and terms encoded for the node that made them (`local`).
 *
 * Buffers in a decoded term are views of the input, unless copies are asked for: whoever keeps one copies it, or keeps the whole chunk in memory. A
 * decoder belongs to one peer; it keeps the atoms that this peer often sends.
 */
import { Pid } from '../actors/pid.ts'
import { BUFFER_HEAP, type DecodeError, Malformed } from './byte-reader.ts'
import { MapKeys } from './etf-map-keys.ts'
import { objectOfMap, valueOfExport } from './etf-own-terms.ts'
import * as tag from './etf-tags.ts'
import { type DecoderOptions, IdentifierReader, isAtomTag } from './identifier-reader.ts'
import { BitBinary, Fun, ImproperList, Tuple } from './term.ts'

export type { DecodeError, DecodeReason } from './byte-reader.ts'

/** `end` is the offset behind the term: what follows is the caller's to judge. */
export type Decoded =
  | { readonly ok: true; readonly value: unknown; readonly end: number }
  | { readonly ok: false; readonly error: DecodeError }

// Estimated bytes of heap, by which `maxHeapBytes` counts.
const WORD = 8
const ARRAY_HEAP = 48
const TUPLE_HEAP = 80
const OBJECT_HEAP = 64
const KEY_HEAP = 48
const MAP_HEAP = 240
const BITS_HEAP = 40
// A longer array is grown as its elements come, lest a count that is a lie reserve memory for elements that never do.
const PREALLOCATED = 1024
const EMPTY_TUPLE = new Tuple<readonly unknown[]>(Object.freeze([]))

export class Decoder extends IdentifierReader {
  readonly #copiesBinaries: boolean
  /** Of the term at hand. */
  #mapKeys: MapKeys | undefined

  constructor(options: DecoderOptions) {
    super(options)
    this.#copiesBinaries = options.copiesBinaries ?? false
  }

  /** Decodes the term whose version byte is at `from`. Never throws. */
  decode(input: Uint8Array, from = 0): Decoded {
    if (input[from] === tag.VERSION) return this.decodeBare(input, from + 1)
    return { ok: false, error: { reason: from < input.length ? 'bad_version' : 'truncated', at: from } }
  }

  /** Decodes the term whose tag is at `from`, as terms after a distribution header are, without version byte. Never throws. */
  decodeBare(input: Uint8Array, from = 0): Decoded {
    this.open(input, from)
    this.isInFun = false
    try {
      return { ok: true, value: this.#term(this.limits.maxDepth), end: this.at }
    } catch (error) {
      // Whatever else the engine may throw (a stack that ends early) is the input's fault too.
      const reason = error instanceof Malformed ? error.reason : 'too_large'
      return { ok: false, error: { reason, at: Math.min(this.at, this.end) } }
    } finally {
      this.close()
      this.#mapKeys = undefined
    }
  }

  #term(depth: number): unknown {
    this.need(1)
    const kind = this.bytes[this.at++]!
    switch (kind) {
      case tag.SMALL_INTEGER_EXT:
        return this.byte()
      case tag.INTEGER_EXT:
        return this.uint32() | 0
      case tag.NEW_FLOAT_EXT:
        return this.double()
      case tag.SMALL_ATOM_UTF8_EXT:
        return this.atomValue(this.smallAtom())
      case tag.ATOM_UTF8_EXT:
      case tag.ATOM_EXT:
      case tag.SMALL_ATOM_EXT:
        return this.atomValue(this.otherAtom(kind))
      case tag.SMALL_TUPLE_EXT:
        return this.#tuple(this.byte(), depth)
      case tag.LARGE_TUPLE_EXT:
        return this.#tuple(this.uint32(), depth)
      case tag.NIL_EXT:
        this.spend(ARRAY_HEAP)
        return []
      case tag.LIST_EXT:
        return this.#list(depth)
      case tag.STRING_EXT:
        return this.#string(undefined)
      case tag.MAP_EXT:
        return this.#map(depth)
      case tag.BINARY_EXT:
        return this.#binary(this.uint32())
      case tag.BIT_BINARY_EXT:
        return this.#bitBinary()
      default:
        return this.#rare(kind, depth)
    }
  }

  #rare(kind: number, depth: number): unknown {
    switch (kind) {
      case tag.NEW_PID_EXT:
      case tag.PID_EXT:
        return this.pid(kind)
      case tag.NEWER_REFERENCE_EXT:
      case tag.NEW_REFERENCE_EXT:
      case tag.REFERENCE_EXT:
        return this.ref(kind)
      case tag.NEW_PORT_EXT:
      case tag.V4_PORT_EXT:
      case tag.PORT_EXT:
        return this.port(kind)
      case tag.SMALL_BIG_EXT:
        return this.big(this.byte())
      case tag.LARGE_BIG_EXT:
        return this.big(this.uint32())
      case tag.FLOAT_EXT:
        return this.oldFloat()
      case tag.EXPORT_EXT:
        return valueOfExport(this.export())
      case tag.NEW_FUN_EXT:
        return this.#fun(depth)
      case tag.ATOM_CACHE_REF:
        return this.atomNamed(this.headerAtom().name)
      case tag.COMPRESSED:
      case tag.FUN_EXT:
      case tag.LOCAL_EXT:
        throw this.back('refused_tag')
      default:
        throw this.back('unknown_tag')
    }
  }

  #tuple(arity: number, depth: number): Tuple {
    if (arity === 0) return EMPTY_TUPLE
    this.need(arity)
    if (depth === 0) throw new Malformed('too_deep')
    this.spend(TUPLE_HEAP + arity * WORD)
    const below = depth - 1
    // Literals make arrays of exactly this size and without holes.
    switch (arity) {
      case 1:
        return new Tuple([this.#term(below)])
      case 2:
        return new Tuple([this.#term(below), this.#term(below)])
      case 3:
        return new Tuple([this.#term(below), this.#term(below), this.#term(below)])
      case 4:
        return new Tuple([this.#term(below), this.#term(below), this.#term(below), this.#term(below)])
      case 5:
        return new Tuple([
          this.#term(below),
          this.#term(below),
          this.#term(below),
          this.#term(below),
          this.#term(below),
        ])
      default:
        return new Tuple(this.#elements([], arity, below))
    }
  }

  /** Appends `count` terms to `elements`. */
  #elements(elements: unknown[], count: number, depth: number): unknown[] {
    if (elements.length === 0 && count <= PREALLOCATED) {
      const exact = new Array<unknown>(count)
      for (let i = 0; i < count; i++) exact[i] = this.#term(depth)
      return exact
    }
    for (let i = 0; i < count; i++) elements.push(this.#term(depth))
    return elements
  }

  #list(depth: number): unknown {
    if (depth === 0) throw new Malformed('too_deep')
    this.spend(ARRAY_HEAP)
    let elements: unknown[] = []
    for (;;) {
      const count = this.uint32()
      // Each element and the tail have a byte at least.
      this.need(count + 1)
      this.spend(count * WORD)
      elements =
        elements.length === 0 && count === 1 ? [this.#term(depth - 1)] : this.#elements(elements, count, depth - 1)
      const tailTag = this.byte()
      if (tailTag === tag.NIL_EXT) return elements
      // Erlang never writes a list whose tail is a list, but reads it.
      if (tailTag === tag.STRING_EXT) return this.#string(elements)
      if (tailTag !== tag.LIST_EXT) break
    }
    this.at--
    const tail = this.#term(depth - 1)
    this.spend(ARRAY_HEAP)
    return elements.length === 0 ? tail : new ImproperList(elements, tail)
  }

  /** A list of small integers, or more elements for a list that has begun. */
  #string(begun: unknown[] | undefined): unknown[] {
    const length = this.uint16()
    this.need(length)
    this.spend(ARRAY_HEAP + length * WORD)
    const from = this.at
    this.at = from + length
    if (begun === undefined) {
      const exact = new Array<unknown>(length)
      for (let i = 0; i < length; i++) exact[i] = this.bytes[from + i]
      return exact
    }
    for (let i = 0; i < length; i++) begun.push(this.bytes[from + i])
    return begun
  }

  #map(depth: number): unknown {
    const arity = this.uint32()
    this.need(arity * 2)
    if (depth === 0) throw new Malformed('too_deep')
    this.spend(OBJECT_HEAP + arity * KEY_HEAP)
    const object: Record<string, unknown> = {}
    for (let i = 0; i < arity; i++) {
      const kind = this.byte()
      let key: string
      if (kind === tag.SMALL_ATOM_UTF8_EXT) {
        key = this.smallAtom().name
      } else {
        this.at--
        if (!isAtomTag(kind) && kind !== tag.ATOM_CACHE_REF) return this.#mapOf(object, undefined, i, arity, depth)
        key = this.name()
      }
      // An assignment to this key would change the object's prototype.
      if (key === '__proto__') return this.#mapOf(object, key, i, arity, depth)
      object[key] = this.#term(depth - 1)
    }
    if (this.isInFun && Object.keys(object).length !== arity) throw new Malformed('malformed')
    return object
  }

  /** Goes on with a Map after `read` of its entries: `entries` are those, `pendingKey` a key that has been read too. */
  #mapOf(
    entries: Readonly<Record<string, unknown>>,
    pendingKey: string | undefined,
    read: number,
    arity: number,
    depth: number,
  ): Map<unknown, unknown> | Record<string, unknown> {
    this.spend(MAP_HEAP)
    const map = new Map<unknown, unknown>()
    for (const name of Object.keys(entries)) map.set(this.atomNamed(name), entries[name])
    for (let i = read; i < arity; i++) {
      const key = i === read && pendingKey !== undefined ? this.atomNamed(pendingKey) : this.#term(depth - 1)
      map.set(key, this.#term(depth - 1))
    }
    if (!this.isInFun) return objectOfMap(map)
    this.#mapKeys ??= new MapKeys()
    if (map.size !== arity || !this.#mapKeys.areDistinct(map.keys())) throw new Malformed('malformed')
    return objectOfMap(map)
  }

  #binary(length: number): Buffer {
    this.need(length)
    this.spend(BUFFER_HEAP)
    const from = this.at
    this.at = from + length
    if (!this.#copiesBinaries) return this.bytes.subarray(from, this.at)
    const copy = Buffer.allocUnsafe(length)
    this.bytes.copy(copy, 0, from, this.at)
    return copy
  }

  #bitBinary(): unknown {
    const length = this.uint32()
    const lastBits = this.byte()
    if (lastBits > 8 || (lastBits === 0) !== (length === 0)) throw new Malformed('malformed')
    if (lastBits === 8) return this.text(length)
    if (length === 0) return ''
    this.spend(BITS_HEAP)
    return new BitBinary(this.#binary(length), lastBits)
  }

  /** Reads what is in a fun too, since what is sent on unread could be a byte for which the next peer cuts us off. */
  #fun(depth: number): Fun {
    const from = this.at - 1
    const isNested = this.isInFun
    this.isInFun = true
    const end = this.at + this.uint32()
    const arity = this.byte()
    this.need(20)
    this.at += 20
    const free = this.uint32()
    if (depth === 0) throw new Malformed('too_deep')
    this.name()
    this.#integer()
    this.#integer()
    if (!(this.#term(depth - 1) instanceof Pid)) throw new Malformed('malformed')
    this.need(free)
    for (let i = 0; i < free; i++) this.#term(depth - 1)
    if (this.at !== end) throw new Malformed('malformed')
    this.isInFun = isNested
    // One that is in another is only compared, if at all: a copy at each level would be many times the input.
    if (isNested) return new Fun(this.bytes.subarray(from, end), arity)
    const encoded = Buffer.from(this.bytes.subarray(from, end))
    this.spend(BUFFER_HEAP + encoded.length)
    return new Fun(encoded, arity)
  }

  #integer(): void {
    const kind = this.byte()
    if (kind === tag.SMALL_INTEGER_EXT) this.byte()
    else if (kind === tag.INTEGER_EXT) this.uint32()
    else throw new Malformed('malformed')
  }
}
