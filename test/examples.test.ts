/** The examples run as a reader runs them, and print what their comments say. They use the built package. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)

const expected: Record<string, string> = {
  'backup.ts': [
    'users: 2 rows',
    "{ name: 'users', rows: 2, written: 1, removed: 0, kept: 1 } Manchester",
    "{ name: 'users', rows: 2, written: 1, removed: 0, kept: 1 } Wilmslow",
    'agner tables, text format 1, of nonode@nohost at 1970-01-01T00:00:00.000Z',
    'table {"name":"users","type":"ordered_set","key":"name","replication":"shared","copies":"disc_copies"}',
    '{"name":"ada","town":"London"}',
    '{"name":"alan","town":"Wilmslow"}',
    'end',
    '',
    '',
  ].join('\n'),
  'counter.ts': '3\n0\nno_longer_needed\n',
  'partition.ts': 'c has a letter from a\na sees the server end: noconnection\nc has a letter from b\n',
  'two-nodes.ts': "true [ 'till@127.0.0.1' ]\n7\n2.5\nnoconnection\n",
  'embedded-broker.ts': 'hello world\n',
  'tables.ts': 'b has joined: true London\napart: London undefined\ntogether: Marylebone Wilmslow\n',
}

test.each(Object.entries(expected))('examples/%s prints what it says', async (name, output) => {
  const { stdout } = await run(process.execPath, ['--import', 'tsx', `examples/${name}`])
  expect(stdout).toBe(output)
})
