/** The file of a trace is bounded, and so is what waits to be written to it. */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { TraceFile, type TraceLimits } from '../../src/broker/monitor/trace-file.ts'

async function open(limits: TraceLimits): Promise<{ path: string; file: TraceFile }> {
  const folder = await mkdtemp(join(tmpdir(), 'agner-trace-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const path = join(folder, 'a.log')
  const opened = await TraceFile.open(path, () => {}, limits)
  if (!opened.ok) throw new Error(opened.code)
  return { path, file: opened.file }
}

test('a file is its owner’s alone, and continued when it is there', async () => {
  const { path, file } = await open({ fileBytes: 1000, unwrittenBytes: 1000 })
  file.add('one')
  await file.close()
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  const again = await TraceFile.open(path, () => {})
  if (!again.ok) throw new Error(again.code)
  again.file.add('two')
  await again.file.close()
  expect(await readFile(path, 'utf8')).toBe('one\ntwo\n')
})

test('it ends with a word when it is full', async () => {
  const { path, file } = await open({ fileBytes: 10, unwrittenBytes: 1000 })
  for (const line of ['12345', '67890', 'beyond']) file.add(line)
  await file.close()
  expect(await readFile(path, 'utf8')).toBe('12345\n67890\n--- the trace is full ---\n')
})

test('lines that come faster than the disc takes them are left out and counted', async () => {
  const { path, file } = await open({ fileBytes: 1000, unwrittenBytes: 10 })
  for (const line of ['123456789', 'abcdefghi', 'lost', 'lost too']) file.add(line)
  while (!(await readFile(path, 'utf8')).includes('abcdefghi')) await new Promise(setImmediate)
  file.add('later')
  await file.close()
  expect(await readFile(path, 'utf8')).toBe(
    '123456789\nabcdefghi\n--- 2 lines left out: the disc is too slow ---\nlater\n',
  )
})

test('a file that cannot be opened is told by its code', async () => {
  expect(await TraceFile.open('/none/a.log', () => {})).toEqual({ ok: false, code: 'ENOENT' })
})
