/**
 * Exit reasons as Erlang's terms and back.
 *
 * Here a reason is plain data with strings where OTP has atoms; there, `normal` and `{shutdown, X}` are what supervisors compare
 * with. The mapping is exact for reasons between our own nodes, and for Erlang's reasons that pass through one of ours:
 *
 * | here | Erlang |
 * |---|---|
 * | `'noproc'`, a string that looks like an atom | `noproc` |
 * | any other string | a binary |
 * | `{ shutdown: x }`, an object of one key | `{shutdown, X}` |
 * | `ErrorReason` | `{{Name, Message}, StackLines}` |
 * | anything else | as in a message |
 */
import type { ErrorReason, ExitReason } from '../actors/errors.ts'
import { Atom, atom, Tuple, tuple } from './term.ts'

/** Reasons within reasons; what is deeper travels as in a message. */
const MAX_DEPTH = 32

/** The term of an exit reason. */
export function reasonToTerm(reason: ExitReason, depth = 0): unknown {
  if (typeof reason === 'string') return isAtomLike(reason) ? atom(reason) : reason
  if (typeof reason !== 'object' || reason === null || depth > MAX_DEPTH) return reason
  if (isErrorReason(reason)) {
    const lines = reason.stack?.split('\n')
    return tuple(tuple(nameToTerm(reason.name), reason.error), lines)
  }
  const key = onlyKey(reason)
  if (key === undefined || !isAtomLike(key)) return reason
  return tuple(atom(key), reasonToTerm((reason as Record<string, unknown>)[key], depth + 1))
}

/** The exit reason of a term that a peer sent. */
export function reasonFromTerm(term: unknown, depth = 0): ExitReason {
  if (term instanceof Atom) return isAtomLike(term.name) ? term.name : term
  if (!(term instanceof Tuple) || term.length !== 2 || depth > MAX_DEPTH) return term
  const [first, second] = term.elements
  if (first instanceof Atom) {
    return isAtomLike(first.name) ? { [first.name]: reasonFromTerm(second, depth + 1) } : term
  }
  return errorReasonFromTerm(first, second) ?? term
}

function errorReasonFromTerm(what: unknown, lines: unknown): ErrorReason | undefined {
  if (!(what instanceof Tuple) || what.length !== 2) return undefined
  const [nameTerm, error] = what.elements
  const name = nameTerm instanceof Atom ? nameTerm.name : nameTerm
  if (typeof name !== 'string' || typeof error !== 'string') return undefined
  if (lines === undefined) return { error, name, stack: undefined }
  const isText = Array.isArray(lines) && lines.length > 0 && lines.every((line) => typeof line === 'string')
  return isText ? { error, name, stack: lines.join('\n') } : undefined
}

function isErrorReason(reason: object): reason is ErrorReason {
  const { error, name, stack } = reason as Partial<ErrorReason>
  return (
    typeof error === 'string' &&
    typeof name === 'string' &&
    (stack === undefined || typeof stack === 'string') &&
    Object.keys(reason).length === 3
  )
}

/** Names of classes and codes are few; a name that is no word is kept out of the peer's atom table. */
function nameToTerm(name: string): unknown {
  return /^[A-Za-z_]\w*$/.test(name) && name.length <= 64 ? atom(name) : name
}

/**
 * A word as OTP writes its reasons. Longer texts stay texts, as Erlang never forgets an atom; the four words are other values
 * here.
 */
function isAtomLike(word: string): boolean {
  return word.length <= 64 && /^[a-z]\w*$/.test(word) && !OTHER_VALUES.has(word)
}

const OTHER_VALUES: ReadonlySet<string> = new Set(['true', 'false', 'undefined', 'null'])

/** The key of a plain object that has only one. */
function onlyKey(value: object): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return undefined
  const keys = Object.keys(value)
  return keys.length === 1 ? keys[0] : undefined
}
