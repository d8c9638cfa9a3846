/**
 * Turns rounds into tables and into a verdict on the targets.
 *
 * The figure to compare is broker CPU per operation: on a machine that does other work at the same time, a rate says
 * mostly how much of a core the broker was given, so that share stands beside each rate. A generator share near 1
 * means that the generator was the limit and the broker could have gone faster (its CPU per operation still holds).
 */
import type { Round } from './loadgen.ts'
import type { Layout, Scenario } from './scenarios.ts'

/** The rounds of one broker in one scenario. */
export interface BrokerRounds {
  readonly broker: string
  readonly rounds: readonly Round[]
}

/** A scenario with what every broker did in it. */
export interface ScenarioResult {
  readonly scenario: Scenario
  readonly brokers: readonly BrokerRounds[]
}

/** One target and whether it was reached. */
export interface Verdict {
  readonly scenario: string
  readonly target: string
  readonly wanted: number
  readonly measured: number | undefined
  readonly reached: boolean | undefined
}

/** The values of a figure over those rounds that have it, ascending. */
function values(rounds: readonly Round[], figure: string): number[] {
  return rounds
    .map((round) => round.figures[figure])
    .filter((value) => value !== undefined)
    .sort((a, b) => a - b)
}

/** The median of a figure over rounds; undefined when no round has it. */
export function median(rounds: readonly Round[], figure: string): number | undefined {
  const sorted = values(rounds, figure)
  const middle = sorted.length >> 1
  const high = sorted[middle]
  const low = sorted.length % 2 === 1 ? high : sorted[middle - 1]
  return low === undefined || high === undefined ? undefined : (low + high) / 2
}

/** Three significant digits, thousands with commas. */
export function format(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '-'
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US')
  if (value === 0 || Math.abs(value) < 0.001) return value.toFixed(0)
  return Number(value.toPrecision(3)).toString()
}

/** Lines up columns: the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  return rows
    .map((row) =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    )
    .join('\n')
}

type Cell = (rounds: readonly Round[]) => string
type Column = readonly [heading: string, cell: Cell]

const atMedian =
  (figure: string): Cell =>
  (rounds) =>
    format(median(rounds, figure))
const atBest =
  (figure: string): Cell =>
  (rounds) =>
    format(values(rounds, figure).at(-1))
const atLeast =
  (figure: string): Cell =>
  (rounds) =>
    format(values(rounds, figure)[0])
const withRange =
  (figure: string): Cell =>
  (rounds) => {
    const sorted = values(rounds, figure)
    const middle = format(median(rounds, figure))
    return sorted.length < 2 ? middle : `${middle} (${format(sorted[0])}..${format(sorted.at(-1))})`
  }

const RATE: readonly Column[] = [
  ['n', (rounds) => String(values(rounds, 'operationsPerSecond').length)],
  ['best/s', atBest('operationsPerSecond')],
  ['median/s', atMedian('operationsPerSecond')],
  ['broker CPU µs each', withRange('brokerUsPerOperation')],
  ['broker core', atMedian('brokerShare')],
  ['generator core', atMedian('generatorShare')],
]

const COLUMNS: Readonly<Record<Layout, readonly Column[]>> = {
  traffic: [
    ...RATE,
    ['writes each', atMedian('brokerWritesPerOperation')],
    ['p50 ms', atLeast('latencyP50Ms')],
    ['p95', atLeast('latencyP95Ms')],
    ['p99', atLeast('latencyP99Ms')],
    ['p99 of the rounds', withRange('latencyP99Ms')],
    ['generator late p99', atLeast('generatorLateP99Ms')],
    ['RSS MiB', atMedian('rssMiB')],
  ],
  connect: [
    ...RATE,
    ['p99 ms', atLeast('latencyP99Ms')],
    ['KiB idle', withRange('kibPerIdleConnection')],
    ['KiB with a filter', withRange('kibPerSubscribedConnection')],
    ['core while idle', atMedian('idleBrokerShare')],
  ],
  subscribe: [
    ...RATE,
    ['unsubscribe/s', atMedian('unsubscribeOperationsPerSecond')],
    ['CPU µs each', withRange('unsubscribeBrokerUsPerOperation')],
    ['B per filter', withRange('bytesPerFilter')],
    ['of 1,000 delivered', atLeast('samplesDelivered')],
    ['after UNSUBACK', atBest('afterUnsuback')],
  ],
}

const UNIT: Readonly<Record<Layout, string>> = {
  traffic: 'deliveries/s',
  connect: 'connections/s',
  subscribe: 'filters/s',
}

/** What went wrong in the rounds of a scenario, one line each; empty when every delivery was right. */
export function faults(result: ScenarioResult): string[] {
  return result.brokers.flatMap(({ broker, rounds }) =>
    rounds.flatMap(({ fault }, i) =>
      fault === undefined ? [] : [`!! WRONG: ${broker}, ${result.scenario.name}, round ${i + 1}: ${fault}`],
    ),
  )
}

/** mosquitto's (or another broker's) CPU per operation over ours. */
function ratio(result: ScenarioResult, other: string, ours: string): number | undefined {
  const cost = (name: string): number | undefined =>
    median(result.brokers.find(({ broker }) => broker === name)?.rounds ?? [], 'brokerUsPerOperation')
  const theirs = cost(other)
  const own = cost(ours)
  return theirs === undefined || own === undefined ? undefined : theirs / own
}

/** The table of one scenario, with what was wrong below it. */
export function scenarioTable(result: ScenarioResult, ours: string): string {
  const { scenario, brokers } = result
  const columns = COLUMNS[scenario.layout]
  const rows = brokers.map(({ broker, rounds }) => [
    broker,
    ...columns.map(([, cell]) => cell(rounds)),
    broker === ours ? '1' : format(ratio(result, broker, ours)),
  ])
  const heading = ['broker', ...columns.map(([title]) => title), 'CPU / ours']
  return [
    `\n${scenario.name}: ${scenario.title} (${UNIT[scenario.layout]})`,
    table([heading, ...rows]),
    ...faults(result),
  ].join('\n')
}

/** Every target of the scenarios that ran, reached or missed; undefined where a broker that it needs has no figures. */
export function verdicts(results: readonly ScenarioResult[], ours: string): Verdict[] {
  const out: Verdict[] = []
  for (const result of results) {
    const { scenario } = result
    const { targets } = scenario
    const own = result.brokers.find(({ broker }) => broker === ours)?.rounds ?? []
    const judge = (target: string, wanted: number | undefined, measured: number | undefined, atMost: boolean): void => {
      if (wanted === undefined) return
      const reached = measured === undefined ? undefined : atMost ? measured <= wanted : measured >= wanted
      out.push({ scenario: scenario.name, target: `${target} ${atMost ? '≤' : '≥'}`, wanted, measured, reached })
    }
    judge('CPU µs each', targets.cpuUs, median(own, 'brokerUsPerOperation'), true)
    judge('KiB per idle connection', targets.kibPerIdleConnection, median(own, 'kibPerIdleConnection'), true)
    judge('B per filter', targets.bytesPerFilter, median(own, 'bytesPerFilter'), true)
    for (const { broker, rounds } of result.brokers.filter(({ broker }) => broker.startsWith('mosquitto'))) {
      judge(`${broker} CPU / ours`, targets.mosquittoOverOurs, ratio(result, broker, ours), false)
      if (targets.p99NoWorse === true)
        judge(
          `p99 ms (quietest round), that of ${broker}`,
          values(rounds, 'latencyP99Ms')[0],
          values(own, 'latencyP99Ms')[0],
          true,
        )
    }
  }
  return out
}

/** The table of targets. */
export function verdictTable(list: readonly Verdict[]): string {
  const rows = list.map(({ scenario, target, wanted, measured, reached }) => [
    scenario,
    target,
    format(wanted),
    format(measured),
    reached === undefined ? 'not measured' : reached ? 'pass' : 'MISS',
  ])
  return `\ntargets\n${table([['scenario', 'target', 'wanted', 'measured', ''], ...rows])}`
}
