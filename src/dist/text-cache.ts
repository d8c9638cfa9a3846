/**
 * Short texts that one peer sends often, such as the words that messages carry: found by their bytes, they are neither
 * made anew nor kept twice.
 *
 * A fixed number of slots and a hash of a few of the bytes: what falls into a slot replaces what was there, so nothing a peer sends makes it
 * slow or large.
 */

const SLOTS = 1024
/** Longer text is not looked for. */
export const MAX_CACHED_TEXT_BYTES = 40

export class TextCache {
  readonly #texts = new Array<string>(SLOTS).fill('')
  /** The bytes of the text of each slot, side by side: they compare faster than characters do. */
  readonly #bytes = new Uint8Array(SLOTS * MAX_CACHED_TEXT_BYTES)

  /** The text of `source[from, to)`, which is neither empty nor longer than allowed; undefined when it is not all ASCII. */
  ascii(source: Buffer, from: number, to: number): string | undefined {
    const slot = hashOf(source, from, to) & (SLOTS - 1)
    const bytes = this.#bytes
    const known = this.#texts[slot]!
    const base = slot * MAX_CACHED_TEXT_BYTES
    const length = to - from
    if (known.length === length) {
      let i = 0
      while (i < length && bytes[base + i] === source[from + i]) i++
      if (i === length) return known
    }
    let highest = 0
    for (let i = 0; i < length; i++) {
      const byte = source[from + i]!
      bytes[base + i] = byte
      highest |= byte
    }
    const characters = highest > 127 ? '' : source.toString('latin1', from, to)
    this.#texts[slot] = characters
    return characters === '' ? undefined : characters
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
