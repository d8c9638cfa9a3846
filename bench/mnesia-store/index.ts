/**
 * The disc: commits by size of their groups, loading, backup and restoring of a million rows of 100 bytes, beside Mnesia's disc_copies
 * where Erlang is installed.
 *
 *     npm run bench -- mnesia-store [rows] [--dir DIR]
 *
 * Keys are those of sensors and are written in no order. A write of ours counts when it is flushed; Mnesia logs a
 * transaction without flushing it. CPU is that of the whole process; `pause` is the longest time that the event loop did not run.
 */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import pino from 'pino'
import { realSystem } from '../../src/actors/system.ts'
import { backup } from '../../src/mnesia/backup/backup.ts'
import { restore } from '../../src/mnesia/backup/restore.ts'
import { dumpToText, loadText } from '../../src/mnesia/backup/text.ts'
import { table } from '../../src/mnesia/definition.ts'
import { LocalTables } from '../../src/mnesia/local/local-tables.ts'
import type { LogStore } from '../../src/mnesia/store/log-store.ts'
import { openStore } from '../../src/mnesia/store/open-store.ts'

interface Row {
  readonly topic: string
  readonly payload: Buffer
}

const DEFINITION = table<Row>('retained', {
  type: 'set',
  key: 'topic',
  replication: 'local_content',
  copies: 'disc_copies',
})
const SPACE = 'sensors'
const GROUPS = [1, 10, 100, 1000]

const args = process.argv.slice(2)
const isQuick = args.includes('--quick')
const ROWS = Number(args.find((each) => /^\d+$/.test(each)) ?? (isQuick ? 100_000 : 1_000_000))
const parent = args.includes('--dir') ? args[args.indexOf('--dir') + 1]! : tmpdir()
const scratch = fs.mkdtempSync(join(parent, 'agner-bench-'))
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }))

// Not a divisor of any round number, so that keys come in no order.
const STEP = 7919
const keyOf = (i: number): string => `sensors/${String((i * STEP) % ROWS).padStart(7, '0')}/temperature`
const value = Buffer.alloc(100, 'v')
const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Bytes that the process has had written to the disc; NaN where nobody counts them. */
function bytesWritten(): number {
  try {
    return Number(/write_bytes: (\d+)/.exec(fs.readFileSync('/proc/self/io', 'utf8'))![1])
  } catch {
    return Number.NaN
  }
}

function report(what: string, figures: string): void {
  console.log(`${what.padEnd(42)} ${figures}`)
}

async function measured(what: string, rows: number, work: () => Promise<unknown>): Promise<void> {
  globalThis.gc?.()
  await turn()
  delay.reset()
  const cpu = process.cpuUsage()
  const begin = performance.now()
  await work()
  const ms = performance.now() - begin
  const { user, system } = process.cpuUsage(cpu)
  const perSecond = Math.round((rows / ms) * 1000).toLocaleString('en')
  const pause = (delay.max / 1e6).toFixed(0)
  report(
    what,
    `${(ms / 1000).toFixed(2)} s, ${perSecond} rows/s, CPU ${((user + system) / rows).toFixed(2)} us/row, pause ${pause} ms`,
  )
}

async function commits(store: LogStore, size: number): Promise<void> {
  const groups = Math.min(isQuick ? 100 : 400, Math.ceil(200_000 / size))
  const latencies: number[] = []
  const before = bytesWritten()
  const cpu = process.cpuUsage()
  const begin = performance.now()
  for (let group = 0; group < groups; group++) {
    const operations = Array.from({ length: size }, () => ({
      space: SPACE,
      key: keyOf(Math.floor(Math.random() * ROWS)),
      value,
    }))
    const at = performance.now()
    store.commit(operations)
    await store.flushed()
    latencies.push(performance.now() - at)
  }
  const rows = groups * size
  const seconds = (performance.now() - begin) / 1000
  const { user, system } = process.cpuUsage(cpu)
  latencies.sort((a, b) => a - b)
  const at = (share: number): string => latencies[Math.floor(latencies.length * share)]!.toFixed(2)
  report(
    `updates in groups of ${size}, flushed`,
    `n=${groups} groups, ${Math.round(rows / seconds).toLocaleString('en')} rows/s, flushed after ms p50 ${at(0.5)} p99 ${at(0.99)}, ` +
      `CPU ${((user + system) / rows).toFixed(1)} us/row, ${Math.round((bytesWritten() - before) / rows).toLocaleString('en')} bytes written/row`,
  )
}

async function bareStore(): Promise<void> {
  const directory = join(scratch, 'store')
  const system = realSystem()
  let { store } = await openStore({ directory, system })
  await measured('store: fill, 1000 a commit', ROWS, async () => {
    for (let i = 0; i < ROWS; ) {
      const operations = []
      for (let n = 0; n < 1000 && i < ROWS; n++) operations.push({ space: SPACE, key: keyOf(i++), value })
      store.commit(operations)
      await turn()
    }
    await store.flushed()
  })
  for (const size of GROUPS) await commits(store, size)
  const { rowsBytes, logBytes } = store.info()
  report(
    'on disc',
    `${((rowsBytes + logBytes) / ROWS).toFixed(0)} bytes/row of ${keyOf(0).length + value.length} bytes`,
  )
  await store.close()
  await measured('store: open, all checksums compared', ROWS, async () => {
    ;({ store } = await openStore({ directory, system }))
  })
  await measured('store: iterate, 1000 a turn', ROWS, async () => {
    let rows = 0
    for (const _ of store.entries(SPACE)) if (++rows % 1000 === 0) await turn()
    if (rows !== ROWS) throw new Error(`${rows} rows instead of ${ROWS}`)
  })
  await store.close()
  fs.rmSync(directory, { recursive: true })
}

async function tables(): Promise<void> {
  const directory = join(scratch, 'tables')
  const system = realSystem()
  const open = async () => {
    const { store } = await openStore({ directory, system })
    const setTimer = (ms: number, callback: () => void) => {
      const timer = system.timers.set(ms, callback)
      return () => system.timers.clear(timer)
    }
    const local = new LocalTables({ links: { node: 'a@h', setTimer }, store, logger: pino({ level: 'silent' }) })
    return { store, opened: local.open(DEFINITION, 'disc_copies') }
  }
  let { store, opened } = await open()
  await measured('table: write, 1000 a batch', ROWS, async () => {
    for (let i = 0; i < ROWS; ) {
      const operations = []
      for (let n = 0; n < 1000 && i < ROWS; n++) {
        operations.push({ op: 'write' as const, row: { topic: keyOf(i++), payload: value } })
      }
      void opened.batch(operations)
      await turn()
    }
    await store.flushed()
  })
  await store.close()
  await measured('table: open the store and load', ROWS, async () => {
    ;({ store, opened } = await open())
  })
  if (opened.size !== ROWS) throw new Error(`${opened.size} rows instead of ${ROWS}`)
  const of = { node: 'a@h', now: Date.now() }
  const [file, text] = [join(scratch, 'backup'), join(scratch, 'text')]
  const into = { table: () => opened, node: 'a@h' }
  await measured('backup', ROWS, () => backup({ file, tables: [opened], ...of }))
  await measured('restore over the same rows', ROWS, () => restore({ file, ...into }))
  await measured('dump to text', ROWS, () => dumpToText({ file: text, tables: [opened], ...of }))
  await store.close()
  fs.rmSync(directory, { recursive: true })
  ;({ store, opened } = await open())
  await measured('restore into an empty table', ROWS, () => restore({ file, ...into }))
  await store.close()
  fs.rmSync(directory, { recursive: true })
  ;({ store, opened } = await open())
  await measured('load from text into an empty table', ROWS, () => loadText({ file: text, ...into }))
  report(
    'bytes',
    `backup ${(fs.statSync(file).size / ROWS).toFixed(0)}/row, text ${(fs.statSync(text).size / ROWS).toFixed(0)}/row`,
  )
  await store.close()
}

function mnesia(): void {
  const script = fileURLToPath(new URL('mnesia.escript', import.meta.url))
  const ran = spawnSync('escript', [script, join(scratch, 'mnesia'), String(ROWS)], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (ran.error) console.log('Mnesia: escript is not installed')
  else if (ran.status !== 0) process.exitCode = 1
}

console.log(`${ROWS.toLocaleString('en')} rows, in ${scratch}`)
await bareStore()
await tables()
mnesia()
