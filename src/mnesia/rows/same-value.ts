/**
 * When two values of a field are the same: as terms, so that a pid which has travelled is the pid that it was.
 *
 * Values that are no objects are compared as a Map does: NaN is equal to itself, and 0 to -0.
 */
import { termKey } from '../../dist/term-key.ts'

export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true
  return isObject(a) && isObject(b) && termKey(a) === termKey(b)
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
