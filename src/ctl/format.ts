/** The forms in which emqttd prints what it has. */
import { type Outcome, refused } from './command.ts'

/** Rows from which a list is not printed any more: who needs all of them asks the HTTP API, page by page. */
const MAX_ROWS = 10_000

/** `label     : value` lines with the labels padded to one width. */
export function labelled(width: number, entries: Iterable<readonly [label: string, value: unknown]>): string[] {
  return [...entries].map(([label, value]) => `${label.padEnd(width)}: ${value}`)
}

/** `Client(id, clean_sess=true, …)`: what something is called, then its fields. */
export function record(kind: string, id: string, fields: readonly (readonly [name: string, value: unknown])[]): string {
  return `${kind}(${[id, ...fields.map(([name, value]) => `${name}=${value ?? 'undefined'}`)].join(', ')})`
}

/** An atom as Erlang prints it. */
export function atomText(name: string): string {
  return /^[a-z][\w@]*$/.test(name) ? name : `'${name.replaceAll("'", "\\'")}'`
}

/** A list of atoms as Erlang prints it: `['n1@127.0.0.1',a]`. */
export function atomList(names: readonly string[]): string {
  return `[${names.map(atomText).join(',')}]`
}

/** Seconds since 1970. */
export function unixSeconds(ms: number): number {
  return Math.floor(ms / 1000)
}

/** What is said instead of a list that is too long; undefined for one that is not. */
export function tooMany(things: string, count: number): Outcome | undefined {
  return count < MAX_ROWS ? undefined : refused(`Could not list, too many ${things}: ${count}`, 'too_many')
}
