/** The page of promises, docs/dist-conformance.md, names tests that exist. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'

const ROOT = new URL('../../', import.meta.url)

interface Reference {
  readonly file: string
  readonly title: string
}

/** The cells of the tables' rows, without the headings. */
function references(page: string): Reference[] {
  const rows = page.split('\n').filter((line) => line.startsWith('|') && !line.startsWith('| ---'))
  return rows.flatMap((row) => {
    const [, ...cells] = row
      .split('|')
      .map((cell) => cell.trim())
      .slice(1, -1)
    return cells.flatMap((cell) => {
      const match = /^`([\w./-]+)` (.+)$/.exec(cell)
      return match === null ? [] : [{ file: pathOf(match[1]!), title: match[2]! }]
    })
  })
}

function pathOf(name: string): string {
  if (name.includes('/')) return `test/${name}.test.ts`
  return `test/${/^(?:erlang|elixir)-/.test(name) ? 'interop' : 'dist'}/${name}.test.ts`
}

describe('the page of promises', () => {
  it('names tests that exist, one for every promise', async () => {
    const page = await readFile(new URL('docs/dist-conformance.md', ROOT), 'utf8')
    const found = references(page)
    expect(found.length).toBeGreaterThan(80)
    const missing: string[] = []
    for (const { file, title } of found) {
      const url = new URL(file, ROOT)
      const source = existsSync(url) ? await readFile(url, 'utf8') : ''
      if (!source.includes(title)) missing.push(`${file}: ${title}`)
    }
    expect(missing).toEqual([])
    const rows = page.split('\n').filter((line) => /^\| (?!---|promise)/.test(line))
    expect(rows.filter((row) => !/`[\w./-]+` \S/.test(row))).toEqual([])
  })
})
