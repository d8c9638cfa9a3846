/** What commands were called with: checked where they are used, since it comes from a prompt. */
import { Pid } from '../../actors/pid.ts'
import { Ref } from '../../actors/ref.ts'
import { Atom } from '../../dist/term.ts'
import { inline } from '../print/print.ts'
import { MAX_ROWS } from '../rows.ts'
import { ObserverError, type ProcessRef } from '../target.ts'
import type { CommandContext } from './command.ts'

/** An argument that a command cannot use, as one line. */
export function badArgument(message: string): ObserverError {
  return new ObserverError(message, 'badarg')
}

/** A process: a pid, `'<1.12.0>'`, a registered name, or `{ name, node }`. */
export function processRef({ session }: CommandContext, value: unknown): ProcessRef {
  if (value instanceof Pid) return value
  if (value instanceof Atom) return value.name
  if (typeof value === 'string' && value.startsWith('<')) return session.pids.read(value)
  if (typeof value === 'string' && value !== '') return value
  const { name, node } = (typeof value === 'object' && value !== null ? value : {}) as {
    name?: unknown
    node?: unknown
  }
  if (typeof name === 'string' && typeof node === 'string') return { name, node: session.nodeName(node) }
  throw badArgument(`${inline(value)} is no process: give a pid, a registered name, or { name, node }`)
}

/** The name of a node; without a host it is on that of the observed node. */
export function nodeName({ session }: CommandContext, value: unknown): string {
  const name = value instanceof Atom ? value.name : value
  if (typeof name !== 'string' || name === '') throw badArgument(`${inline(value)} is no node name`)
  return session.nodeName(name)
}

export function word(value: unknown, what: string): string {
  const text = value instanceof Atom ? value.name : value
  if (typeof text !== 'string') throw badArgument(`${what} is text, not ${inline(value)}`)
  return text
}

export function oneOf<T extends string>(value: unknown, what: string, allowed: readonly T[], fallback: T): T {
  if (value === undefined) return fallback
  const found = allowed.find((candidate) => candidate === (value instanceof Atom ? value.name : value))
  if (found === undefined) throw badArgument(`${what} is one of ${allowed.join(', ')}, not ${inline(value)}`)
  return found
}

export function count(value: unknown, what: string, fallback: number, max: number = MAX_ROWS): number {
  if (value === undefined) return fallback
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max) {
    throw badArgument(`${what} is a number from 1 to ${max}, not ${inline(value)}`)
  }
  return value
}

/** An object of options with these properties only. */
export function options<K extends string>(
  value: unknown,
  allowed: readonly K[],
): Readonly<Partial<Record<K, unknown>>> {
  if (value === undefined) return {} as Readonly<Partial<Record<K, unknown>>>
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badArgument(`options are an object with ${allowed.join(', ')}, not ${inline(value)}`)
  }
  for (const key of Object.keys(value)) {
    if (!(allowed as readonly string[]).includes(key))
      throw badArgument(`${key} is no option: ${allowed.join(', ')} are`)
  }
  return value as Readonly<Partial<Record<K, unknown>>>
}

/** A table: its name, or the reference of one without a name. */
export function tableRef(value: unknown): string | Ref {
  return value instanceof Ref ? value : word(value, 'a table')
}
