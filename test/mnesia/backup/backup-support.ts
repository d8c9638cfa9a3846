/** Tables of every kind, random use of them, and files for backups. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import pino from 'pino'
import { onTestFinished } from 'vitest'
import { type TableDefinition, table } from '../../../src/mnesia/definition.ts'
import type { LocalTable } from '../../../src/mnesia/local/local-table.ts'
import { LocalTables } from '../../../src/mnesia/local/local-tables.ts'
import { MemoryStore } from '../../../src/mnesia/store/memory-store.ts'
import type { TableOperation } from '../../../src/mnesia/table.ts'

export interface Row {
  readonly k: string
  readonly id: number
  readonly v: string
}

const SET = table<Row>('set', { type: 'set', key: 'k', replication: 'local_content', copies: 'ram_copies' })

export const DEFINITIONS: readonly TableDefinition<Row>[] = [
  SET,
  { ...SET, name: 'ordered_set', type: 'ordered_set' },
  { ...SET, name: 'bag', type: 'bag' },
  { ...SET, name: 'bag with identities', type: 'bag', identity: ({ id }) => String(id) },
  {
    ...SET,
    name: 'bag of integers',
    type: 'bag',
    compact: () => ({
      pack: ({ id, v }) => id * 3 + Number(v),
      unpack: (k, n) => ({ k, id: Math.floor(n / 3), v: String(n % 3) }),
    }),
  },
  {
    ...SET,
    name: 'set with bytes of its own',
    bytes: {
      encode: ({ k, id, v }) => Buffer.from(JSON.stringify([k, id, v])),
      decode: (bytes) => {
        const [k, id, v] = JSON.parse(Buffer.from(bytes).toString())
        return { k, id, v }
      },
    },
  },
]

export function localTables(): LocalTables {
  const setTimer = (ms: number, callback: () => void) => {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  }
  return new LocalTables({
    links: { node: 'a@h', setTimer },
    store: new MemoryStore(),
    logger: pino({ level: 'silent' }),
  })
}

/** A table of each kind. */
export function openTables(): LocalTable<Row>[] {
  const tables = localTables()
  return DEFINITIONS.map((definition) => tables.open(definition, 'ram_copies'))
}

const keys = fc.oneof(
  { weight: 3, arbitrary: fc.nat(40).map((n) => `key ${n}`) },
  fc.constantFrom('', 'é', '\ud800', '\u{1f600}', '__proto__'),
)
const row = fc.record({ k: keys, id: fc.nat(2), v: fc.constantFrom('0', '1', '2') }, { noNullPrototype: true })

export const operations: fc.Arbitrary<TableOperation<Row>[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: row.map((each) => ({ op: 'write' as const, row: each })) },
    row.map((each) => ({ op: 'delete_object' as const, row: each })),
    row.map(({ k }) => ({ op: 'delete' as const, key: k })),
  ),
  { maxLength: 60 },
)

export function plain(rows: Iterable<unknown>): string[] {
  return [...rows].map((each) => JSON.stringify(each)).sort()
}

export function backupDirectory(): string {
  const directory = fs.mkdtempSync(join(tmpdir(), 'agner-backup-'))
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }))
  return directory
}
