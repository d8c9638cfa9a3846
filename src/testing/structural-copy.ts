/**
 * Copies a message as crossing to another node would: plain data arrives as new objects, everything else not at all.
 *
 * Processes of one OS process can share objects by accident, and code that relies on it fails on the first day of a real
 * cluster. With copies, what two nodes share is what was sent. Symbol-keyed fields stay behind, as with any encoding.
 */
import { Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'

/** A message that could not be sent to another node. */
export class NotPlainDataError extends Error {
  override readonly name = 'NotPlainDataError'
  readonly code = 'not_plain_data'
}

/** Deeper than any message; what is deeper refers to itself. */
const MAX_DEPTH = 100

/**
 * Returns a deep copy: strings, numbers, booleans, bigints, undefined and null as they are; plain objects, arrays and buffers
 * new; pids and refs as new objects of the same value. Throws `NotPlainDataError` naming the place for anything else.
 */
export function structuralCopy(value: unknown): unknown {
  return copy(value, [])
}

/** `path`: the fields that lead to the value; named only when something is refused. */
function copy(value: unknown, path: (string | number)[]): unknown {
  if (isAtomic(value)) return value
  if (typeof value !== 'object') throw refusal(path, typeof value)
  if (path.length > MAX_DEPTH) throw refusal(path, 'structure without end')
  if (value instanceof Pid) return new Pid({ ...value.owner }, value.id, value.serial)
  if (value instanceof Ref) {
    return new Ref({ ...value.owner }, typeof value.id === 'number' ? value.id : [...value.id])
  }
  if (Buffer.isBuffer(value)) return Buffer.from(value)
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (Array.isArray(value)) return value.map((item, i) => copyField(item, path, i))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw refusal(path, `instance of ${(value as object).constructor?.name ?? 'an unnamed class'}`)
  }
  const result: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const copied = copyField((value as Record<string, unknown>)[key], path, key)
    // An assignment to this key would change the prototype instead.
    if (key === '__proto__') Object.defineProperty(result, key, { ...FIELD, value: copied })
    else result[key] = copied
  }
  return result
}

/** Most fields are. */
function isAtomic(value: unknown): value is string | number | bigint | boolean | null | undefined {
  return value === null || (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol')
}

function copyField(value: unknown, path: (string | number)[], key: string | number): unknown {
  if (isAtomic(value)) return value
  path.push(key)
  const copied = copy(value, path)
  path.pop()
  return copied
}

const FIELD = { writable: true, enumerable: true, configurable: true } as const

function refusal(path: readonly (string | number)[], what: string): NotPlainDataError {
  const fields = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`))
  return new NotPlainDataError(`message${fields.join('')} is no plain data: ${what}`)
}
