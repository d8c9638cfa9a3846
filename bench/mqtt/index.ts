/**
 * `npm run bench -- mqtt`: our broker beside mosquitto and aedes, in one run, on separate cores.
 *
 * Per scenario the rounds are interleaved (A B C A B C), each with a fresh broker pinned to one core and the generator
 * to the other, so that what else the machine does meets all of them alike. `--help` lists the options.
 */
import { mkdirSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  BROKER_NAMES,
  DEFAULT_BROKERS,
  isNodeBroker,
  missingReason,
  OURS,
  type RunningBroker,
  staleBuild,
  startBroker,
} from './brokers.ts'
import { buildLoadgen, type Round, runLoadgen } from './loadgen.ts'
import { hotFunctions } from './profile.ts'
import { faults, format, type ScenarioResult, scenarioTable, verdicts, verdictTable } from './report.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'

const USAGE = `npm run bench -- mqtt [OPTIONS]
  --scenario A,B    only these (--list names them)
  --brokers A,B     of ${BROKER_NAMES.join(', ')} (default ${DEFAULT_BROKERS.join(',')})
  --rounds N        rounds per broker (3; 1 with --quick)
  --quick           the main scenarios, briefly: under a minute
  --seconds S       measured time of a traffic round (2)      --warmup S   before it (0.5)
  --mqtt 4|5        protocol version (4 is MQTT 3.1.1)
  --set KEY=VALUE   a setting for our broker; may be repeated
  --cpus A,B        cores of the broker and of the generator (0,1)
  --json            one JSON document with every round
  --profile         our broker alone under the CPU profiler in each scenario given: the functions that cost most
                    (with --brokers aedes: that broker). The .cpuprofile is kept in build/bench
  --list            the scenarios, and leave`

const OPTIONS = {
  scenario: { type: 'string' },
  brokers: { type: 'string' },
  rounds: { type: 'string' },
  quick: { type: 'boolean' },
  seconds: { type: 'string' },
  warmup: { type: 'string' },
  mqtt: { type: 'string' },
  set: { type: 'string', multiple: true },
  cpus: { type: 'string' },
  json: { type: 'boolean' },
  profile: { type: 'boolean' },
  list: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const progress = (line: string): void => void process.stderr.write(`${line}\n`)

function refuse(problem: string): never {
  progress(`bench mqtt: ${problem}`)
  process.exit(2)
}

function parse(): ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values'] {
  try {
    return parseArgs({ options: OPTIONS }).values
  } catch (error) {
    return refuse(`${error instanceof Error ? error.message : error}\n${USAGE}`)
  }
}

function chosenScenarios(names: string | undefined, quick: boolean): Scenario[] {
  if (names === undefined) return SCENARIOS.filter((scenario) => !quick || scenario.quick !== undefined)
  return names.split(',').map((name) => {
    const scenario = SCENARIOS.find((candidate) => candidate.name === name)
    return scenario ?? refuse(`no scenario '${name}'; there are ${SCENARIOS.map((s) => s.name).join(', ')}`)
  })
}

function chosenBrokers(names: string | undefined, profiling: boolean): string[] {
  const wanted = names?.split(',') ?? (profiling ? [OURS] : DEFAULT_BROKERS)
  return wanted.filter((name) => {
    if (!BROKER_NAMES.includes(name)) refuse(`no broker '${name}'; there are ${BROKER_NAMES.join(', ')}`)
    if (profiling && !isNodeBroker(name)) refuse(`${name} does not run on Node and cannot be profiled`)
    const reason = missingReason(name)
    if (reason !== undefined) progress(`${name} is left out: ${reason}`)
    return reason === undefined
  })
}

const values = parse()
if (values.help === true) {
  say(USAGE)
  process.exit(0)
}
if (values.list === true) {
  for (const { name, title } of SCENARIOS) say(`${name.padEnd(18)} ${title}`)
  process.exit(0)
}
const quick = values.quick === true
const profiling = values.profile === true
const scenarios = chosenScenarios(values.scenario ?? (profiling ? 'pairs-qos0' : undefined), quick)
const brokers = chosenBrokers(values.brokers, profiling)
if (brokers.length === 0) refuse('no broker to measure')
const rounds = Number(values.rounds ?? (quick || profiling ? 1 : 3))
if (!(Number.isInteger(rounds) && rounds > 0)) refuse('--rounds takes a whole number above 0')
const pinnable = cpus().length > 1 && process.platform === 'linux'
const [brokerCpu, generatorCpu] = pinnable ? (values.cpus ?? '0,1').split(',').map(Number) : []
const extra = (['seconds', 'warmup', 'mqtt'] as const).flatMap((name) => {
  const value = values[name]
  return value === undefined ? [] : [`--${name}`, value]
})

let running: RunningBroker | undefined
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    const stopped = running?.stop() ?? Promise.resolve()
    void stopped.finally(() => process.exit(130))
  })

async function runRound(
  binary: string,
  broker: string,
  scenario: Scenario,
  profile: string | undefined,
): Promise<Round> {
  // The profiler samples from a thread of its own, which on the broker's core would run mostly while the broker does not.
  const cpu = profile === undefined ? brokerCpu : undefined
  running = await startBroker(broker, { cpu, sets: values.set ?? [], profile })
  try {
    const args = [...scenario.args, ...(quick ? (scenario.quick ?? []) : []), ...extra]
    if (profile !== undefined) args.push('--mark')
    const round = await runLoadgen(binary, args, { ...running, cpu: generatorCpu, timeoutMs: 180_000 })
    const words = running.lastWords()
    if (round.fault === undefined || words === '') return round
    return { ...round, fault: `${round.fault}\n   ${broker} said: ${words.slice(-1000)}` }
  } finally {
    await running.stop()
    running = undefined
  }
}

/** A broker that does not come up costs its round, not the run. */
async function runRoundOrFault(binary: string, broker: string, scenario: Scenario): Promise<Round> {
  try {
    return await runRound(binary, broker, scenario, undefined)
  } catch (error) {
    return { figures: {}, fault: error instanceof Error ? error.message : String(error) }
  }
}

async function compare(binary: string): Promise<void> {
  const results: ScenarioResult[] = []
  const loadBefore = loadavg()[0] ?? 0
  for (const scenario of scenarios) {
    const collected = brokers.map((broker) => ({ broker, rounds: [] as Round[] }))
    for (let round = 0; round < rounds; round++)
      for (const { broker, rounds: done } of collected) {
        const result = await runRoundOrFault(binary, broker, scenario)
        done.push(result)
        const { operationsPerSecond, brokerUsPerOperation } = result.figures
        progress(
          `${scenario.name} ${round + 1}/${rounds} ${broker}: ` +
            (result.fault ?? `${format(operationsPerSecond)}/s, ${format(brokerUsPerOperation)} µs each`),
        )
      }
    const result = { scenario, brokers: collected }
    results.push(result)
    if (values.json !== true) say(scenarioTable(result, OURS))
  }
  const judged = verdicts(results, OURS)
  const wrong = results.flatMap(faults)
  const load = { before: loadBefore, after: loadavg()[0] ?? 0 }
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, load, pinned: pinnable }
  if (values.json === true) say(JSON.stringify({ machine, rounds, results, targets: judged, wrong }))
  else {
    if (brokers.includes(OURS)) say(verdictTable(judged))
    say(
      `\n${machine.cores} × ${machine.cpu}, Node ${machine.node}, load ${format(load.before)} before and ${format(load.after)} after; ` +
        (pinnable ? `broker on core ${brokerCpu}, generator on core ${generatorCpu}` : 'not pinned'),
    )
    say(wrong.length === 0 ? 'Every delivery of every round was checked and right.' : `\n${wrong.join('\n')}`)
  }
  // Slow is a finding; wrong is a failure.
  if (wrong.length > 0) process.exitCode = 1
}

async function profileAll(binary: string): Promise<void> {
  const folder = join(process.cwd(), 'build/bench')
  mkdirSync(folder, { recursive: true })
  for (const scenario of scenarios)
    for (const broker of brokers) {
      const path = join(folder, `${broker}-${scenario.name}.cpuprofile`)
      const { figures, fault } = await runRound(binary, broker, scenario, path)
      say(`\n${broker}, ${scenario.name}: ${scenario.title}\n${path}`)
      if (fault !== undefined) say(`!! WRONG: ${fault}`)
      const operations = figures.deliveries ?? figures.connections ?? figures.filters
      if (operations !== undefined) say(hotFunctions(path, operations, figures.brokerUsPerOperation, 40))
    }
}

const stale = brokers.includes(OURS) ? staleBuild() : undefined
if (stale !== undefined) progress(`WARNING: ${stale}`)
try {
  const binary = buildLoadgen()
  await (profiling ? profileAll(binary) : compare(binary))
} catch (error) {
  progress(`bench mqtt: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
}
