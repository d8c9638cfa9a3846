/**
 * The part of the decoder that reads atoms, pids, references, ports and exported functions: whatever has the name of an
 * atom or of a node in it.
 */
import { type NodeIdentity, Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import { AtomCache, type AtomValue, type CachedAtom } from './atom-cache.ts'
import { type Atom, AtomQuota, atomFromPeer } from './atom-table.ts'
import { ByteReader, Malformed } from './byte-reader.ts'
import { DECODE_LIMITS, type DecodeLimits, MAX_REF_WORDS } from './etf-limits.ts'
import * as tag from './etf-tags.ts'
import { identityTable } from './identity-table.ts'
import { Export, Port } from './term.ts'

export interface DecoderOptions {
  /** The identity of this node: its own pids and references get this object, and references their numeric form. */
  readonly node: NodeIdentity
  /** Interns the identities of other nodes; by default the decoder keeps a bounded table of its own. */
  readonly identity?: (name: string, creation: number) => NodeIdentity
  /** The atoms that this peer may have in use; by default a quota of its own. */
  readonly quota?: AtomQuota
  readonly limits?: Partial<DecodeLimits>
  /** Binaries are copies, and not views of the input. @default false */
  readonly copiesBinaries?: boolean
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
const IDENTIFIER_HEAP = 160
const EXPORT_HEAP = 80
const TWO_32 = 2 ** 32
const SAFE_HIGH_WORD = 2 ** 21

export class IdentifierReader extends ByteReader {
  readonly #node: NodeIdentity
  readonly #identity: (name: string, creation: number) => NodeIdentity
  readonly #quota: AtomQuota
  readonly #cachedAtom: ((index: number) => Atom | undefined) | undefined
  readonly #atoms = new AtomCache()
  /** In a fun, whose bytes are sent on as they are, nothing may be that this node reads and others do not. */
  protected isInFun = false

  constructor({ node, identity, quota, limits = {}, cachedAtom }: DecoderOptions) {
    super({ ...DECODE_LIMITS, ...limits })
    this.#node = node
    this.#identity = identity ?? identityTable()
    this.#quota = quota ?? new AtomQuota()
    this.#cachedAtom = cachedAtom
  }

  /** The atom behind the most frequent of the tags. */
  protected smallAtom(): CachedAtom {
    const length = this.byte()
    this.need(length)
    const from = this.at
    const to = from + length
    const found = this.#atoms.utf8(this.bytes, from, to)
    if (found === undefined) throw new Malformed('malformed')
    this.at = to
    return found
  }

  protected otherAtom(kind: number): CachedAtom {
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

  /** The atom of a distribution header: it means nothing outside of this message. */
  protected headerAtom(): Atom {
    const found = this.isInFun ? undefined : this.#cachedAtom?.(this.byte())
    if (found === undefined) throw new Malformed('malformed')
    return found
  }

  /** The name of an atom that has to be next. It becomes no atom: node names and map keys are only text. */
  protected name(): string {
    const kind = this.byte()
    if (kind === tag.SMALL_ATOM_UTF8_EXT) return this.smallAtom().name
    if (isAtomTag(kind)) return this.otherAtom(kind).name
    if (kind === tag.ATOM_CACHE_REF) return this.headerAtom().name
    throw new Malformed('malformed')
  }

  protected atomValue(cached: CachedAtom): AtomValue {
    return cached.value(this.#quota, tooManyAtoms)
  }

  /** The value of the atom of a name. */
  protected atomNamed(name: string): AtomValue {
    return LITERAL_ATOMS.has(name) ? LITERAL_ATOMS.get(name) : this.atomOf(name)
  }

  protected atomOf(name: string): Atom {
    return atomFromPeer(name, this.#quota) ?? tooManyAtoms()
  }

  #owner(name: string, creation: number): NodeIdentity {
    const node = this.#node
    return creation === node.creation && name === node.name ? node : this.#identity(name, creation)
  }

  protected pid(kind: number): Pid {
    this.spend(IDENTIFIER_HEAP)
    const name = this.name()
    const id = this.uint32()
    const serial = this.uint32()
    return new Pid(this.#owner(name, kind === tag.NEW_PID_EXT ? this.uint32() : this.byte()), id, serial)
  }

  protected ref(kind: number): Ref {
    this.spend(IDENTIFIER_HEAP)
    const count = kind === tag.REFERENCE_EXT ? 1 : this.uint16()
    if (count === 0 || count > MAX_REF_WORDS) throw new Malformed('malformed')
    const name = this.name()
    if (kind === tag.REFERENCE_EXT) {
      const word = this.uint32()
      return new Ref(this.#owner(name, this.byte()), [word])
    }
    const owner = this.#owner(name, kind === tag.NEWER_REFERENCE_EXT ? this.uint32() : this.byte())
    const words = new Array<number>(count)
    for (let i = 0; i < count; i++) words[i] = this.uint32()
    // The form in which this runtime makes them and looks them up.
    if (owner === this.#node && count === 3 && words[2] === 0 && words[1]! < SAFE_HIGH_WORD) {
      return new Ref(owner, words[1]! * TWO_32 + words[0]!)
    }
    return new Ref(owner, words)
  }

  protected port(kind: number): Port {
    this.spend(IDENTIFIER_HEAP)
    const name = this.name()
    const high = kind === tag.V4_PORT_EXT ? this.uint32() : 0
    const low = this.uint32()
    const id = high < SAFE_HIGH_WORD ? high * TWO_32 + low : (BigInt(high) << 32n) | BigInt(low)
    return new Port(this.#owner(name, kind === tag.PORT_EXT ? this.byte() : this.uint32()), id)
  }

  protected export(): Export {
    this.spend(EXPORT_HEAP)
    const module = this.atomOf(this.name())
    const name = this.atomOf(this.name())
    if (this.byte() !== tag.SMALL_INTEGER_EXT) throw new Malformed('malformed')
    return new Export(module, name, this.byte())
  }
}

/** True for the tags of atoms other than references to a header. */
export function isAtomTag(kind: number): boolean {
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
