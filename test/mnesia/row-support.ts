/** Rows with all that rows may hold, and whether two are the same. */
import fc from 'fast-check'
import { Ref } from '../../src/actors/ref.ts'
import { atom, ImproperList, Tuple } from '../../src/dist/term.ts'
import { isSameTerm, terms } from '../dist/etf-support.ts'

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\ud800', 'a\udc00b', '', '__proto__', 'x'.repeat(300), 'constructor'),
)

/** What rows may hold beyond what the wire gives back as it went. */
export const rows = fc.letrec<{ row: unknown }>((tie) => ({
  row: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    terms,
    text,
    fc.double(),
    fc.constantFrom(undefined, null, Number.NaN, Number.POSITIVE_INFINITY, -0, 0),
    fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
    fc.uint8Array({ maxLength: 40 }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.date(),
    fc.array(tie('row'), { maxLength: 5 }),
    fc.array(tie('row'), { maxLength: 4 }).map((elements) => new Tuple([atom('$row'), ...elements])),
    fc.dictionary(text, tie('row'), { maxKeys: 5 }),
    fc.array(fc.tuple(tie('row'), tie('row')), { maxLength: 4 }).map((entries) => new Map(entries)),
    fc.array(tie('row'), { maxLength: 4 }).map((values) => new Set(values)),
  ),
})).row

export function isSameRow(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false
  if (Object.getPrototypeOf(one) !== Object.getPrototypeOf(other)) return false
  if (one instanceof Set || one instanceof Map) return isSameRow([...one], [...(other as typeof one)])
  if (one instanceof Date) return Object.is(one.getTime(), (other as Date).getTime())
  if (one instanceof Uint8Array) return Buffer.compare(one, other as Uint8Array) === 0
  if (Array.isArray(one) || one instanceof Tuple) {
    const others = [...(other as typeof one)]
    return one.length === others.length && [...one].every((element, i) => isSameRow(element, others[i]))
  }
  const prototype = Object.getPrototypeOf(one)
  if (one instanceof ImproperList) return isSameRow([...one.elements, one.tail], improper(other))
  // A reference comes back in the form of a foreign one: the reader of rows is no node.
  if (one instanceof Ref) return one.equals(other)
  if (prototype !== null && prototype !== Object.prototype) return isSameTerm(one, other)
  const [keys, otherKeys] = [Object.keys(one), Object.keys(other)]
  const [mine, theirs] = [one as Record<string, unknown>, other as Record<string, unknown>]
  return isSameRow(keys, otherKeys) && keys.every((key) => isSameRow(mine[key], theirs[key]))
}

function improper(list: unknown): unknown[] {
  const { elements, tail } = list as ImproperList
  return [...elements, tail]
}
