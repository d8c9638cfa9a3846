/**
 * A node of ours of the benchmark of tables: the same commands as mnesia_bench.erl. It runs the built package, as production does.
 *
 * Reads a command a line, `ID NAME ARGUMENT...`, and answers with `@@ ID JSON`.
 */
import { createInterface } from 'node:readline'
import { startNode } from 'agner/dist'
import { MemoryStore, type Mnesia, openStore, type Store, startMnesia, type Table, table } from 'agner/mnesia'

interface Row {
  readonly key: string
  readonly payload: Buffer
}

const SYNCED_MS = 60_000
/** Writes of one turn: what else the node does comes between. */
const WRITES_A_TURN = 100
const PAYLOAD = 'v'.repeat(100)

const [name = '', cookie = '', epmdPort = ''] = process.argv.slice(2)
const started = await startNode({ name, cookie, epmdPort: Number(epmdPort) })
if (!started.ok) throw new Error(started.problem)
const { runtime } = started.node
let mnesia: Mnesia
let rows: Table<Row>

function definition(
  copies: 'ram_copies' | 'disc_copies',
  replication: 'shared' | 'owned' | 'local_content' = 'shared',
) {
  return table<Row>(replication === 'shared' ? 'row' : replication, { type: 'set', key: 'key', replication, copies })
}

// A new string each time, as one that has come from a socket.
function keyOf(i: number): string {
  return Buffer.from(`site/${i % 997}/dev/${i}/up`).toString('latin1')
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function start(directory: string): Promise<void> {
  const store: Store =
    directory === 'ram' ? new MemoryStore() : (await openStore({ directory, system: runtime.system })).store
  const tables = await startMnesia(runtime, { store, backup: async () => 'none' })
  if (!tables.ok) throw new Error(tables.problem)
  mnesia = tables.mnesia
  const found = mnesia.table('row')
  if (found !== undefined) rows = found as Table<Row>
}

async function writeRows(into: Table<Row>, count: number, first: number): Promise<number> {
  const begun = performance.now()
  for (let i = 1; i <= count; ) {
    for (let n = 0; n < WRITES_A_TURN && i <= count; n++, i++) {
      into.write({ key: keyOf(first + i), payload: Buffer.from(PAYLOAD) })
    }
    await turn()
  }
  return ((performance.now() - begun) * 1000) / count
}

async function join(node: string): Promise<number> {
  const begun = performance.now()
  const joined = await mnesia.join(node, { confirm: true })
  if (!joined.ok) throw new Error(joined.text)
  await mnesia.waitForTables(['row'], SYNCED_MS)
  rows = mnesia.table('row') as Table<Row>
  return performance.now() - begun
}

async function cpuNs(count: number, work: () => unknown): Promise<number> {
  globalThis.gc?.()
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1000) / count
}

function heldBytes(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, arrayBuffers, external } = process.memoryUsage()
  return heapUsed + Math.max(arrayBuffers, external)
}

/** CPU ns each: a read, a write over a row, a transaction that reads and writes; bytes a row takes. */
async function solo(count: number, replication: string): Promise<number[]> {
  await start('ram')
  const into = mnesia.open(definition('ram_copies', replication as 'shared'))
  const before = heldBytes()
  await writeRows(into, count, 0)
  const bytes = (heldBytes() - before) / count
  const n = 200_000
  const keys = Array.from({ length: n }, (_, i) => keyOf(1 + ((i * 7919) % count)))
  const payload = Buffer.alloc(100, 'w')
  let found = 0
  const read = await cpuNs(n, () => {
    for (const key of keys) if (into.get(key) !== undefined) found++
  })
  if (found !== n) throw new Error(`${n - found} rows were not found`)
  const write = await cpuNs(n, async () => {
    for (let i = 0; i < n; ) {
      for (let left = WRITES_A_TURN; left > 0; left--) into.write({ key: keys[i++]!, payload })
      await turn()
    }
  })
  if (replication !== 'shared') return [read, write, 0, bytes]
  const transactions = 20_000
  const transaction = await cpuNs(transactions, async () => {
    for (let i = 0; i < transactions; i++) {
      const done = await mnesia.transaction(runtime, async (tx) => {
        const [row] = await tx.read(into, keys[i]!, 'write')
        await tx.write(into, row!)
      })
      if (!done.ok) throw new Error(JSON.stringify(done.reason))
    }
  })
  return [read, write, transaction, bytes]
}

/** Three loops, each with one kind of operation about every ms; [count, p50, p99, greatest] of each in us. */
async function probe(ms: number): Promise<(number | null)[][]> {
  const payload = Buffer.alloc(100, 'p')
  const kinds: ((i: number) => unknown)[] = [
    (i) => rows.get(keyOf(1 + (i % 1000))),
    (i) => rows.write({ key: keyOf(1 + (i % 1000)), payload }),
    (i) =>
      mnesia.transaction(runtime, async (tx) => {
        const key = keyOf(1 + (i % 1000))
        await tx.read(rows, key, 'write')
        await tx.write(rows, { key, payload })
      }),
  ]
  const until = performance.now() + ms
  return Promise.all(
    kinds.map(async (kind) => {
      const samples: number[] = []
      for (let i = 0; performance.now() < until; i++) {
        const begun = performance.now()
        const done = kind(i)
        // One that hangs is told as what it has taken until the end.
        if (done instanceof Promise) await Promise.race([done, pause(until - begun + 100)])
        samples.push((performance.now() - begun) * 1000)
        await pause(1)
      }
      return summary(samples)
    }),
  )
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))
}

function summary(samples: number[]): (number | null)[] {
  samples.sort((a, b) => a - b)
  const at = (share: number): number => samples[Math.min(samples.length - 1, Math.floor(samples.length * share))]!
  return [samples.length, at(0.5), at(0.99), samples.at(-1)!]
}

async function run(command: string, [a = '', b = '']: string[]): Promise<unknown> {
  switch (command) {
    case 'start':
      return start(a)
    case 'stop':
      return mnesia.stop()
    case 'create':
      rows = mnesia.open(definition(a as 'ram_copies'))
      return undefined
    case 'join':
      return join(a)
    case 'fill':
      await writeRows(rows, Number(a), 0)
      return undefined
    case 'size':
      return (mnesia.table('row') as Table<Row> | undefined)?.size ?? 0
    case 'write':
      return writeRows(rows, Number(a), Number(b))
    case 'solo':
      return solo(Number(a), b === '' ? 'shared' : b)
    case 'probe':
      return probe(Number(a))
    default:
      throw new Error(`no command ${command}`)
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [id, command = '', ...args] = line.split(' ')
    void run(command, args).then((result) => process.stdout.write(`@@ ${id} ${JSON.stringify(result ?? null)}\n`))
  })
  .on('close', () => process.exit(0))
process.stdout.write('@@ 0 null\n')
