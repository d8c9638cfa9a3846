/**
 * Values of JavaScript that Erlang has no term for, as terms that only nodes of ours make: exports of a module that does not exist.
 *
 * | here | on the wire |
 * |---|---|
 * | Infinity, -Infinity, NaN | `fun agner:infinity/0`, `fun agner:minus_infinity/0`, `fun agner:nan/0` |
 * | an object with keys that can be no atoms | a map from texts, and `fun agner:object/0` among its keys |
 *
 * They are terms like any other to Erlang, which can store them and send them on; between nodes of ours every plain value
 * arrives as what it was. A number or a map with an atom in its place could be mistaken for one of Erlang's own.
 */
import { atom, Export, text } from './term.ts'

const MODULE = atom('agner')
const NO_ARGUMENTS = 0

const NUMBERS: ReadonlyMap<string, number> = new Map([
  ['infinity', Number.POSITIVE_INFINITY],
  ['minus_infinity', Number.NEGATIVE_INFINITY],
  ['nan', Number.NaN],
])

/** Among the keys of a map it says that the map was an object. */
export const OBJECT: Export = new Export(MODULE, atom('object'), NO_ARGUMENTS)

const EXPORTS = new Map(Array.from(NUMBERS, ([name, value]) => [value, new Export(MODULE, atom(name), NO_ARGUMENTS)]))

/** The term of a number that is not finite. */
export function exportOfNumber(value: number): Export {
  return EXPORTS.get(value)!
}

/** The value that a decoded export stands for; nearly all stand for themselves. */
export function valueOfExport(term: Export): Export | number {
  if (term.module !== MODULE || term.arity !== NO_ARGUMENTS) return term
  const { name } = term.function
  return name === OBJECT.function.name ? OBJECT : (NUMBERS.get(name) ?? term)
}

/** The object that a decoded map was, when it says that it was one. Texts that went through Erlang are binaries. */
export function objectOfMap(map: Map<unknown, unknown>): Map<unknown, unknown> | Record<string, unknown> {
  if (!map.has(OBJECT)) return map
  const object: Record<string, unknown> = {}
  for (const [key, value] of map) {
    if (key === OBJECT) continue
    const name = text(key)
    if (name === undefined) return map
    // An assignment to `__proto__` would change the object's prototype.
    Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
  }
  return object
}
