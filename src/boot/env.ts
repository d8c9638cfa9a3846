/**
 * Settings from outside the file: `--set listeners.tcp.port=2883` and AGNER_LISTENERS__TCP__PORT=2883.
 *
 * A value is read as TOML first (2883, true, ["allow all"]) and, when its setting takes no such value, as the bare
 * text, so that `--set log.level=debug` needs no quotes. Environment names have two underscores between the parts of a
 * key; AGNER_COOKIE and the like, which have none, are no settings.
 */
import { parse } from 'smol-toml'
import { closest, flatten, isSetting, type Setting, type Settings } from '../broker/settings.ts'

/** A key and its value from outside the file, or what is wrong with it; `place` is how errors name it. */
export type Assignment =
  | { readonly ok: true; readonly place: string; readonly path: readonly string[]; readonly value: unknown }
  | { readonly ok: false; readonly place: string; readonly problem: string }

/** Reads the `KEY=VALUE` of a `--set`. */
export function assignmentOf(settings: Settings, text: string): Assignment {
  const equals = text.indexOf('=')
  const place = `--set ${equals < 0 ? text : text.slice(0, equals)}`
  if (equals <= 0) return { ok: false, place, problem: 'must be KEY=VALUE, such as --set listeners.tcp.port=2883' }
  return resolve(settings, text.slice(0, equals).split('.'), text.slice(equals + 1), place, (part) => part)
}

/** The settings among the environment's variables, in the order of their names. */
export function environmentAssignments(
  settings: Settings,
  env: Readonly<Record<string, string | undefined>>,
): Assignment[] {
  const assignments: Assignment[] = []
  for (const name of Object.keys(env).sort()) {
    const value = env[name]
    if (value === undefined || !name.startsWith('AGNER_') || !name.includes('__')) continue
    const parts = name.slice('AGNER_'.length).split('__')
    assignments.push(resolve(settings, parts, value, name, (part) => part.toLowerCase()))
  }
  return assignments
}

/** Walks to the setting that the parts of a key name; parts past it are a name of the user's in a map setting. */
function resolve(
  settings: Settings,
  parts: readonly string[],
  text: string,
  place: string,
  normalise: (part: string) => string,
): Assignment {
  let node: Settings | Setting<string, unknown> = settings
  const path: string[] = []
  for (const [index, part] of parts.entries()) {
    const step = normalise(part)
    const next: Settings | Setting<string, unknown> | undefined = Object.hasOwn(node, step)
      ? (node as Settings)[step]
      : undefined
    if (next === undefined) return { ok: false, place, problem: unknown(settings, [...path, step]) }
    path.push(step)
    node = next
    if (!isSetting(node)) continue
    const name = parts.slice(index + 1).join('.')
    if (name === '') return { ok: true, place, path, value: valueFor(node, text, (value) => value) }
    const value = valueFor(node, text, (entry) => ({ [name]: entry }))
    return { ok: true, place, path: [...path, name], value }
  }
  const keys = Object.keys(node)
  return { ok: false, place, problem: `is a table, not a setting; it has ${keys.join(', ')}` }
}

function valueFor(setting: Setting<string, unknown>, text: string, wrap: (value: unknown) => unknown): unknown {
  let value: unknown = text
  try {
    value = parse(`value = ${text}`).value
  } catch {
    return text
  }
  const takesText = setting.schema.safeParse(wrap(text)).success
  return !setting.schema.safeParse(wrap(value)).success && takesText ? text : value
}

function unknown(settings: Settings, path: readonly string[]): string {
  const keys = flatten(settings).map(([key]) => key.join('.'))
  const asked = path.join('.')
  const nearest = closest(asked, keys) ?? keys.find((key) => key.endsWith(`.${path.at(-1)}`))
  if (nearest) return `${asked} is not a setting; did you mean ${nearest}?`
  return `${asked} is not a setting; etc/agner.toml lists them all`
}
