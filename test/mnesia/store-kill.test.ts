import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import type { LogStore } from '../../src/mnesia/store/log-store.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { program } from '../support/programs.ts'
import { open, storeDirectory } from './log-store-support.ts'
import { StoreModel } from './store-support.ts'
import type { WriterOrder } from './store-writer.ts'
import { WRITE_SPACES, writeOf } from './store-writes.ts'

const KILLS = Number(process.env.STORE_KILLS ?? 20)
const STORES = 12
/** Writers that are being started while others write. */
const AHEAD = 3

/** What is known of a store from outside. */
interface Watched {
  readonly directory: string
  readonly seed: number
  /** What its first `written` writes come to. */
  readonly model: StoreModel
  written: number
  promised: number
}

function startWriter(): ChildProcessWithoutNullStreams {
  const writer = spawn(process.execPath, program('test/mnesia/store-writer'))
  onTestFinished(() => void writer.kill('SIGKILL'))
  return writer
}

/** Lets a writer write until it has made some promises, and a few ms more, and kills it; notes what it had promised. */
async function writeAndKill(
  writer: ChildProcessWithoutNullStreams,
  watched: Watched[],
  promises: number,
  ms: number,
): Promise<void> {
  let output = ''
  let errors = ''
  writer.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  writer.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const closed = once(writer, 'close')
  const order: WriterOrder = {
    logBytes: 20_000,
    stores: watched.map(({ directory, seed, written }) => ({ directory, seed, next: written + 1 })),
  }
  writer.stdin.write(`${JSON.stringify(order)}\n`)
  const lines = (): number => output.split('\n').length - 1
  const isRunning = (): boolean => writer.exitCode === null && writer.signalCode === null
  while (lines() <= promises && isRunning()) await Promise.race([once(writer.stdout, 'data'), closed])
  await delay(ms)
  writer.kill('SIGKILL')
  await closed
  expect(errors).toBe('')
  for (const [number, n] of output
    .split('\n')
    .slice(1, -1)
    .map((line) => line.split(' ').map(Number))) {
    watched[number!]!.promised = Math.max(watched[number!]!.promised, n!)
  }
}

/** Checks that a store holds what some number of writes come to, at least those that were promised, and takes note of how many. */
function check(watched: Watched, store: LogStore): void {
  const n = Number(store.get('count', 'n') ?? 0)
  const apply = (): void => watched.model.apply(writeOf(watched.seed, ++watched.written))
  while (watched.written < n) apply()
  // Clearing a space leaves no note in it: whether that was the last write shows only in the space.
  const next = writeOf(watched.seed, watched.written + 1)
  if (next.do === 'clear' && (watched.promised > n || store.count(next.space) === 0)) apply()
  expect(watched.written).toBeGreaterThanOrEqual(watched.promised)
  watched.model.check(store, WRITE_SPACES)
}

test('a killed process leaves stores that hold all that was promised and nothing by halves', async () => {
  const parent = storeDirectory({ inMemory: true })
  const random = new SeededRandom(Number(process.env.STORE_KILL_SEED ?? Date.now()))
  const watched: Watched[] = Array.from({ length: STORES }, (_, i) => ({
    directory: join(parent, String(i)),
    seed: random.below(1e6),
    model: new StoreModel(),
    written: 0,
    promised: 0,
  }))
  const writers = Array.from({ length: AHEAD }, startWriter)
  let checkpoints = 0
  for (let kill = 0; kill < KILLS; kill++) {
    const writer = writers.shift()!
    if (kill + AHEAD < KILLS) writers.push(startWriter())
    await writeAndKill(writer, watched, random.below(8) === 0 ? 0 : random.below(400), random.next() * 8)
    for (const each of watched) {
      const { store, damage } = await open(each.directory)
      expect(damage).toEqual([])
      check(each, store)
      checkpoints += store.info().files.filter((name) => name.endsWith('.rows')).length
      await store.close()
    }
  }
  expect(Math.min(...watched.map(({ promised }) => promised))).toBeGreaterThan(0)
  expect(checkpoints).toBeGreaterThan(KILLS)
}, 60_000)
