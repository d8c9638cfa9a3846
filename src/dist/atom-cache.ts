/**
 * The atoms that one peer sends often, found by their raw bytes: no text is made and no table is asked for them again.
 *
 * It has a fixed number of slots; a new name takes the slot of an old one. Names that are only map keys or node names
 * are kept as text and become no atoms.
 */
import { isUtf8 } from 'node:buffer'
import { type Atom, type AtomQuota, atomFromPeer, isAtomName } from './atom-table.ts'
import { hashOf } from './text-cache.ts'

const SLOTS = 4096

/** The value of an atom: a JavaScript value for `true`, `false`, `undefined` and `null`. */
export type AtomValue = Atom | boolean | undefined | null

export class CachedAtom {
  /** The name in UTF-8. */
  readonly bytes: Uint8Array
  readonly name: string
  #value: AtomValue
  #hasValue = false

  constructor(bytes: Uint8Array, name: string) {
    this.bytes = bytes
    this.name = name
    switch (name) {
      case 'true':
      case 'false':
        this.#know(name === 'true')
        break
      case 'undefined':
        this.#know(undefined)
        break
      case 'null':
        this.#know(null)
    }
  }

  /** The value; throws `onSpent` when the atom is new and the peer's quota is spent. */
  value(quota: AtomQuota, onSpent: () => never): AtomValue {
    return this.#hasValue ? this.#value : this.#know(atomFromPeer(this.name, quota) ?? onSpent())
  }

  #know(value: AtomValue): AtomValue {
    this.#value = value
    this.#hasValue = true
    return value
  }
}

export class AtomCache {
  readonly #slots = new Array<CachedAtom | undefined>(SLOTS)

  /** The atom whose name is `source[from, to)` in UTF-8; undefined when that is no atom's name. */
  utf8(source: Buffer, from: number, to: number): CachedAtom | undefined {
    const slot = from === to ? 0 : hashOf(source, from, to) & (SLOTS - 1)
    const known = this.#slots[slot]
    if (known !== undefined && isSame(known.bytes, source, from, to)) return known
    const bytes = source.subarray(from, to)
    if (!isUtf8(bytes)) return undefined
    const name = source.toString('utf8', from, to)
    if (!isAtomName(name)) return undefined
    const made = new CachedAtom(Uint8Array.from(bytes), name)
    this.#slots[slot] = made
    return made
  }

  /** The same for a name in Latin-1, as older nodes send it. */
  latin1(source: Buffer, from: number, to: number): CachedAtom | undefined {
    for (let i = from; i < to; i++) {
      if (source[i]! > 127) {
        const bytes = Buffer.from(source.toString('latin1', from, to))
        return this.utf8(bytes, 0, bytes.length)
      }
    }
    return this.utf8(source, from, to)
  }
}

function isSame(bytes: Uint8Array, source: Uint8Array, from: number, to: number): boolean {
  if (bytes.length !== to - from) return false
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== source[from + i]) return false
  return true
}
