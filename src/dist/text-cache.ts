/**
 * Short texts that one peer sends often, such as the words that messages carry: found by their bytes, they are neither
 * made anew nor kept twice.
 *
 * A fixed number of slots and a hash of a few of the bytes: what falls into a slot replaces what was there, so nothing a peer sends makes it
 * slow or large.
 */

const SLOTS = 1024
/** Longer text is not looked for. */
export const MAX_CACHED_TEXT_BYTES = 24

export class TextCache {
  readonly #slots = new Array<string>(SLOTS).fill('')

  /** The text of `source[from, to)`, which is neither empty nor longer than allowed; undefined when it is not all ASCII. */
  ascii(source: Buffer, from: number, to: number): string | undefined {
    const slot = hashOf(source, from, to) & (SLOTS - 1)
    const known = this.#slots[slot]!
    if (isSame(known, source, from, to)) return known
    for (let i = from; i < to; i++) if (source[i]! > 127) return undefined
    const characters = source.toString('latin1', from, to)
    this.#slots[slot] = characters
    return characters
  }
}

/** A hash of a name or short text by its length and five of its bytes; `to` is greater than `from`. */
export function hashOf(source: Uint8Array, from: number, to: number): number {
  const length = to - from
  const last = to - 1
  let hash = (source[from]! << 5) ^ (source[from + (length >> 1)]! << 3) ^ (source[from + (length >> 2)]! << 8)
  hash = Math.imul(hash ^ source[last]! ^ (source[last - (length > 1 ? 1 : 0)]! << 6) ^ (length << 11), 0x9e3779b1)
  return hash >>> 15
}

function isSame(text: string, source: Uint8Array, from: number, to: number): boolean {
  const length = text.length
  if (length !== to - from) return false
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) !== source[from + i]) return false
  return true
}
