/**
 * Finds the line of a key in the text of a TOML file, so that an error about a value can point at it.
 *
 * The parser gives positions only for mistakes of syntax. This reads what a line can say about keys: table headers, dotted
 * and quoted keys, and where strings of several lines begin and end. A key inside an inline table has the line of the
 * table. The text has been parsed before, so it is known to be well formed.
 */

const KEY_PART = /\s*(?:([A-Za-z0-9_-]+)|"((?:[^"\\]|\\.)*)"|'([^']*)')\s*/y

/** Line numbers, from 1, by the path of the key; a table of a list, `[[key]]`, has its number in the list, from 0, behind the key. */
export function keyLines(toml: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>()
  let table: readonly string[] = []
  /** How many tables of a list there are so far, by the path of the list. */
  const counts = new Map<string, number>()
  let open: string | undefined
  for (const [index, line] of toml.split('\n').entries()) {
    if (open !== undefined) {
      if (line.includes(open)) open = undefined
      continue
    }
    const header = /^\s*\[\[?/.exec(line)
    const [path, end] = readKey(line, header ? header[0].length : 0)
    if (path.length === 0 || (header === null && line[end] !== '=')) continue
    if (header !== null) table = header[0].endsWith('[[') ? [...path, String(nextIndex(counts, path))] : path
    const whole = header ? table : [...table, ...path]
    // `[a.b]` and `a.b = 1` also make the table a.
    for (let length = 1; length <= whole.length; length++) {
      const key = pathKey(whole.slice(0, length))
      if (!lines.has(key)) lines.set(key, index + 1)
    }
    if (!header) open = opensString(line.slice(end + 1))
  }
  return lines
}

function nextIndex(counts: Map<string, number>, path: readonly string[]): number {
  const key = pathKey(path)
  const index = counts.get(key) ?? 0
  counts.set(key, index + 1)
  return index
}

/** The line of a key, or of the nearest table around it that is written down. */
export function lineOf(lines: ReadonlyMap<string, number>, path: readonly string[]): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const line = lines.get(pathKey(path.slice(0, length)))
    if (line !== undefined) return line
  }
  return undefined
}

/** Keys may hold dots, so paths are compared with a separator that no key can hold unescaped. */
function pathKey(path: readonly string[]): string {
  return path.join('\0')
}

function readKey(line: string, from: number): [path: string[], end: number] {
  const path: string[] = []
  let at = from
  for (;;) {
    KEY_PART.lastIndex = at
    const match = KEY_PART.exec(line)
    if (!match) return [path, at]
    path.push(match[1] ?? match[3] ?? unquoted(match[2] ?? ''))
    at = KEY_PART.lastIndex
    if (line[at] !== '.') return [path, at]
    at++
  }
}

function unquoted(text: string): string {
  try {
    return JSON.parse(`"${text}"`) as string
  } catch {
    return text
  }
}

function opensString(value: string): string | undefined {
  const opening = /^\s*("""|''')/.exec(value)?.[1]
  return opening !== undefined && !value.slice(value.indexOf(opening) + 3).includes(opening) ? opening : undefined
}
