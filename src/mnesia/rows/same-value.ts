/**
 * When two values of a field are the same: as terms, so that a pid which has travelled is the pid that it was.
 *
 * Values that are no objects are compared as a Map does: NaN is equal to itself, and 0 to -0.
 */
import { termKey } from '../../dist/term-key.ts'
import type { TableDefinition } from '../definition.ts'

export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true
  return isObject(a) && isObject(b) && termKey(a) === termKey(b)
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Whether two rows of a key are the same in all of their fields; where the definition has `bytes` of its own, whether these are. */
export function sameRow<Row>({ bytes }: TableDefinition<Row>, a: Row, b: Row): boolean {
  if (a === b) return true
  return bytes === undefined ? sameValue(a, b) : Buffer.compare(bytes.encode(a), bytes.encode(b)) === 0
}
