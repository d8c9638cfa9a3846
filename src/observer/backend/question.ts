/**
 * The arguments of a question to the backend, whoever asks: an observer of ours sends strings, an Erlang shell atoms and
 * binaries. What is none of the allowed values is told in a sentence, and ends nothing.
 */
import { Pid } from '../../actors/pid.ts'
import { Ref } from '../../actors/ref.ts'
import { Atom, text } from '../../dist/term.ts'
import { DEFAULT_ROWS, MAX_ROWS } from '../rows.ts'

/** A question that cannot be answered; the message is for the one who asked. */
export class BadQuestion extends Error {
  override readonly name = 'BadQuestion'
}

/** The properties of a query, or none. */
export function queryOf(term: unknown): Readonly<Record<string, unknown>> {
  if (term === undefined) return {}
  if (typeof term !== 'object' || term === null || Array.isArray(term) || term instanceof Map) {
    throw new BadQuestion('a query is an object, such as { limit: 10 }')
  }
  return term as Readonly<Record<string, unknown>>
}

/** Text as an atom, a string or a binary; undefined when it is left out. */
export function wordOf(term: unknown, what: string): string | undefined {
  if (term === undefined) return undefined
  const word = term instanceof Atom ? term.name : text(term)
  if (word === undefined) throw new BadQuestion(`${what} is text`)
  return word
}

/** Text to look for, or properties that a row must have. */
export function matchOf(term: unknown): string | Readonly<Record<string, unknown>> | undefined {
  if (term === undefined) return undefined
  const word = plain(term)
  if (typeof word === 'string') return word
  return Object.fromEntries(Object.entries(queryOf(term)).map(([property, value]) => [property, plain(value)]))
}

/** Rows hold strings where an Erlang shell has atoms and binaries. */
function plain(term: unknown): unknown {
  return term instanceof Atom ? term.name : term instanceof Uint8Array ? (text(term) ?? term) : term
}

export function oneOf<T extends string>(term: unknown, what: string, allowed: readonly T[], fallback: T): T {
  const word = wordOf(term, what)
  if (word === undefined) return fallback
  const found = allowed.find((candidate) => candidate === word)
  if (found === undefined) throw new BadQuestion(`${what} is one of ${allowed.join(', ')}, not ${word}`)
  return found
}

export function numberOf(term: unknown, what: string, fallback: number, max: number): number {
  if (term === undefined) return fallback
  if (typeof term !== 'number' || !Number.isInteger(term) || term < 1) {
    throw new BadQuestion(`${what} is a number from 1 to ${max}`)
  }
  return Math.min(term, max)
}

/** Rows of a page. */
export function limitOf(term: unknown): number {
  return numberOf(term, 'limit', DEFAULT_ROWS, MAX_ROWS)
}

export function pidOf(term: unknown): Pid {
  if (!(term instanceof Pid)) throw new BadQuestion('a process is given by its pid')
  return term
}

/** A name, or the reference of what has none. */
export function nameOrRef(term: unknown, what: string): string | Ref {
  if (term instanceof Ref) return term
  const name = wordOf(term, what)
  if (name === undefined) throw new BadQuestion(`${what} is given by its name`)
  return name
}
