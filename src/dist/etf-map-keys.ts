/**
 * Whether the keys of a Map are different terms. They are different JavaScript values, but several values become one term: 'a'
 * and the binary of it, 1 and 1n, two equal tuples. A map with one key twice is corrupt to Erlang, which then drops
 * the connection, so it must not be sent.
 */
import { Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import { Atom, atomName, BitBinary, Export, Float, Fun, ImproperList, Port, Tuple } from './term.ts'

/** `keys` have been encoded before: they are terms, not cyclic and not too deep. */
export function areDistinctKeys(keys: Iterable<unknown>): boolean {
  const all = [...keys]
  if (all.length < 2 || areOfOneKind(all)) return true
  return new Set(all.map(keyText)).size === all.length
}

/** Strings, numbers and atoms are different terms when they are different values of one kind. */
function areOfOneKind(keys: readonly unknown[]): boolean {
  return (
    keys.every((key) => typeof key === 'string' && !/\p{Surrogate}/u.test(key)) ||
    keys.every((key) => typeof key === 'number') ||
    keys.every((key) => key instanceof Atom)
  )
}

/** A text that is the same for two values exactly when they are the same term. */
function keyText(term: unknown): string {
  const name = atomName(term)
  if (name !== undefined) return sized('a', name)
  switch (typeof term) {
    case 'number':
      return numberText(term)
    case 'bigint':
      return `i${term};`
    case 'string':
      return sized('b', Buffer.from(term).toString('latin1'))
    default:
      return objectText(term as object)
  }
}

function objectText(term: object): string {
  if (term instanceof Uint8Array) return sized('b', Buffer.from(term).toString('latin1'))
  if (Array.isArray(term)) return sequence('l', term)
  if (term instanceof Tuple) return sequence('t', term.elements)
  if (term instanceof ImproperList) return `${sequence('c', term.elements)}${keyText(term.tail)}`
  if (term instanceof Float) return floatText(term.value)
  if (term instanceof Pid || term instanceof Ref) return sized('p', term.key)
  if (term instanceof Port) return sized('o', `${term.owner.name}/${term.owner.creation}/${term.id}`)
  if (term instanceof Export) return sequence('e', [term.module, term.function, term.arity])
  if (term instanceof Fun) return sized('f', term.encoded.toString('latin1'))
  if (term instanceof BitBinary) {
    const bytes = Buffer.from(term.bytes)
    bytes[bytes.length - 1]! &= 0xff << (8 - term.lastBits)
    return sized(`s${term.lastBits}`, bytes.toString('latin1'))
  }
  const entries: (readonly [string, unknown])[] =
    term instanceof Map
      ? [...term].map(([key, value]) => [keyText(key), value])
      : Object.entries(term).map(([key, value]) => [sized('a', key), value])
  return sized(
    'm',
    entries
      .map(([key, value]) => key + keyText(value))
      .sort()
      .join(''),
  )
}

function sequence(kind: string, elements: readonly unknown[]): string {
  return sized(kind, elements.map(keyText).join(''))
}

function sized(kind: string, content: string): string {
  return `${kind}${content.length}:${content}`
}

function numberText(value: number): string {
  return Number.isSafeInteger(value) && !Object.is(value, -0) ? `i${value};` : floatText(value)
}

// -0 reads as 0 here: the two are one key to Erlang before OTP 27, and may be two to later ones.
function floatText(value: number): string {
  return `d${value};`
}
