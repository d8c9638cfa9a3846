/**
 * An index: which keys have a row with a certain value in a field [OTP mnesia:add_table_index/2].
 *
 * It holds keys, not rows, so a row that is replaced by one with the same value costs nothing here. Values are compared as `===` does,
 * except that NaN is equal to itself: an index is for strings, numbers and booleans. An object, such as a pid, is found only by the same object.
 */
import { KeyMap } from './key-map.ts'

const NO_KEYS: readonly never[] = Object.freeze([])

export class RowIndex {
  /** Value → the only key that has it, or several. */
  readonly #texts = new KeyMap<string | Set<string>>()
  readonly #others = new Map<unknown, Set<string>>()

  /** Notes that a key has a row with the value. Does no harm when that is known. */
  add(value: unknown, key: string): void {
    if (typeof value !== 'string') {
      const keys = this.#others.get(value)
      if (keys === undefined) this.#others.set(value, new Set([key]))
      else keys.add(key)
      return
    }
    const held = this.#texts.get(value)
    if (held === undefined) this.#texts.set(value, key)
    else if (typeof held !== 'string') held.add(key)
    else if (held !== key) this.#texts.set(value, new Set([held, key]))
  }

  /** Notes that a key has no row with the value any more. */
  delete(value: unknown, key: string): void {
    if (typeof value !== 'string') {
      const keys = this.#others.get(value)
      if (keys?.delete(key) === true && keys.size === 0) this.#others.delete(value)
      return
    }
    const held = this.#texts.get(value)
    if (held === key) this.#texts.delete(value)
    else if (held !== undefined && typeof held !== 'string' && held.delete(key) && held.size === 1) {
      for (const last of held) this.#texts.set(value, last)
    }
  }

  /** Keys that have a row with the value, each once. */
  keys(value: unknown): Iterable<string> {
    const held = typeof value === 'string' ? this.#texts.get(value) : this.#others.get(value)
    if (held === undefined) return NO_KEYS
    return typeof held === 'string' ? [held] : held
  }

  clear(): void {
    this.#texts.clear()
    this.#others.clear()
  }
}
