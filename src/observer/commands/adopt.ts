/**
 * Values that were made at a prompt, as values of this realm.
 *
 * What is typed runs in a context of its own, whose object literals are no plain objects here: the encoder of terms would refuse
 * them as instances of a class. Plain data is copied; everything else is the same thing on both sides.
 */
import { types } from 'node:util'

const MAX_DEPTH = 100

/** The value, with all plain data in it made anew. */
export function adopt(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return value
  if (Array.isArray(value)) return value.map((item) => adopt(item, depth + 1))
  if (types.isMap(value)) {
    return new Map(Array.from(value, ([key, item]) => [adopt(key, depth + 1), adopt(item, depth + 1)] as const))
  }
  if (types.isUint8Array(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, adopt(item, depth + 1)]))
}
