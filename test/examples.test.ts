/** The examples run as a reader runs them, and print what their comments say. They use the built package. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)

const expected: Record<string, string> = {
  'counter.ts': '3\n0\nno_longer_needed\n',
  'partition.ts': 'c has a letter from a\na sees the server end: noconnection\nc has a letter from b\n',
  'embedded-broker.ts': 'hello world\n',
  'tables.ts': 'b has joined: true London\napart: London undefined\ntogether: Marylebone Wilmslow\n',
}

test.each(Object.entries(expected))('examples/%s prints what it says', async (name, output) => {
  const { stdout } = await run(process.execPath, ['--import', 'tsx', `examples/${name}`])
  expect(stdout).toBe(output)
})
