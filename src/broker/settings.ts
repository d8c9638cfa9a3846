/**
 * Settings: what a configuration key may hold, written down once.
 *
 * One declaration gives the key's default, its allowed values in words, its unit, and a zod schema that turns what a file,
 * the environment or a program says into the value that the broker reads. From a tree of such declarations follow the
 * type of the configuration (`Values`), its check (`check`) and the shipped etc/agner.toml, so they cannot disagree.
 *
 * A key is spelt as in a file (`max_packet_size`); the field that the code reads says its unit (`maxPacketBytes`).
 * Durations are strings with a unit ("500ms", "30s", "2h", "7d") or plain seconds; sizes are strings ("64KB", "1MB") or bytes.
 */
import * as z from 'zod'

/** One key: `F` is the name of the field that the code reads, `V` the type of its value. */
export interface Setting<F extends string, V> {
  readonly field: F
  /** The default as it is written in a file. */
  readonly written: unknown
  /** What is allowed, in words that complete the sentence "must be …". */
  readonly allowed: string
  /** What the key does: one or two sentences for etc/agner.toml. */
  readonly doc: string
  readonly schema: z.ZodType<V>
}

/** A tree of settings; a branch is a table of the file. */
export interface Settings {
  readonly [key: string]: Setting<string, unknown> | Settings
}

type FieldOf<K, S> = S extends Setting<infer F, unknown> ? F : K
type ValueOf<S> = S extends Setting<string, infer V> ? V : S extends Settings ? Values<S> : never

/** The configuration that a tree of settings describes. */
export type Values<S extends Settings> = { readonly [K in keyof S as FieldOf<K, S[K]> & string]: ValueOf<S[K]> }

/** The same with everything optional: what a program may give to change some of it. */
export type Overrides<S extends Settings> = {
  readonly [K in keyof S as FieldOf<K, S[K]> & string]?: OverrideOf<S[K]> | undefined
}
type OverrideOf<S> = S extends Setting<string, infer V> ? V : S extends Settings ? Overrides<S> : never

/** A value that was refused, or a key that does not exist. */
export interface Problem {
  /** Keys from the root, as spelt in a file. */
  readonly path: readonly string[]
  /** A sentence without the key's name: "must be …", "is not a setting; did you mean …?". */
  readonly problem: string
}

/** Tells a setting from a table of settings. */
export function isSetting(node: Setting<string, unknown> | Settings): node is Setting<string, unknown> {
  return 'schema' in node && node.schema instanceof z.ZodType
}

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/
const DURATION_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const SIZE = /^(\d+)(B|KB|MB|GB)?$/i
const SIZE_BYTES: Record<string, number> = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 }

/** Milliseconds of "500ms", "30s", "5m", "2h", "7d", or of a number of seconds; undefined when it is neither. */
function parseDurationMs(input: unknown): number | undefined {
  if (typeof input === 'number') return Number.isFinite(input) && input >= 0 ? input * 1000 : undefined
  const match = typeof input === 'string' ? DURATION.exec(input) : null
  return match ? Number(match[1]) * DURATION_MS[match[2]!]! : undefined
}

/** Bytes of "512B", "64KB", "1MB", "2GB" (powers of 1024), or of a number of bytes; undefined when it is neither. */
function parseBytes(input: unknown): number | undefined {
  if (typeof input === 'number') return Number.isInteger(input) && input >= 0 ? input : undefined
  const match = typeof input === 'string' ? SIZE.exec(input) : null
  return match ? Number(match[1]) * SIZE_BYTES[(match[2] ?? 'B').toUpperCase()]! : undefined
}

/** What the makers of settings have in common. */
interface Common<F extends string> {
  field: F
  doc: string
  /** The value is never shown in an error. */
  secret?: boolean
}

function setting<F extends string, V>(
  { field, doc, secret = false }: Common<F>,
  written: unknown,
  allowed: string,
  read: (input: unknown) => V | undefined,
): Setting<F, V> {
  const schema = z.unknown().transform((input, context): V => {
    const value = read(input)
    if (value !== undefined) return value
    context.addIssue({ code: 'custom', message: `must be ${allowed}${secret ? '' : `, not ${show(input)}`}` })
    return z.NEVER
  })
  return { field, written, allowed, doc, schema }
}

function show(input: unknown): string {
  const text = JSON.stringify(input) ?? String(input)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

interface Range {
  default: number | string
  min?: number
  max?: number
  /** A word for a special value, such as `{ word: 'infinity', value: Infinity }` or `{ word: 'off', value: 0 }`. */
  word?: { readonly word: string; readonly value: number }
}

/** The word for "no limit". */
export const INFINITY = { word: 'infinity', value: Number.POSITIVE_INFINITY } as const
/** The word for "not at all". */
export const OFF = { word: 'off', value: 0 } as const

function ranged<F extends string>(
  options: Common<F> & Range,
  what: string,
  parse: (input: unknown) => number | undefined,
  print: (value: number) => string,
): Setting<F, number> {
  const { min = 0, max = Number.POSITIVE_INFINITY, word } = options
  const range = max === Number.POSITIVE_INFINITY ? `at least ${print(min)}` : `from ${print(min)} to ${print(max)}`
  const allowed = `${what}, ${range}${word ? `, or "${word.word}"` : ''}`
  return setting(options, options.default, allowed, (input) => {
    if (word && (input === word.word || input === word.value)) return word.value
    const value = parse(input)
    return value !== undefined && value >= min && value <= max ? value : undefined
  })
}

function printDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's']) {
    const length = DURATION_MS[unit]!
    if (ms >= length && ms % length === 0) return `${ms / length}${unit}`
  }
  return `${ms}ms`
}

function printBytes(bytes: number): string {
  for (const unit of ['GB', 'MB', 'KB']) {
    const length = SIZE_BYTES[unit]!
    if (bytes >= length && bytes % length === 0) return `${bytes / length}${unit}`
  }
  return `${bytes}B`
}

/** A whole number. */
export function integer<const F extends string>(options: Common<F> & Range): Setting<F, number> {
  return ranged(options, 'a whole number', (input) => (Number.isInteger(input) ? (input as number) : undefined), String)
}

/** A time; the field holds milliseconds and ends in `Ms`. */
export function duration<const F extends `${string}Ms`>(options: Common<F> & Range): Setting<F, number> {
  return ranged(options, 'a time such as "500ms", "30s", "5m", "2h" or "7d"', parseDurationMs, printDuration)
}

/** A time of whole seconds, as MQTT counts them; the field holds seconds and ends in `Sec`. */
export function seconds<const F extends `${string}Sec`>(options: Common<F> & Range): Setting<F, number> {
  const parse = (input: unknown) => {
    const ms = parseDurationMs(input)
    return ms === undefined || ms % 1000 !== 0 ? undefined : ms / 1000
  }
  return ranged(options, 'a time of whole seconds such as "30s", "2h" or "7d"', parse, (sec) =>
    printDuration(sec * 1000),
  )
}

/** An amount of memory; the field holds bytes and ends in `Bytes`. */
export function bytes<const F extends `${string}Bytes`>(options: Common<F> & Range): Setting<F, number> {
  return ranged(options, 'a size such as "64KB" or "1MB"', parseBytes, printBytes)
}

/** True or false. */
export function flag<const F extends string>(options: Common<F> & { default: boolean }): Setting<F, boolean> {
  return setting(options, options.default, 'true or false', (input) => (typeof input === 'boolean' ? input : undefined))
}

/** One of some words or numbers. */
export function oneOf<const F extends string, const V extends string | number>(
  options: Common<F> & { default: V; values: readonly V[] },
): Setting<F, V> {
  const allowed = `one of ${options.values.map((value) => JSON.stringify(value)).join(', ')}`
  return setting(options, options.default, allowed, (input) => options.values.find((value) => value === input))
}

/** Text. */
export function text<const F extends string>(
  options: Common<F> & { default: string; allowed?: string; pattern?: Pick<RegExp, 'test'> },
): Setting<F, string> {
  const { pattern = /^/, allowed = 'a string' } = options
  return setting(options, options.default, allowed, (input) =>
    typeof input === 'string' && pattern.test(input) ? input : undefined,
  )
}

/** A list whose elements `parse` understands; the field holds them parsed. */
export function list<const F extends string, V>(
  options: Common<F> & { default: readonly unknown[]; allowed: string; parse: (element: unknown) => V | undefined },
): Setting<F, readonly V[]> {
  return setting(options, options.default, options.allowed, (input) => {
    if (!Array.isArray(input)) return undefined
    const values = input.map(options.parse)
    return values.every((value): value is Exclude<typeof value, undefined> => value !== undefined) ? values : undefined
  })
}

/** A table from names that the user chooses to values that `parse` understands. */
export function map<const F extends string, V>(
  options: Common<F> & { allowed: string; parse: (value: unknown, name: string) => V | undefined },
): Setting<F, Readonly<Record<string, V>>> {
  return setting(options, {}, options.allowed, (input) => {
    if (typeof input !== 'object' || input === null || Array.isArray(input)) return undefined
    const values: Record<string, V> = Object.create(null) as Record<string, V>
    for (const [name, element] of Object.entries(input)) {
      const value = options.parse(element, name)
      if (value === undefined) return undefined
      values[name] = value
    }
    return values
  })
}

/** Any number of tables with the same keys, `[[key]]`; `nameOf` is what must not be there twice. */
export function tables<const F extends string, const S extends Settings>({
  field,
  doc,
  of,
  nameOf,
}: Common<F> & { of: S; nameOf: (table: Values<S>) => string }): Setting<F, readonly Values<S>[]> {
  const allowed = `a list of tables with ${Object.keys(of).join(', ')}`
  const schema = z.unknown().transform((input, context): readonly Values<S>[] => {
    const refuse = (path: readonly (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path: [...path], message })
    if (!Array.isArray(input)) {
      refuse([], `must be ${allowed}`)
      return z.NEVER
    }
    const values = new Map<string, Values<S>>()
    for (const [index, table] of input.entries()) {
      const result = check(of, table)
      if (!result.ok) for (const { path, problem } of result.problems) refuse([index, ...path], problem)
      else if (values.has(nameOf(result.value))) refuse([index], `is there already: ${nameOf(result.value)}`)
      else values.set(nameOf(result.value), result.value)
    }
    return [...values.values()]
  })
  return { field, written: [], allowed, doc, schema }
}

/** The schema of a whole tree: unknown keys are refused, missing keys take their defaults. */
function schemaOf<S extends Settings>(settings: S): z.ZodType<Values<S>> {
  const shape: Record<string, z.ZodType> = {}
  for (const [key, node] of Object.entries(settings)) {
    shape[key] = isSetting(node) ? node.schema.prefault(node.written) : schemaOf(node).prefault({})
  }
  const table = z.strictObject(shape, {
    error: (issue) => (issue.code === 'invalid_type' ? 'must be a table' : undefined),
  })
  return table.transform((input) => {
    const values: Record<string, unknown> = {}
    for (const [key, node] of Object.entries(settings)) values[isSetting(node) ? node.field : key] = input[key]
    return values as Values<S>
  })
}

/** Checks what a file says against a tree of settings and fills in the defaults. */
export function check<S extends Settings>(
  settings: S,
  input: unknown,
): { ok: true; value: Values<S> } | { ok: false; problems: readonly Problem[] } {
  const result = schemaOf(settings).safeParse(input)
  if (result.success) return { ok: true, value: result.data }
  const problems: Problem[] = []
  for (const issue of result.error.issues) {
    const path = issue.path.map(String)
    if (issue.code !== 'unrecognized_keys') problems.push({ path, problem: issue.message })
    else for (const key of issue.keys) problems.push({ path: [...path, key], problem: unknownKey(settings, path, key) })
  }
  return { ok: false, problems }
}

/** Every setting of a tree with its path, in the order of declaration. */
export function flatten(settings: Settings, prefix: readonly string[] = []): [string[], Setting<string, unknown>][] {
  return Object.entries(settings).flatMap(([key, node]): [string[], Setting<string, unknown>][] =>
    isSetting(node) ? [[[...prefix, key], node]] : flatten(node, [...prefix, key]),
  )
}

function unknownKey(settings: Settings, path: readonly string[], key: string): string {
  let table: Settings = settings
  for (const step of path) table = table[step] as Settings
  const siblings = Object.keys(table)
  const nearest = closest(key, siblings)
  if (nearest) return `is not a setting; did you mean ${nearest}?`
  // The right key in the wrong table is the other common slip.
  const elsewhere = flatten(settings).find(([other]) => other.at(-1) === key)
  if (elsewhere) return `is not a setting here; did you mean ${elsewhere[0].join('.')}?`
  return `is not a setting; ${path.length === 0 ? 'there are' : `${path.join('.')} has`} ${siblings.join(', ')}`
}

/** The candidate that differs least from a word, when it differs by few enough letters to be a slip. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let least = Math.max(2, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate)
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, previous[j]! + 1, row[j - 1]! + 1))
    }
    previous = row
  }
  return previous[b.length]!
}
