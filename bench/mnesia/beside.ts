/**
 * Tables of ours beside Mnesia's, on nodes that are OS processes with real links:
 *
 *     npm run bench -- mnesia beside [solo|load|join|writes|frozen]... [agner|base|erlang]... [--quick] [--base DIR] [--rounds N] [--profile]
 *
 * They take turns. CPU is that of all nodes. What Mnesia has no equal for (owned and local tables) is measured alone. `--base` has nodes of another
 * checkout, built, beside; `--profile` names the functions of our nodes that `join` and `writes` cost most.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { realSystem } from '../../src/actors/system.ts'
import { startEpmdServer } from '../../src/dist/epmd-server.ts'
import { tcpTransport } from '../../src/dist/transport-tcp.ts'
import { type BenchNode, compileErlang, hasErlang, startErlang, startOurs } from '../dist/nodes.ts'
import { staleBuild } from '../mqtt/brokers.ts'
import { hotFunctions } from '../mqtt/profile.ts'
import { print } from './measure.ts'

const KINDS = ['agner', 'base', 'erlang'] as const
type Kind = (typeof KINDS)[number]

const { values, positionals: args } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    base: { type: 'string' },
    rounds: { type: 'string', default: '1' },
    profile: { type: 'boolean', default: false },
  },
})
const { quick: isQuick, base, profile: isProfiling } = values
const rounds = Number(values.rounds)
const ROWS = isQuick ? 50_000 : 1_000_000
const WRITES = isQuick ? 20_000 : 300_000
const PROBE_MS = isQuick ? 1000 : 5000

const stale = staleBuild()
if (stale !== undefined) throw new Error(stale)

const folder = mkdtempSync(join(tmpdir(), 'agner-bench-mnesia-'))
const system = realSystem()
const epmd = await startEpmdServer({
  transport: tcpTransport(),
  timers: system.timers,
  randomFill: (buffer) => system.randomFill(buffer),
  port: 0,
  hosts: ['127.0.0.1'],
})
if (!epmd.ok) throw new Error(`no epmd: ${epmd.reason}`)
const epmdPort = epmd.server.port
const running = new Set<BenchNode>()
process.once('exit', () => {
  for (const node of running) node.kill()
  rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

async function start(kind: Kind, at: number, tables: string): Promise<BenchNode> {
  const name = `${kind}${at}@127.0.0.1`
  const node =
    kind === 'erlang'
      ? startErlang({ name, epmdPort, module: 'mnesia_bench' })
      : startOurs({
          name,
          epmdPort,
          script: 'bench/mnesia/our-node.ts',
          flags: ['--expose-gc'],
          root: kind === 'base' ? base : undefined,
          profile: isProfiling ? join('build/bench', `mnesia-${name}.cpuprofile`) : undefined,
        })
  running.add(node)
  await node.ready
  if (tables !== '') await node.ask('start', tables)
  return node
}

async function stopAll(): Promise<void> {
  await Promise.all([...running].map((node) => node.stop()))
  running.clear()
}

/** Nodes with an empty table of ram copies. */
async function cluster(kind: Kind, count: number): Promise<BenchNode[]> {
  const nodes: BenchNode[] = []
  for (let at = 1; at <= count; at++) nodes.push(await start(kind, at, 'ram'))
  await nodes[0]!.ask('create', 'ram_copies')
  for (const node of nodes.slice(1)) await node.ask('join', nodes[0]!.name)
  return nodes
}

async function untilSize(nodes: readonly BenchNode[], size: number): Promise<void> {
  for (const node of nodes) while (Number(await node.ask('size')) < size) await new Promise((r) => setTimeout(r, 5))
}

async function solo(kind: Kind): Promise<void> {
  const replications = kind === 'erlang' ? [''] : ['shared', 'owned', 'local_content']
  for (const replication of replications) {
    const node = await start(kind, 1, '')
    const command = replication === '' ? ['solo', ROWS] : ['solo', ROWS, replication]
    const [read, write, transaction, bytes] = (await node.ask(...command)) as number[]
    print(`${kind} ${replication}, n=${ROWS}`, {
      'read CPU ns': read!,
      'write CPU ns': write!,
      'transaction CPU us': transaction! / 1000,
      'bytes/row (100 of payload)': bytes!,
    })
    await stopAll()
  }
}

async function load(kind: Kind): Promise<void> {
  const directory = join(folder, kind)
  let node = await start(kind, 1, directory)
  await node.ask('create', 'disc_copies')
  await node.ask('fill', ROWS)
  await node.ask('stop')
  await stopAll()
  node = await start(kind, 1, '')
  const cpu = node.cpuNs()
  const begun = performance.now()
  await node.ask('start', directory)
  const seconds = (performance.now() - begun) / 1000
  if (Number(await node.ask('size')) !== ROWS) throw new Error('rows are missing')
  print(`${kind}, n=${ROWS}`, { 'start and load s': seconds, 'CPU us/row': (node.cpuNs() - cpu) / ROWS / 1000 })
  await stopAll()
}

async function joining(kind: Kind): Promise<void> {
  const first = await start(kind, 1, 'ram')
  await first.ask('create', 'ram_copies')
  await first.ask('fill', ROWS)
  const second = await start(kind, 2, 'ram')
  const endProfile = await profile([first, second])
  const cpu = first.cpuNs() + second.cpuNs()
  const ms = Number(await second.ask('join', first.name))
  await untilSize([second], ROWS)
  await endProfile(ROWS)
  print(`${kind}, n=${ROWS}`, {
    'join s': ms / 1000,
    'CPU of both us/row': (first.cpuNs() + second.cpuNs() - cpu) / ROWS / 1000,
  })
  await stopAll()
}

/** Begins profiles of nodes of ours; what it returns ends them and prints them. */
async function profile(nodes: readonly BenchNode[]): Promise<(operations: number) => Promise<void>> {
  for (const node of nodes) await node.profile()
  return async (operations) => {
    for (const node of nodes) {
      const path = await node.profile()
      if (path !== undefined) process.stdout.write(`${node.name}\n${hotFunctions(path, operations, undefined, 30)}\n`)
    }
  }
}

/** Until every node has every row: one node writes, then all do at the same time. */
async function writes(kind: Kind): Promise<void> {
  for (const count of [2, 3]) {
    const nodes = await cluster(kind, count)
    let size = 0
    for (const writers of [nodes.slice(0, 1), nodes]) {
      const each = Math.floor(WRITES / writers.length)
      const endProfile = await profile(nodes)
      const cpuOf = () => nodes.reduce((sum, node) => sum + node.cpuNs(), 0)
      const cpu = cpuOf()
      const begun = performance.now()
      await Promise.all(writers.map((node, i) => node.ask('write', each, size + i * each)))
      size += each * writers.length
      await untilSize(nodes, size)
      const seconds = (performance.now() - begun) / 1000
      await endProfile(each * writers.length)
      print(`${kind}, ${count} nodes, ${writers.length === 1 ? 'one writes' : 'all write'}, n=${size}`, {
        'writes/s': (each * writers.length) / seconds,
        'CPU of all us/write': (cpuOf() - cpu) / (each * writers.length) / 1000,
      })
    }
    await stopAll()
  }
}

/** Latencies on two healthy nodes of three before the third stands still, and while it does. */
async function frozen(kind: Kind): Promise<void> {
  const nodes = await cluster(kind, 3)
  await nodes[0]!.ask('write', 1000, 0)
  await untilSize(nodes, 1000)
  const probe = async (when: string): Promise<void> => {
    const results = (await nodes[0]!.ask('probe', PROBE_MS)) as (number | null)[][]
    for (const [i, what] of ['dirty read', 'dirty write', 'transaction'].entries()) {
      const [count, p50, p99, greatest] = results[i]!.map((figure) => figure ?? Number.NaN)
      print(`${kind}, ${when}: ${what}`, { n: String(count), 'p50 us': p50!, 'p99 us': p99!, 'greatest us': greatest! })
    }
  }
  await probe('warming up')
  await probe('before')
  nodes[2]!.freeze()
  try {
    await probe('one of three stands still')
  } finally {
    nodes[2]!.thaw()
  }
  for (const node of running) node.kill()
  running.clear()
}

const SCENARIOS: Readonly<Record<string, (kind: Kind) => Promise<void>>> = {
  solo,
  load,
  join: joining,
  writes,
  frozen,
}

const kinds = KINDS.filter((kind) => (kind === 'erlang' ? hasErlang() : kind === 'agner' || base !== undefined))
const wanted = args.filter((argument) => SCENARIOS[argument] !== undefined)
const only = kinds.filter((kind) => args.includes(kind))
const unknown = args.find((argument) => !wanted.includes(argument) && !only.includes(argument as Kind))
if (unknown !== undefined) {
  process.stderr.write(
    `bench mnesia beside: '${unknown}' is none of ${[...Object.keys(SCENARIOS), ...kinds].join(', ')}\n`,
  )
  process.exit(2)
}
try {
  if (hasErlang()) compileErlang(fileURLToPath(new URL('mnesia_bench.erl', import.meta.url)))
  for (const name of wanted.length > 0 ? wanted : Object.keys(SCENARIOS)) {
    process.stdout.write(`-- ${name}\n`)
    for (let round = 0; round < rounds; round++) {
      for (const kind of only.length > 0 ? only : kinds) await SCENARIOS[name]!(kind)
    }
  }
} finally {
  await epmd.server.close()
}
process.exit()
