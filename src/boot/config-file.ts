/**
 * The configuration of a node: defaults, then the TOML file, then the environment, then `--set`, the later over the
 * earlier. Everything that is wrong is reported at once, each with where it was written and what is allowed.
 *
 * The broker's settings are the broker's (src/broker/config.ts); what concerns the node and the program is added here.
 */
import { parse, TomlError } from 'smol-toml'
import { BROKER_SETTINGS } from '../broker/config.ts'
import { check, oneOf, type Settings, type Values } from '../broker/settings.ts'
import { CLUSTER_SETTINGS } from './cluster-settings.ts'
import { DIST_SETTINGS } from './dist-settings.ts'
import { type Assignment, assignmentOf, environmentAssignments } from './env.ts'
import { keyLines, lineOf } from './toml-lines.ts'

/** The settings of a node, as the tables of its configuration file. */
export const SETTINGS = {
  ...BROKER_SETTINGS,
  cluster: { ...CLUSTER_SETTINGS, ...BROKER_SETTINGS.cluster },
  dist: DIST_SETTINGS,
  log: {
    level: oneOf({
      field: 'level',
      default: 'info',
      values: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      doc: 'The least level that is logged, to stderr.',
    }),
    format: oneOf({
      field: 'format',
      default: 'auto',
      values: ['auto', 'pretty', 'json'],
      doc: '"pretty" for people, "json" one object a line; "auto" is pretty on a terminal and json otherwise.',
    }),
  },
} satisfies Settings

/** The configuration of a node. */
export type Config = Values<typeof SETTINGS>

/** What a configuration is made from. */
export interface ConfigSources {
  /** The file and its text; `name` is what errors call it. */
  readonly file?: { readonly name: string; readonly text: string } | undefined
  readonly env?: Readonly<Record<string, string | undefined>>
  /** The `KEY=VALUE` of each `--set`. */
  readonly sets?: readonly string[]
}

/** Sentences, each naming the place (`etc/agner.toml:12`), the key and what is allowed. */
export type ConfigErrors = readonly string[]

/** Reads, layers and checks a configuration. */
export function readConfig(
  sources: ConfigSources,
): { readonly ok: true; readonly config: Config } | { readonly ok: false; readonly errors: ConfigErrors } {
  const errors: string[] = []
  const places: Place[] = []
  const tree = sources.file ? readFile(sources.file, places, errors) : {}
  const assignments = [
    ...environmentAssignments(SETTINGS, sources.env ?? {}),
    ...(sources.sets ?? []).map((text) => assignmentOf(SETTINGS, text)),
  ]
  for (const assignment of assignments) {
    if (assignment.ok) assign(tree, assignment, places)
    else errors.push(`${assignment.place}: ${assignment.problem}`)
  }
  const result = check(SETTINGS, tree)
  if (result.ok) return errors.length === 0 ? { ok: true, config: result.value } : { ok: false, errors }
  for (const { path, problem } of result.problems) errors.push(`${placeOf(places, path)}${path.join('.')} ${problem}`)
  return { ok: false, errors }
}

/** Answers where a key was written, or nothing when this source did not write it. */
type Place = (path: readonly string[]) => string | undefined

type Table = Record<string, unknown>

function readFile({ name, text }: { name: string; text: string }, places: Place[], errors: string[]): Table {
  try {
    const tree = parse(text)
    const lines = keyLines(text)
    places.push((path) => {
      const line = lineOf(lines, path)
      return line === undefined ? name : `${name}:${line}`
    })
    return tree
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const reason = error.message.split('\n')[0]!.replace(/^Invalid TOML document: /, '')
    errors.push(`${name}:${error.line}:${error.column}: this is not TOML: ${reason}`)
    return {}
  }
}

function assign(tree: Table, { path, value, place }: Assignment & { ok: true }, places: Place[]): void {
  let table = tree
  for (const step of path.slice(0, -1)) {
    const next = table[step]
    // A file that has something else where a table belongs is reported by the check, which sees the file's value.
    if (next !== undefined && (typeof next !== 'object' || next === null || Array.isArray(next))) return
    const inner = (next ?? {}) as Table
    table[step] = inner
    table = inner
  }
  table[path.at(-1)!] = value
  const key = path.join('\0')
  places.push((asked) => (`${asked.join('\0')}\0`.startsWith(`${key}\0`) ? place : undefined))
}

function placeOf(places: readonly Place[], path: readonly string[]): string {
  for (const place of places.toReversed()) {
    const found = place(path)
    if (found !== undefined) return `${found}: `
  }
  return ''
}
