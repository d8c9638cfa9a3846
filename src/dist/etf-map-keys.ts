/**
 * Whether the keys of a Map are different terms. They are different JavaScript values, but several values become one term: 'a'
 * and the binary of it, 1 and 1n, two equal tuples. A map with one key twice is corrupt to Erlang, which then drops
 * the connection, so it must not be sent.
 */
import { Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import { bytesKey, shortKey } from './short-key.ts'
import { Atom, atomName, BitBinary, Export, Float, Fun, ImproperList, Port, Tuple } from './term.ts'

/** Compares the keys of the maps of one term, and knows those that it has met: maps that are keys of maps are looked at once. */
export class MapKeys {
  readonly #known = new Map<object, string>()

  /** `keys` have been encoded before: they are terms, not cyclic and not too deep. */
  areDistinct(keys: Iterable<unknown>): boolean {
    const all = [...keys]
    if (all.length < 2 || areOfOneKind(all)) return true
    return new Set(all.map((key) => this.#text(key))).size === all.length
  }

  /** A text that is the same for two values exactly when they are the same term. */
  #text(term: unknown): string {
    const name = atomName(term)
    if (name !== undefined) return sized('a', name)
    switch (typeof term) {
      case 'number':
        return numberText(term)
      case 'bigint':
        // Hexadecimal text is made in linear time.
        return shortKey(`i${term.toString(16)}h;`)
      case 'string':
        return bytesKey('b', Buffer.from(term))
      default:
        return this.#objectText(term as object)
    }
  }

  #objectText(term: object): string {
    let text = this.#known.get(term)
    if (text === undefined) {
      text = this.#textOf(term)
      this.#known.set(term, text)
    }
    return text
  }

  #textOf(term: object): string {
    if (term instanceof Uint8Array) return bytesKey('b', term)
    if (Array.isArray(term)) return this.#sequence('l', term)
    if (term instanceof Tuple) return this.#sequence('t', term.elements)
    if (term instanceof ImproperList) return this.#sequence('c', [...term.elements, term.tail])
    if (term instanceof Float) return floatText(term.value)
    if (term instanceof Pid || term instanceof Ref) return sized('p', term.key)
    if (term instanceof Port) return sized('o', `${term.owner.name}/${term.owner.creation}/${term.id}`)
    if (term instanceof Export) return this.#sequence('e', [term.module, term.function, term.arity])
    if (term instanceof Fun) return bytesKey('f', term.encoded)
    if (term instanceof BitBinary) {
      const bytes = Buffer.from(term.bytes)
      bytes[bytes.length - 1]! &= 0xff << (8 - term.lastBits)
      return bytesKey(`s${term.lastBits}.`, bytes)
    }
    const entries: (readonly [string, unknown])[] =
      term instanceof Map
        ? [...term].map(([key, value]) => [this.#text(key), value])
        : Object.entries(term).map(([key, value]) => [sized('a', key), value])
    return sized(
      'm',
      entries
        .map(([key, value]) => key + this.#text(value))
        .sort()
        .join(''),
    )
  }

  #sequence(kind: string, elements: readonly unknown[]): string {
    return sized(kind, elements.map((element) => this.#text(element)).join(''))
  }
}

/** Strings, numbers and atoms are different terms when they are different values of one kind. */
function areOfOneKind(keys: readonly unknown[]): boolean {
  return (
    keys.every((key) => typeof key === 'string' && !/\p{Surrogate}/u.test(key)) ||
    keys.every((key) => typeof key === 'number') ||
    keys.every((key) => key instanceof Atom)
  )
}

function sized(kind: string, content: string): string {
  return shortKey(`${kind}${content.length}:${content}`)
}

function numberText(value: number): string {
  return Number.isSafeInteger(value) && !Object.is(value, -0) ? `i${value.toString(16)}h;` : floatText(value)
}

// -0 reads as 0 here: the two are one key to Erlang before OTP 27, and may be two to later ones.
function floatText(value: number): string {
  return `d${value};`
}
