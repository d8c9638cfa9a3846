/** Terms and bytes for the tests of the External Term Format. */
import fc from 'fast-check'
import type { NodeIdentity } from '../../src/actors/pid.ts'
import { Pid } from '../../src/actors/pid.ts'
import { Ref } from '../../src/actors/ref.ts'
import type { AtomQuota } from '../../src/dist/atom-table.ts'
import { type DecodeReason, Decoder } from '../../src/dist/etf-decode.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import type { DecodeLimits } from '../../src/dist/etf-limits.ts'
import { Atom, atom, BitBinary, Export, ImproperList, Port, Tuple } from '../../src/dist/term.ts'

export const NODE: NodeIdentity = { name: 'here@127.0.0.1', creation: 7 }

export function decoder(limits: Partial<DecodeLimits> = {}, quota?: AtomQuota): Decoder {
  return new Decoder({ node: NODE, limits, ...(quota === undefined ? {} : { quota }) })
}

/** The term of all the bytes; throws when there is none or when bytes are left. */
export function decodeAll(bytes: Uint8Array, by: Decoder = decoder()): unknown {
  const decoded = by.decode(bytes)
  if (!decoded.ok) throw new Error(`${decoded.error.reason} at ${decoded.error.at}`)
  if (decoded.end !== bytes.length) throw new Error(`${bytes.length - decoded.end} bytes left`)
  return decoded.value
}

/** Why the bytes are refused; undefined when they are not. */
export function refusal(bytes: Uint8Array, by: Decoder = decoder()): DecodeReason | undefined {
  const decoded = by.decode(bytes)
  return decoded.ok ? undefined : decoded.error.reason
}

/** Bytes written as numbers, and texts for the readable ones; the version byte is added. */
export function etf(...parts: readonly (number | string | Uint8Array)[]): Buffer {
  return Buffer.concat([
    Buffer.of(131),
    ...parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part as string))),
  ])
}

/** Four bytes, most significant first. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const VALUE_ATOMS = ['true', 'false', 'undefined', 'null']

const word = fc.nat(0xffffffff)
const nodeName = fc.constantFrom('here@127.0.0.1', 'there@127.0.0.1', 'łódź@host.example')
const identity = fc
  .record({ name: nodeName, creation: fc.constantFrom(7, 8, 0xffffffff) }, { noNullPrototype: true })
  .map((made) => (made.name === NODE.name && made.creation === NODE.creation ? NODE : made))

const atomNames = fc
  .oneof(
    { weight: 5, arbitrary: fc.string({ unit: 'grapheme', maxLength: 12 }) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 255 }) },
    { weight: 1, arbitrary: fc.constantFrom('ok', '', 'é', 'constructor', 'toString', '0', '42', 'x'.repeat(255)) },
  )
  .filter((name) => [...name].length <= 255)

const pid = fc.tuple(identity, word, word).map(([owner, id, serial]) => new Pid(owner, id, serial))
const ownRef = fc.maxSafeNat().map((id) => new Ref(NODE, id))
const otherRef = fc
  .tuple(
    identity.filter((owner) => owner !== NODE),
    fc.array(word, { minLength: 1, maxLength: 5 }),
  )
  .map(([owner, words]) => new Ref(owner, words))
const port = fc
  .tuple(identity, fc.oneof(word, fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n })))
  .map(([owner, id]) => new Port(owner, id))
const atoms = atomNames.filter((name) => !VALUE_ATOMS.includes(name)).map(atom)
const bits = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 9 }), fc.integer({ min: 1, max: 7 }))
  .map(([bytes, n]) => {
    bytes[bytes.length - 1]! &= 0xff << (8 - n)
    return new BitBinary(bytes, n)
  })
const bigint = fc
  .oneof(fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }), fc.bigInt({ min: 0n, max: 2n ** 3000n }))
  .filter((value) => value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER)
const numbers = fc.oneof(
  fc.integer(),
  fc.nat(300),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
)
/** Keys of which some can be no atoms. */
const anyKey = fc.oneof(
  fc.constantFrom('__proto__', '', 'a', 'x'.repeat(255), 'x'.repeat(256)),
  fc.string({ unit: 'grapheme', minLength: 200, maxLength: 400 }),
)

/** Values that come back from a JavaScript node as they went, to the last bit. */
export const terms: fc.Arbitrary<unknown> = fc.letrec<{ term: unknown; leaf: unknown; scalar: unknown }>((tie) => ({
  scalar: fc.oneof(
    numbers,
    fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN),
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'grapheme-ascii', maxLength: 50 }),
    fc.constantFrom('', 'normal', 'noproc', 'sensors/1/temperature'),
    fc.string({ unit: 'binary', maxLength: 60 }),
    atoms,
    bigint,
    fc.constantFrom(true, false, null, undefined),
  ),
  leaf: fc.oneof(
    { weight: 6, arbitrary: tie('scalar') },
    fc.uint8Array({ maxLength: 70 }).map((bytes) => Buffer.from(bytes)),
    pid,
    ownRef,
    otherRef,
    port,
    bits,
    fc.tuple(atoms, atoms, fc.nat(255)).map(([m, f, arity]) => new Export(m, f, arity)),
  ),
  term: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    tie('leaf'),
    fc.array(tie('term'), { maxLength: 5 }),
    fc.array(tie('term'), { maxLength: 6 }).map((elements) => new Tuple(elements)),
    fc.array(fc.nat(255), { maxLength: 60 }),
    fc.dictionary(
      atomNames.filter((name) => name !== '__proto__'),
      tie('term'),
      { noNullPrototype: true, maxKeys: 5 },
    ),
    fc.array(fc.tuple(anyKey, tie('term')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
    fc
      .uniqueArray(fc.tuple(numbers, tie('term')), {
        minLength: 1,
        maxLength: 4,
        selector: ([key]) => key,
        comparator: 'SameValueZero',
      })
      .filter((entries) => !entries.some(([key]) => Object.is(key, -0)))
      .map((entries) => new Map(entries)),
    fc
      .tuple(fc.array(tie('term'), { minLength: 1, maxLength: 4 }), tie('leaf'))
      .map(([elements, tail]) => new ImproperList(elements, tail)),
  ),
})).term

const change = fc.tuple(fc.constantFrom('set', 'cut', 'put'), fc.nat(), fc.oneof(fc.nat(255), fc.constantFrom(0, 255)))

/** The bytes of terms with some changed, cut out or put in. */
export const mutatedTerms: fc.Arbitrary<Buffer> = fc
  .tuple(terms, fc.array(change, { minLength: 1, maxLength: 4 }))
  .map(([term, changes]) => {
    const bytes = [...encode(term)]
    for (const [kind, where, value] of changes) {
      const at = 1 + (where % bytes.length)
      if (kind === 'set') bytes[at] = value
      else bytes.splice(at, kind === 'cut' ? 1 : 0, ...(kind === 'put' ? [value] : []))
    }
    return Buffer.from(bytes.map((byte) => byte ?? 0))
  })

const TAGS = [70, 77, 82, 88, 89, 90, ...Array.from({ length: 25 }, (_, i) => 97 + i)]

/** Random bytes after the version byte, many of them the tags of terms. */
export const hostileBytes: fc.Arbitrary<Buffer> = fc
  .array(fc.oneof(fc.constantFrom(...TAGS), fc.nat(255), fc.nat(3)), { maxLength: 60 })
  .map((bytes) => etf(Buffer.from(bytes)))

/** What becomes of a term on its way through Erlang: text comes back as a binary. */
export function throughErlang(term: unknown): unknown {
  if (typeof term === 'string') return Buffer.from(term)
  if (Array.isArray(term)) return term.map(throughErlang)
  if (term instanceof Tuple) return new Tuple(term.elements.map(throughErlang))
  if (term instanceof ImproperList) return new ImproperList(term.elements.map(throughErlang), throughErlang(term.tail))
  if (term instanceof Map) return new Map([...term].map(([key, value]) => [throughErlang(key), throughErlang(value)]))
  if (typeof term === 'object' && term !== null && Object.getPrototypeOf(term) === Object.prototype) {
    return Object.fromEntries(Object.entries(term).map(([key, value]) => [key, throughErlang(value)]))
  }
  return term
}

/** True when two values are the same term in the same form, atoms being the same object. */
export function isSameTerm(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false
  if (Object.getPrototypeOf(one) !== Object.getPrototypeOf(other) || one instanceof Atom) return false
  if (one instanceof Uint8Array) return one instanceof Buffer && one.equals(other as Buffer)
  if (one instanceof Pid) return one.equals(other)
  if (one instanceof Ref) return one.equals(other) && typeof one.id === typeof (other as Ref).id
  if (one instanceof Map) return isSameTerm([...one].sort(byKey), [...(other as typeof one)].sort(byKey))
  const keys = Object.keys(one)
  const theirs = other as Record<string, unknown>
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(theirs, key) && isSameTerm((one as typeof theirs)[key], theirs[key]))
  )
}

// The Maps here have numbers as keys; Erlang gives them back in its own order.
function byKey([one]: [unknown, unknown], [other]: [unknown, unknown]): number {
  return Number(one) - Number(other)
}
