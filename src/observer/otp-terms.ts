/** The terms in which OTP's functions answer, as plain data. */
import { Pid } from '../actors/pid.ts'
import { Atom, atomName, isTuple, Tuple } from '../dist/term.ts'

/** `[{key, Value}]` as an object; what is no pair under an atom is left out. */
export function properties(term: unknown): Readonly<Record<string, unknown>> {
  const found: Record<string, unknown> = {}
  if (!Array.isArray(term)) return found
  for (const pair of term as unknown[]) {
    if (!isTuple(pair, 2)) continue
    const key = atomName(pair.elements[0])
    if (key !== undefined && key !== '__proto__') found[key] = pair.elements[1]
  }
  return found
}

/** `{M, F, A}` as `m:f/a`; an atom, such as a registered name, as it is. */
export function functionText(term: unknown): string {
  if (isTuple(term, 3)) {
    const [module, name, arity] = term.elements
    return `${atomName(module) ?? '?'}:${atomName(name) ?? '?'}/${Array.isArray(arity) ? arity.length : String(arity)}`
  }
  return atomName(term) ?? '?'
}

/** The names of atoms in a list; what is none is left out. */
export function names(term: unknown): string[] {
  return Array.isArray(term) ? term.flatMap((item: unknown) => atomName(item) ?? []) : []
}

/** The pids in a list. */
export function pids(term: unknown): Pid[] {
  return Array.isArray(term) ? term.filter((item) => item instanceof Pid) : []
}

/** An atom as its name; any other term as it is. */
export function plain(term: unknown): unknown {
  if (term instanceof Atom) return term.name
  if (term instanceof Tuple && term.length === 3 && typeof term.elements[2] === 'number') return functionText(term)
  return term
}

/** Numbers of a property list, or of a list of pairs that begin with something else. */
export function numbers(term: unknown): Record<string, number> {
  const found: Record<string, number> = {}
  for (const [key, value] of Object.entries(properties(term))) if (typeof value === 'number') found[key] = value
  return found
}
