/**
 * Bytes to terms: the External Term Format in all forms that Erlang nodes send. See term.ts for what becomes what.
 *
 * The bytes are a peer's, so nothing here throws past `decode`: every length is checked against the bytes that are left before
 * anything is made of it, levels are counted, memory is estimated and bounded, and no input takes more than linear time.
 * Refused, because no peer has a reason to send it: compressed terms (a few bytes that become many), the old funs of tag
 * 117, and terms encoded for the node that made them (`local`).
 *
 * Buffers in a decoded term are views of the input: whoever keeps one copies it, or keeps the whole chunk in memory. A
 * decoder belongs to one peer; it keeps the atoms that this peer often sends.
 */
import { type NodeIdentity, Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import { AtomCache, type AtomValue, type CachedAtom } from './atom-cache.ts'
import { type Atom, AtomQuota, atomFromPeer } from './atom-table.ts'
import { BUFFER_HEAP, ByteReader, type DecodeError, Malformed } from './byte-reader.ts'
import { DECODE_LIMITS, type DecodeLimits, MAX_REF_WORDS } from './etf-limits.ts'
import * as tag from './etf-tags.ts'
import { identityTable } from './identity-table.ts'
import { BitBinary, Export, Fun, ImproperList, Port, Tuple } from './term.ts'

export type { DecodeError, DecodeReason } from './byte-reader.ts'

/** `end` is the offset behind the term: what follows is the caller's to judge. */
export type Decoded =
  | { readonly ok: true; readonly value: unknown; readonly end: number }
  | { readonly ok: false; readonly error: DecodeError }

export interface DecoderOptions {
  /** The identity of this node: its own pids and references get this object, and references their numeric form. */
  readonly node: NodeIdentity
  /** Interns the identities of other nodes; by default the decoder keeps a bounded table of its own. */
  readonly identity?: (name: string, creation: number) => NodeIdentity
  /** The atoms that this peer may have in use; by default a quota of its own. */
  readonly quota?: AtomQuota
  readonly limits?: Partial<DecodeLimits>
  /** Resolves references to the atom cache of a distribution header; without it they are malformed. */
  readonly cachedAtom?: (index: number) => Atom | undefined
}

const LITERAL_ATOMS: ReadonlyMap<string, AtomValue> = new Map<string, AtomValue>([
  ['true', true],
  ['false', false],
  ['undefined', undefined],
  ['null', null],
])

// Estimated bytes of heap, by which `maxHeapBytes` counts.
const WORD = 8
const ARRAY_HEAP = 48
const TUPLE_HEAP = 80
const OBJECT_HEAP = 64
const KEY_HEAP = 48
const MAP_HEAP = 240
const IDENTIFIER_HEAP = 160
// A longer array is grown as its elements come, lest a count that is a lie reserve memory for elements that never do.
const PREALLOCATED = 1024
const EMPTY_TUPLE = new Tuple<readonly unknown[]>(Object.freeze([]))
const TWO_32 = 2 ** 32
const SAFE_HIGH_WORD = 2 ** 21

export class Decoder extends ByteReader {
  readonly #node: NodeIdentity
  readonly #identity: (name: string, creation: number) => NodeIdentity
  readonly #quota: AtomQuota
  readonly #cachedAtom: ((index: number) => Atom | undefined) | undefined
  readonly #atoms = new AtomCache()

  constructor({ node, identity, quota, limits = {}, cachedAtom }: DecoderOptions) {
    super({ ...DECODE_LIMITS, ...limits })
    this.#node = node
    this.#identity = identity ?? identityTable()
    this.#quota = quota ?? new AtomQuota()
    this.#cachedAtom = cachedAtom
  }

  /** Decodes the term whose version byte is at `from`. Never throws. */
  decode(input: Uint8Array, from = 0): Decoded {
    if (input[from] === tag.VERSION) return this.decodeBare(input, from + 1)
    return { ok: false, error: { reason: from < input.length ? 'bad_version' : 'truncated', at: from } }
  }

  /** Decodes the term whose tag is at `from`, as terms after a distribution header are, without version byte. Never throws. */
  decodeBare(input: Uint8Array, from = 0): Decoded {
    this.open(input, from)
    try {
      return { ok: true, value: this.#term(this.limits.maxDepth), end: this.at }
    } catch (error) {
      // Whatever else the engine may throw (a stack that ends early) is the input's fault too.
      const reason = error instanceof Malformed ? error.reason : 'too_large'
      return { ok: false, error: { reason, at: Math.min(this.at, this.end) } }
    } finally {
      this.close()
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
        return this.#smallAtom().value(this.#quota, tooManyAtoms)
      case tag.ATOM_UTF8_EXT:
      case tag.ATOM_EXT:
      case tag.SMALL_ATOM_EXT:
        return this.#otherAtom(kind).value(this.#quota, tooManyAtoms)
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
        return this.#string([])
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
        return this.#pid(kind)
      case tag.NEWER_REFERENCE_EXT:
      case tag.NEW_REFERENCE_EXT:
      case tag.REFERENCE_EXT:
        return this.#ref(kind)
      case tag.NEW_PORT_EXT:
      case tag.V4_PORT_EXT:
      case tag.PORT_EXT:
        return this.#port(kind)
      case tag.SMALL_BIG_EXT:
        return this.big(this.byte())
      case tag.LARGE_BIG_EXT:
        return this.big(this.uint32())
      case tag.FLOAT_EXT:
        return this.oldFloat()
      case tag.EXPORT_EXT:
        return this.#export()
      case tag.NEW_FUN_EXT:
        return this.#fun(depth)
      case tag.ATOM_CACHE_REF:
        return this.#fromHeader()
      case tag.COMPRESSED:
      case tag.FUN_EXT:
      case tag.LOCAL_EXT:
        throw this.back('refused_tag')
      default:
        throw this.back('unknown_tag')
    }
  }

  /** The atom behind the most frequent of the tags. */
  #smallAtom(): CachedAtom {
    const length = this.byte()
    this.need(length)
    const from = this.at
    const to = from + length
    const found = this.#atoms.utf8(this.bytes, from, to)
    if (found === undefined) throw new Malformed('malformed')
    this.at = to
    return found
  }

  #otherAtom(kind: number): CachedAtom {
    const length = kind === tag.SMALL_ATOM_EXT ? this.byte() : this.uint16()
    this.need(length)
    const from = this.at
    const to = from + length
    const found =
      kind === tag.ATOM_UTF8_EXT ? this.#atoms.utf8(this.bytes, from, to) : this.#atoms.latin1(this.bytes, from, to)
    if (found === undefined) throw new Malformed('malformed')
    this.at = to
    return found
  }

  #fromHeader(): Atom | AtomValue {
    const found = this.#cachedAtom?.(this.byte())
    if (found === undefined) throw new Malformed('malformed')
    return LITERAL_ATOMS.has(found.name) ? LITERAL_ATOMS.get(found.name) : found
  }

  /** The name of an atom that has to be next. It becomes no atom: node names and map keys are only text. */
  #name(): string {
    const kind = this.byte()
    if (kind === tag.SMALL_ATOM_UTF8_EXT) return this.#smallAtom().name
    if (isAtomTag(kind)) return this.#otherAtom(kind).name
    const found = kind === tag.ATOM_CACHE_REF ? this.#cachedAtom?.(this.byte()) : undefined
    if (found === undefined) throw new Malformed('malformed')
    return found.name
  }

  #atomOf(name: string): Atom {
    return atomFromPeer(name, this.#quota) ?? tooManyAtoms()
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

  /** Appends the bytes of a list of small integers to `elements`. */
  #string(elements: unknown[]): unknown[] {
    const length = this.uint16()
    this.need(length)
    this.spend(ARRAY_HEAP + length * WORD)
    for (let i = 0; i < length; i++) elements.push(this.bytes[this.at++])
    return elements
  }

  #map(depth: number): unknown {
    const arity = this.uint32()
    this.need(arity * 2)
    if (depth === 0) throw new Malformed('too_deep')
    this.spend(OBJECT_HEAP + arity * KEY_HEAP)
    const object: Record<string, unknown> = {}
    for (let i = 0; i < arity; i++) {
      this.need(1)
      const kind = this.bytes[this.at]!
      if (!isAtomTag(kind) && kind !== tag.ATOM_CACHE_REF) return this.#mapOf(object, undefined, arity - i, depth)
      const key = this.#name()
      // An assignment to this key would change the object's prototype.
      if (key === '__proto__') return this.#mapOf(object, key, arity - i, depth)
      object[key] = this.#term(depth - 1)
    }
    return object
  }

  /** Goes on with a Map: `entries` and the key that has been read, if any, are what came before; `count` are to come. */
  #mapOf(entries: Readonly<Record<string, unknown>>, pendingKey: string | undefined, count: number, depth: number) {
    this.spend(MAP_HEAP)
    const map = new Map<unknown, unknown>()
    const keyOf = (name: string): AtomValue => (LITERAL_ATOMS.has(name) ? LITERAL_ATOMS.get(name) : this.#atomOf(name))
    for (const name of Object.keys(entries)) map.set(keyOf(name), entries[name])
    for (let i = 0; i < count; i++) {
      const key = i === 0 && pendingKey !== undefined ? keyOf(pendingKey) : this.#term(depth - 1)
      map.set(key, this.#term(depth - 1))
    }
    return map
  }

  #binary(length: number): Buffer {
    this.need(length)
    this.spend(BUFFER_HEAP)
    const from = this.at
    this.at = from + length
    return this.bytes.subarray(from, this.at)
  }

  #bitBinary(): unknown {
    const length = this.uint32()
    const lastBits = this.byte()
    if (lastBits > 8 || (lastBits === 0) !== (length === 0)) throw new Malformed('malformed')
    if (lastBits === 8) return this.text(length)
    return length === 0 ? '' : new BitBinary(this.#binary(length), lastBits)
  }

  #owner(name: string, creation: number): NodeIdentity {
    const node = this.#node
    return creation === node.creation && name === node.name ? node : this.#identity(name, creation)
  }

  #pid(kind: number): Pid {
    this.spend(IDENTIFIER_HEAP)
    const name = this.#name()
    const id = this.uint32()
    const serial = this.uint32()
    return new Pid(this.#owner(name, kind === tag.NEW_PID_EXT ? this.uint32() : this.byte()), id, serial)
  }

  #ref(kind: number): Ref {
    this.spend(IDENTIFIER_HEAP)
    const count = kind === tag.REFERENCE_EXT ? 1 : this.uint16()
    if (count === 0 || count > MAX_REF_WORDS) throw new Malformed('malformed')
    const name = this.#name()
    if (kind === tag.REFERENCE_EXT) {
      const word = this.uint32()
      return new Ref(this.#owner(name, this.byte()), [word])
    }
    const owner = this.#owner(name, kind === tag.NEWER_REFERENCE_EXT ? this.uint32() : this.byte())
    const words: number[] = []
    for (let i = 0; i < count; i++) words.push(this.uint32())
    // The form in which this runtime makes them and looks them up.
    if (owner === this.#node && count === 3 && words[2] === 0 && words[1]! < SAFE_HIGH_WORD) {
      return new Ref(owner, words[1]! * TWO_32 + words[0]!)
    }
    return new Ref(owner, words)
  }

  #port(kind: number): Port {
    this.spend(IDENTIFIER_HEAP)
    const name = this.#name()
    const high = kind === tag.V4_PORT_EXT ? this.uint32() : 0
    const low = this.uint32()
    const id = high < SAFE_HIGH_WORD ? high * TWO_32 + low : (BigInt(high) << 32n) | BigInt(low)
    return new Port(this.#owner(name, kind === tag.PORT_EXT ? this.byte() : this.uint32()), id)
  }

  #export(): Export {
    this.spend(TUPLE_HEAP)
    const module = this.#atomOf(this.#name())
    const name = this.#atomOf(this.#name())
    if (this.byte() !== tag.SMALL_INTEGER_EXT) throw new Malformed('malformed')
    return new Export(module, name, this.byte())
  }

  /** Reads what is in a fun too, since what is sent on unread could be a byte for which the next peer cuts us off. */
  #fun(depth: number): Fun {
    const from = this.at - 1
    const end = this.at + this.uint32()
    const arity = this.byte()
    this.need(20)
    this.at += 20
    const free = this.uint32()
    if (depth === 0) throw new Malformed('too_deep')
    this.#name()
    this.#integer()
    this.#integer()
    if (!(this.#term(depth - 1) instanceof Pid)) throw new Malformed('malformed')
    this.need(free)
    for (let i = 0; i < free; i++) this.#term(depth - 1)
    if (this.at !== end) throw new Malformed('malformed')
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

function isAtomTag(kind: number): boolean {
  return (
    kind === tag.SMALL_ATOM_UTF8_EXT ||
    kind === tag.ATOM_UTF8_EXT ||
    kind === tag.ATOM_EXT ||
    kind === tag.SMALL_ATOM_EXT
  )
}

function tooManyAtoms(): never {
  throw new Malformed('too_many_atoms')
}
