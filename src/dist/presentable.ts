/**
 * Makes plain data of any value, for what must be shown elsewhere whatever it holds: the state of a process, an exit reason.
 *
 * What has no term becomes text: a function its name, an instance its fields. What is deep, long or leads back to itself
 * is cut off, so that the result is always small enough to send.
 */
import { Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import { Atom, BitBinary, Export, Float, Fun, ImproperList, Port, Tuple } from './term.ts'

const MAX_DEPTH = 12
const MAX_ITEMS = 1000
const MAX_VALUES = 20_000

const TERMS: readonly (abstract new (...args: never[]) => object)[] = [
  Pid,
  Ref,
  Atom,
  BitBinary,
  Export,
  Float,
  Fun,
  ImproperList,
  Port,
  Uint8Array,
]

/** A copy of the value that can be sent. Never throws. */
export function presentable(value: unknown): unknown {
  const budget = { values: MAX_VALUES }
  try {
    return copy(value, [], budget)
  } catch {
    return 'unreadable'
  }
}

function copy(value: unknown, above: readonly object[], budget: { values: number }): unknown {
  if (--budget.values < 0) return '...'
  switch (typeof value) {
    case 'function':
      return `[function ${value.name}]`
    case 'symbol':
      return String(value)
    case 'object':
      return value === null ? null : copyObject(value, above, budget)
    default:
      return value
  }
}

function copyObject(value: object, above: readonly object[], budget: { values: number }): unknown {
  if (TERMS.some((term) => value instanceof term)) return value
  if (above.includes(value)) return '[circular]'
  if (above.length >= MAX_DEPTH) return '...'
  const path = [...above, value]
  const below = (item: unknown): unknown => copy(item, path, budget)
  if (value instanceof Tuple) return new Tuple(first(value.elements).map(below))
  if (Array.isArray(value)) return first(value).map(below)
  if (value instanceof Set) return first([...value]).map(below)
  if (value instanceof Map) return first([...value]).map(([key, item]) => new Tuple([below(key), below(item)]))
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  if (value instanceof Error) return { error: value.message, name: value.name }
  const result: Record<string, unknown> = {}
  for (const key of first(Object.keys(value))) {
    if (/\p{Surrogate}/u.test(key)) continue
    const shown = below((value as Record<string, unknown>)[key])
    Object.defineProperty(result, key, { value: shown, writable: true, enumerable: true, configurable: true })
  }
  return result
}

function first<T>(items: readonly T[]): readonly T[] {
  return items.length > MAX_ITEMS ? items.slice(0, MAX_ITEMS) : items
}
