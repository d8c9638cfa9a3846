/** Backups and texts of tables that are written to meanwhile, and what restoring them makes of other tables. */
import fs from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { backup } from '../../../src/mnesia/backup/backup.ts'
import { traverseBackup } from '../../../src/mnesia/backup/backup-reader.ts'
import { restore } from '../../../src/mnesia/backup/restore.ts'
import { dumpToText, loadText } from '../../../src/mnesia/backup/text.ts'
import { rowFromText, rowToText } from '../../../src/mnesia/backup/text-values.ts'
import { BackupError } from '../../../src/mnesia/errors.ts'
import type { LocalTable } from '../../../src/mnesia/local/local-table.ts'
import { isSameRow, rows } from '../row-support.ts'
import { backupDirectory, DEFINITIONS, openTables, operations, plain, type Row } from './backup-support.ts'

const NOW = { node: 'a@h', now: Date.UTC(2026, 10, 26) }

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Both forms that tables can be saved in. */
const FORMS = {
  backup: {
    save: (file: string, tables: LocalTable<Row>[]) => backup({ file, tables, ...NOW }),
    load: restore,
  },
  text: {
    save: (file: string, tables: LocalTable<Row>[]) => dumpToText({ file, tables, ...NOW }),
    load: loadText,
  },
}

function byName(tables: readonly LocalTable<Row>[]): (name: string) => LocalTable<Row> | undefined {
  return (name) => tables.find(({ definition }) => definition.name === name)
}

describe.each(Object.entries(FORMS))('a %s', (_form, { save, load }) => {
  test('has the rows of all its tables as of one instant, whatever is written meanwhile', async () => {
    const file = join(backupDirectory(), 'saved')
    await fc.assert(
      fc.asyncProperty(
        fc.array(operations, { minLength: 6, maxLength: 6 }),
        fc.array(operations),
        async (before, meanwhile) => {
          const tables = openTables()
          for (const [i, table] of tables.entries()) {
            table.batch(before[i]!)
            // More rows than are read in one turn.
            for (let n = 0; n < 510; n++) table.write({ k: `many ${n}`, id: 0, v: '0' })
          }
          const then = tables.map((table) => plain(table.rows()))
          let isSaved = false
          const saved = save(file, tables).then(() => {
            isSaved = true
          })
          for (const [i, batch] of meanwhile.entries()) {
            const table = tables[i % tables.length]!
            table.batch(batch)
            for (let n = 0; n < 50; n++) table.delete(`many ${(i * 97 + n * 5) % 510}`)
            if (!isSaved) await turn()
          }
          await saved
          const others = openTables()
          await load({ file, table: byName(others), node: 'a@h' })
          expect(others.map((table) => plain(table.rows()))).toEqual(then)
        },
      ),
      { numRuns: 20 },
    )
  })

  test('is restored into tables that have rows, as asked', async () => {
    const file = join(backupDirectory(), 'saved')
    await fc.assert(
      fc.asyncProperty(
        fc.array(operations, { minLength: 6, maxLength: 6 }),
        fc.array(operations, { minLength: 6, maxLength: 6 }),
        fc.constantFrom('clear_tables', 'keep_tables', 'skip_tables', 'missing_only'),
        async (saved, there, how) => {
          const sources = openTables()
          const targets = openTables()
          for (const [i, source] of sources.entries()) source.batch(saved[i]!)
          for (const [i, target] of targets.entries()) target.batch(there[i]!)
          await save(file, sources)
          const expected = targets.map((target, i) => {
            const source = sources[i]!
            if (how === 'clear_tables') return plain(source.rows())
            if (how === 'skip_tables') return plain(target.rows())
            const identity = target.definition.type === 'bag' ? identityOf(target) : ({ k }: Row) => k
            const result = new Map([...target.rows()].map((row) => [identity(row), row]))
            for (const row of source.rows()) {
              if (how === 'keep_tables' || !target.has(row.k)) result.set(identity(row), row)
            }
            return plain(result.values())
          })
          const changes = targets.map(() => 0)
          for (const [i, target] of targets.entries()) target.subscribe(() => changes[i]!++)
          const options = how === 'missing_only' ? { missingOnly: true } : { defaultOp: how as 'clear_tables' }
          const result = await load({ file, table: byName(targets), node: 'a@h', ...options })
          expect(targets.map((target) => plain(target.rows()))).toEqual(expected)
          for (const { name, written, removed, rows: count, kept } of result.tables) {
            const i = targets.findIndex(({ definition }) => definition.name === name)
            expect([changes[i], kept + written]).toEqual([written + removed, count])
          }
          expect(result.skipped).toEqual(how === 'skip_tables' ? DEFINITIONS.map(({ name }) => name) : [])
          // A second time there is nothing to do.
          const again = await load({ file, table: byName(targets), node: 'a@h', ...options })
          for (const { written, removed } of again.tables) expect([written, removed]).toEqual([0, 0])
        },
      ),
      { numRuns: 60 },
    )
  })

  test('that is cut off or damaged anywhere is refused before anything is changed', async () => {
    const file = join(backupDirectory(), 'saved')
    const sources = openTables()
    for (const source of sources) for (let n = 0; n < 30; n++) source.write({ k: `key ${n}`, id: n % 3, v: '1' })
    await save(file, sources)
    const whole = fs.readFileSync(file)
    const isText = whole.subarray(0, 12).toString() === 'agner tables'
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(7), fc.boolean(), async (at, bit, isCut) => {
        const damaged = Buffer.from(isCut ? whole.subarray(0, at) : whole)
        if (!isCut) damaged[at]! ^= 1 << bit
        fs.writeFileSync(file, damaged)
        const targets = openTables()
        let changes = 0
        for (const target of targets) target.subscribe(() => changes++)
        const outcome = await load({ file, table: byName(targets), node: 'a@h' }).then(
          () => undefined,
          (error: unknown) => error,
        )
        // People may edit a text, so that what is damaged may still be one; a backup is as it was written or not at all.
        if (outcome === undefined) expect(isText && (!isCut || at === whole.length - 1)).toBe(true)
        else {
          expect(outcome).toBeInstanceOf(BackupError)
          expect(String(outcome)).toContain(file)
          expect(changes).toBe(0)
        }
      }),
      { numRuns: 300 },
    )
  })
})

function identityOf({ definition }: LocalTable<Row>): (row: Row) => string {
  return ({ k, id, v }) => (definition.identity === undefined ? `${k}/${id}/${v}` : `${k}/${id}`)
}

test('a row comes back from its text exactly as it went', () => {
  fc.assert(
    fc.property(rows, (row) => {
      const text = rowToText(row)
      expect(text).not.toContain('\n')
      expect(isSameRow(rowFromText(text), row)).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

test('traversing a backup gives its rows, table by table in the order of keys', async () => {
  const file = join(backupDirectory(), 'saved')
  await fc.assert(
    fc.asyncProperty(fc.array(operations, { minLength: 6, maxLength: 6 }), async (before) => {
      const tables = openTables().filter(({ definition }) => definition.bytes === undefined)
      for (const [i, table] of tables.entries()) table.batch(before[i]!)
      await backup({ file, tables, ...NOW })
      const found: [string, Row][] = []
      for await (const { table, row } of traverseBackup(file)) found.push([table, row as Row])
      const expected = tables.flatMap((table) =>
        [...table.rows()]
          .sort((a, b) => (a.k < b.k ? -1 : a.k > b.k ? 1 : 0))
          .map((row): [string, Row] => [table.definition.name, row]),
      )
      expect(found.map(([name, { k }]) => [name, k])).toEqual(expected.map(([name, { k }]) => [name, k]))
      expect(plain(found)).toEqual(plain(expected))
    }),
    { numRuns: 50 },
  )
})
