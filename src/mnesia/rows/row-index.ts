/**
 * An index: which keys have a row with a certain value in a field [OTP mnesia:add_table_index/2].
 *
 * It holds keys, not rows, so a row that is replaced by one with the same value costs nothing here. In a bag several rows of a key
 * may have the value, so they are counted. Values are the same when `sameValue` says so.
 */
import { termKey } from '../../dist/term-key.ts'
import { KeyMap } from './key-map.ts'
import { isObject } from './same-value.ts'

const NO_KEYS: readonly never[] = Object.freeze([])

/** The only key that has a value, once; or the keys with the number of their rows. */
type Holders = string | Map<string, number>

/** What an index asks of a map. */
interface HolderMap<K> {
  get(key: K): Holders | undefined
  set(key: K, holders: Holders): unknown
  delete(key: K): unknown
}

export class RowIndex {
  readonly #texts = new KeyMap<Holders>()
  /** By `termKey`. */
  readonly #terms = new KeyMap<Holders>()
  readonly #others = new Map<unknown, Holders>()

  /** Notes that a key has one more row with the value. */
  add(value: unknown, key: string): void {
    if (typeof value === 'string') add(this.#texts, value, key)
    else if (isObject(value)) add(this.#terms, termKey(value), key)
    else add(this.#others, value, key)
  }

  /** Notes that a key has one row less with the value. */
  delete(value: unknown, key: string): void {
    if (typeof value === 'string') remove(this.#texts, value, key)
    else if (isObject(value)) remove(this.#terms, termKey(value), key)
    else remove(this.#others, value, key)
  }

  /** Keys that have a row with the value, each once. */
  keys(value: unknown): Iterable<string> {
    const holders = this.#holders(value)
    if (holders === undefined) return NO_KEYS
    return typeof holders === 'string' ? [holders] : holders.keys()
  }

  clear(): void {
    this.#texts.clear()
    this.#terms.clear()
    this.#others.clear()
  }

  #holders(value: unknown): Holders | undefined {
    if (typeof value === 'string') return this.#texts.get(value)
    return isObject(value) ? this.#terms.get(termKey(value)) : this.#others.get(value)
  }
}

function add<K>(map: HolderMap<K>, value: K, key: string): void {
  const holders = map.get(value)
  if (holders === undefined) map.set(value, key)
  else if (typeof holders !== 'string') holders.set(key, (holders.get(key) ?? 0) + 1)
  else if (holders === key) map.set(value, new Map([[key, 2]]))
  else map.set(value, new Map([[holders, 1]]).set(key, 1))
}

function remove<K>(map: HolderMap<K>, value: K, key: string): void {
  const holders = map.get(value)
  if (holders === key) map.delete(value)
  if (holders === undefined || typeof holders === 'string') return
  const count = holders.get(key) ?? 0
  if (count > 1) holders.set(key, count - 1)
  else holders.delete(key)
  if (holders.size === 0) map.delete(value)
}
