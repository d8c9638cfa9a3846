/**
 * Values that were made at a prompt, as values of this realm.
 *
 * What is typed runs in a context of its own, whose object literals are no plain objects here: the encoder of terms would refuse
 * them as instances of a class. Plain data is copied; everything else is the same thing on both sides. What comes later, such as
 * the `self()` in `send(rex, [self(), 1])`, is waited for wherever it stands.
 */
import { types } from 'node:util'
import { ImproperList, Tuple } from '../../dist/term.ts'

const MAX_DEPTH = 100

/** The value, with all plain data in it made anew. Rejects as the promises in it do. */
export async function adopt(given: unknown, depth = 0): Promise<unknown> {
  const value = await given
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return value
  const below = (item: unknown): Promise<unknown> => adopt(item, depth + 1)
  const all = (items: readonly unknown[]): Promise<unknown[]> => Promise.all(items.map(below))
  if (Array.isArray(value)) return all(value)
  if (value instanceof Tuple) return new Tuple(await all(value.elements))
  if (value instanceof ImproperList) return new ImproperList(await all(value.elements), await below(value.tail))
  if (types.isMap(value)) {
    const [keys, items] = [await all([...value.keys()]), await all([...value.values()])]
    return new Map(keys.map((key, at) => [key, items[at]]))
  }
  if (types.isUint8Array(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return value
  const keys = Object.keys(value)
  const items = await all(Object.values(value))
  return Object.fromEntries(keys.map((key, at) => [key, items[at]]))
}
