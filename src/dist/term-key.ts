/**
 * A string for each term, equal for terms that Erlang holds equal and different for others: so that terms can be keys of a Map.
 *
 * A text of ours and the binary as which Erlang sends it back are one key; so are the forms of a pid that has travelled.
 */
import { Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import { encode } from './etf-encode.ts'
import { bytesKey, shortKey } from './short-key.ts'
import { atomName, Float, ImproperList, Tuple } from './term.ts'

/** The key of a term. Throws `UnsendableError` for a value that is none. */
export function termKey(term: unknown): string {
  const name = atomName(term)
  if (name !== undefined) return counted('a', name)
  if (typeof term === 'number') return counted('n', String(term))
  // Hexadecimal text is made in linear time.
  if (typeof term === 'bigint') return counted('n', term.toString(16))
  if (typeof term === 'string') return bytesKey('b', Buffer.from(term))
  if (term instanceof Uint8Array) return bytesKey('b', term)
  if (term instanceof Float) return counted('n', String(term.value))
  if (term instanceof Pid) return counted('p', term.key)
  if (term instanceof Ref) return counted('r', term.key)
  if (term instanceof Tuple) return listed('t', term.elements.map(termKey))
  if (Array.isArray(term)) return listed('l', term.map(termKey))
  if (term instanceof ImproperList) return listed('i', [...term.elements, term.tail].map(termKey))
  if (term instanceof Map) return listed('m', entryKeys([...term]))
  if (isPlainObject(term))
    return listed(
      'm',
      Object.entries(term)
        .map(([key, value]) => counted('a', key) + termKey(value))
        .sort(),
    )
  return bytesKey('x', encode(term))
}

function entryKeys(entries: readonly (readonly [unknown, unknown])[]): string[] {
  return entries.map(([key, value]) => termKey(key) + termKey(value)).sort()
}

function isPlainObject(term: unknown): term is object {
  return typeof term === 'object' && term !== null && Object.getPrototypeOf(term) === Object.prototype
}

/** The length stands before the text, so that no two terms run together. */
function counted(kind: string, text: string): string {
  return shortKey(`${kind}${text.length}:${text}`)
}

function listed(kind: string, keys: readonly string[]): string {
  return shortKey(`${kind}${keys.length}(${keys.join('')})`)
}
