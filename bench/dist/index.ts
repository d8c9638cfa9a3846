/**
 * `npm run bench -- dist`: nodes of ours beside Erlang's, in one run: ours with ours, Erlang's with Erlang's, and mixed both ways.
 *
 * Each node is an OS process that lives through the run. Rounds are interleaved down to the scenario (A-A B-B A-B B-A, in turn
 * beginning with another), so that what else the machine does meets all of them; ratios are taken within a round. `--help`
 * lists the options.
 */
import { spawnSync } from 'node:child_process'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { realSystem } from '../../src/actors/system.ts'
import { startEpmdServer } from '../../src/dist/epmd-server.ts'
import { tcpTransport } from '../../src/dist/transport-tcp.ts'
import { staleBuild } from '../mqtt/brokers.ts'
import { hotFunctions } from '../mqtt/profile.ts'
import { type BenchNode, compileErlang, hasErlang, type Outcome, startErlang, startOurs } from './nodes.ts'
import { type Round, scenarioTable, targetTable } from './report.ts'
import { NODE_KINDS, type NodeKind, PAIRS, type PairName, SCENARIOS, type Scenario } from './scenarios.ts'
import { measureStall, type Stall, stallTable } from './stall.ts'

const USAGE = `npm run bench -- dist [OPTIONS]
  --scenario A,B    only these (--list names them)
  --pairs A,B       of ${PAIRS.join(', ')} (default all; agner-agner where there is no Erlang)
  --rounds N        rounds after the one that warms up (7; 2 with --quick)
  --quick           a fifth of the operations
  --base DIR        nodes of another checkout, built, beside: what a change has brought
  --erl FLAGS       further flags for Erlang's nodes, such as "+sbwt none +sbwtdcpu none +sbwtdio none"
  --json            one JSON document with every round
  --profile         of agner-agner: the functions that cost most, of the node that begins and of the one that answers
  --list            the scenarios, and leave`

/** The part that needs no nodes, and the one whose question is another. */
const CODEC = 'codec'
const STALL = 'stall'

const OPTIONS = {
  scenario: { type: 'string' },
  pairs: { type: 'string' },
  rounds: { type: 'string' },
  quick: { type: 'boolean' },
  base: { type: 'string' },
  erl: { type: 'string' },
  json: { type: 'boolean' },
  profile: { type: 'boolean' },
  list: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const progress = (line: string): void => void process.stderr.write(`${line}\n`)

function refuse(problem: string): never {
  progress(`bench dist: ${problem}`)
  process.exit(2)
}

function parse(): ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values'] {
  try {
    return parseArgs({ options: OPTIONS }).values
  } catch (error) {
    return refuse(`${error instanceof Error ? error.message : error}\n${USAGE}`)
  }
}

function chosen<T extends string>(names: string | undefined, all: readonly T[]): readonly T[] {
  if (names === undefined) return all
  return names.split(',').map((name) => all.find((one) => one === name) ?? refuse(`'${name}' is none of ${all}`))
}

const values = parse()
if (values.help === true) {
  say(USAGE)
  process.exit(0)
}
if (values.list === true) {
  for (const { name, title } of SCENARIOS) say(`${name.padEnd(14)} ${title}`)
  say(`${STALL.padEnd(14)} round trips beside large binaries`)
  say(`${CODEC.padEnd(14)} ns per term, beside msgpackr and JSON`)
  process.exit(0)
}
const stale = staleBuild()
if (stale !== undefined) refuse(stale)
const names = chosen(values.scenario, [...SCENARIOS.map(({ name }) => name), STALL, CODEC])
const scenarios = SCENARIOS.filter(({ name }) => names.includes(name))
const profiling = values.profile === true
if (!hasErlang() && !profiling) progress('Erlang is left out: it is not installed (Debian: apt-get install erlang)')
const { base } = values
const wanted = profiling || !hasErlang() ? (['agner-agner'] as const) : chosen(values.pairs, PAIRS)
const pairs: readonly PairName[] = base === undefined ? wanted : [...wanted, 'base-base']
const quick = values.quick === true
const rounds = Number(values.rounds ?? (quick ? 2 : 7))
if (!(Number.isInteger(rounds) && rounds > 0)) refuse('--rounds takes a whole number above 0')

/** Measures the codec in a process of its own, and ends this one. */
function codec(): never {
  const script = fileURLToPath(new URL('codec.ts', import.meta.url))
  const args = ['--import', 'tsx', script, ...(quick ? ['--quick'] : [])]
  process.exit(spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1)
}

if (scenarios.length === 0 && !names.includes(STALL)) codec()

const running: BenchNode[] = []
process.once('exit', () => {
  for (const node of running) node.kill()
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const system = realSystem()
const epmd = await startEpmdServer({
  transport: tcpTransport(),
  timers: system.timers,
  randomFill: (buffer) => system.randomFill(buffer),
  port: 0,
  hosts: ['127.0.0.1'],
})
if (!epmd.ok) refuse(`no epmd: ${epmd.reason}`)
const epmdPort = epmd.server.port

/** Two nodes of a kind: the first begins, the second answers. */
async function twoNodes(kind: NodeKind): Promise<readonly [BenchNode, BenchNode]> {
  const flags = kind === 'erl' && values.erl !== undefined ? values.erl.split(' ') : []
  const make = (at: number): BenchNode => {
    const profile = join('build/bench', `dist-${at}.cpuprofile`)
    const options = { name: `${kind}${at}@127.0.0.1`, epmdPort, flags }
    const node =
      kind === 'erl'
        ? startErlang(options)
        : startOurs({ ...options, root: kind === 'base' ? base : undefined, profile: profiling ? profile : undefined })
    running.push(node)
    return node
  }
  const two = [make(1), make(2)] as const
  await Promise.all(two.map(({ ready }) => ready))
  return two
}

if (pairs.some((pair) => pair.includes('erl'))) compileErlang()
const kinds = NODE_KINDS.filter((kind) => pairs.some((pair) => pair.split('-').includes(kind)))
const nodes = new Map(await Promise.all(kinds.map(async (kind) => [kind, await twoNodes(kind)] as const)))

function nodesOf(pair: PairName): readonly [from: BenchNode, to: BenchNode] {
  const [from, to] = pair.split('-') as [NodeKind, NodeKind]
  return [nodes.get(from)![0], nodes.get(to)![1]]
}

for (const pair of pairs) {
  const [from, to] = nodesOf(pair)
  if ((await from.ask('connect', to.name)) !== true) refuse(`${from.name} cannot connect to ${to.name}`)
}

async function measure(scenario: Scenario, pair: PairName): Promise<Round> {
  const [from, to] = nodesOf(pair)
  const count = quick ? Math.ceil(scenario.count / 5) : scenario.count
  const { name, args } = scenario.command(count)
  const before = [from.cpuNs(), to.cpuNs()] as const
  const { ns, samples } = (await from.ask(name, to.name, ...args)) as Outcome
  return {
    scenario: scenario.name,
    pair,
    count,
    ns,
    samples: samples.map((sample) => sample / (scenario.perMessage ?? 1)),
    cpuFromNs: from.cpuNs() - before[0],
    cpuToNs: to.cpuNs() - before[1],
  }
}

async function profile(scenario: Scenario): Promise<void> {
  const two = nodes.get('agner')!
  await measure(scenario, 'agner-agner')
  for (const node of two) await node.profile()
  const round = await measure(scenario, 'agner-agner')
  for (const [at, node] of two.entries()) {
    const path = await node.profile()
    const cpuUs = (at === 0 ? round.cpuFromNs : round.cpuToNs) / round.count / 1000
    say(`\n${scenario.name}, the node that ${at === 0 ? 'begins' : 'answers'}`)
    say(hotFunctions(path!, round.count, cpuUs, 25))
  }
}

const results: Round[] = []
const stalls: Stall[] = []
const load = loadavg()[0]
for (const scenario of profiling ? scenarios : []) await profile(scenario)
for (let round = 0; !profiling && round <= rounds; round++) {
  progress(round === 0 ? 'warming up' : `round ${round} of ${rounds}`)
  for (const scenario of scenarios) {
    for (let i = 0; i < pairs.length; i++) {
      const measured = await measure(scenario, pairs[(i + round) % pairs.length]!)
      if (round > 0) results.push(measured)
    }
  }
  for (let i = 0; names.includes(STALL) && i < pairs.length; i++) {
    const pair = pairs[(i + round) % pairs.length]!
    const measured = await measureStall(pair, ...nodesOf(pair), quick)
    if (round > 0) stalls.push(...measured)
  }
}
for (const node of running) await node.stop()
await epmd.server.close()

if (values.json === true) {
  say(JSON.stringify({ at: new Date().toISOString(), node: process.version, load, rounds: results, stalls }))
} else if (!profiling) {
  say(`load average ${load?.toFixed(1)} before, ${loadavg()[0]?.toFixed(1)} after; ratios are of the same round`)
  for (const scenario of scenarios) say(scenarioTable(scenario, pairs, results))
  if (stalls.length > 0) say(stallTable(stalls))
  if (scenarios.length > 0) say(targetTable(scenarios, results))
}
if (names.includes(CODEC) && values.json !== true && !profiling) codec()
process.exit(0)
