/**
 * Turns rounds into tables.
 *
 * The ratio of two pairs is the median of their ratios within a round: what the machine did else in that round met both. CPU is that
 * of all threads of a node, and holds where a rate only says how much of the machine a node was given; Erlang's schedulers
 * spin for a moment before they sleep, which counts as well (`--erl` can turn it off).
 */
import { format, table } from '../mqtt/report.ts'
import type { PairName, Scenario } from './scenarios.ts'

/** What a pair did in one round. */
export interface Round {
  readonly scenario: string
  readonly pair: PairName
  /** Operations. */
  readonly count: number
  readonly ns: number
  /** ns of an operation each, or means over parts of the round. */
  readonly samples: readonly number[]
  readonly cpuFromNs: number
  readonly cpuToNs: number
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (share === 0.5 && sorted.length % 2 === 0) return ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

const rate = ({ count, ns }: Round): number => count / (ns / 1e9)

function roundsOf(results: readonly Round[], scenario: Scenario, pair: PairName): Round[] {
  return results.filter((round) => round.scenario === scenario.name && round.pair === pair)
}

/** How fast a round was, in a number that is only good to be compared with that of another pair. */
function speed(scenario: Scenario, round: Round): number {
  // Of operations that come one by one the time of all says as well how often the machine had other things to do.
  return scenario.samples === 'each' ? 1 / quantile(round.samples, 0.5) : rate(round)
}

/** The speed of a pair over that of another, in the same rounds. */
function ratio(results: readonly Round[], scenario: Scenario, pair: PairName, to: PairName): number | undefined {
  const others = roundsOf(results, scenario, to)
  const ratios = roundsOf(results, scenario, pair).flatMap((round, i) => {
    const other = others[i]
    return other === undefined ? [] : [speed(scenario, round) / speed(scenario, other)]
  })
  return ratios.length === 0 ? undefined : quantile(ratios, 0.5)
}

/** CPU of both nodes over that of the other checkout's, in the same rounds. */
function cpuRatio(results: readonly Round[], scenario: Scenario, pair: PairName): number {
  const cpu = ({ cpuFromNs, cpuToNs }: Round): number => cpuFromNs + cpuToNs
  const others = roundsOf(results, scenario, 'base-base')
  return quantile(
    roundsOf(results, scenario, pair).map((round, i) => cpu(round) / cpu(others[i] ?? round)),
    0.5,
  )
}

/** One scenario: a line for each pair. */
export function scenarioTable(scenario: Scenario, pairs: readonly PairName[], results: readonly Round[]): string {
  const hasBytes = scenario.bytes !== undefined
  const hasBase = pairs.includes('base-base')
  const rows = pairs.map((pair) => {
    const rounds = roundsOf(results, scenario, pair)
    const samples = rounds.flatMap((round) => round.samples)
    const rates = rounds.map(rate)
    const median = quantile(rates, 0.5)
    const cpu = (of: (round: Round) => number): string =>
      format(
        quantile(
          rounds.map((round) => of(round) / round.count),
          0.5,
        ) / 1000,
      )
    return [
      pair,
      String(rounds.reduce((sum, { count }) => sum + count, 0)),
      `${format(median)} (${format(Math.min(...rates))}..${format(Math.max(...rates))})`,
      ...(hasBytes ? [format((median * scenario.bytes!) / 1e6)] : []),
      format(quantile(samples, 0.5) / 1000),
      format(quantile(samples, 0.99) / 1000),
      cpu(({ cpuFromNs }) => cpuFromNs),
      cpu(({ cpuToNs }) => cpuToNs),
      format(ratio(results, scenario, pair, 'erl-erl')),
      ...(hasBase
        ? [format(ratio(results, scenario, pair, 'base-base')), format(cpuRatio(results, scenario, pair))]
        : []),
    ]
  })
  const heading = [
    'from-to',
    'n',
    `${scenario.unit}/s, median (range)`,
    ...(hasBytes ? ['MB/s'] : []),
    'µs each, median',
    'p99',
    'CPU µs, from',
    'CPU µs, to',
    'speed / erl-erl',
    ...(hasBase ? ['speed / base', 'CPU / base'] : []),
  ]
  const parts = scenario.samples === 'parts' ? '; median and p99 are of 20ths of a round' : ''
  return `\n${scenario.name}: ${scenario.title} (${scenario.unit}${parts})\n${table([heading, ...rows])}`
}

/** What is wanted, and whether it was reached. */
export function targetTable(scenarios: readonly Scenario[], results: readonly Round[]): string {
  const rows = scenarios.flatMap((scenario) => {
    if (scenario.atLeast === undefined) return []
    const measured = ratio(results, scenario, 'agner-agner', 'erl-erl')
    const verdict = measured === undefined ? 'not measured' : measured >= scenario.atLeast ? 'pass' : 'MISS'
    return [[scenario.name, format(scenario.atLeast), format(measured), verdict]]
  })
  return `\ntargets: speed of agner-agner over that of erl-erl\n${table([['scenario', 'at least', 'measured', ''], ...rows])}`
}
