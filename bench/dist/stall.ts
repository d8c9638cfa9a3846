/**
 * How long small messages wait behind large ones: round trips with a pause between them, alone and while another process of the
 * same node sends large binaries to the other node. Erlang's nodes send those in fragments to each other, and whole to ours.
 */
import { format, table } from '../mqtt/report.ts'
import type { BenchNode, Outcome } from './nodes.ts'
import type { PairName } from './scenarios.ts'

const MIB = 1 << 20
/** Of the large binaries; 0 for none. */
const SIZES = [0, 1 * MIB, 20 * MIB, 50 * MIB]
const LARGE_MESSAGES = 5
const PAUSE_BETWEEN_LARGE_MS = 300
const PAUSE_BETWEEN_TRIPS_MS = 1

/** Round trips while large binaries of one size were under way. */
export interface Stall {
  readonly pair: PairName
  readonly bytes: number
  readonly ns: readonly number[]
}

/** Measures one pair with every size. */
export async function measureStall(pair: PairName, from: BenchNode, to: BenchNode, quick: boolean): Promise<Stall[]> {
  const stalls: Stall[] = []
  for (const bytes of SIZES) {
    const messages = quick ? 2 : LARGE_MESSAGES
    const lastMs = messages * PAUSE_BETWEEN_LARGE_MS
    const trips = from.ask(
      'paced',
      to.name,
      Math.round(lastMs / (PAUSE_BETWEEN_TRIPS_MS + 0.5)),
      PAUSE_BETWEEN_TRIPS_MS,
    )
    const large = bytes === 0 ? undefined : from.ask('hold', to.name, bytes, messages, PAUSE_BETWEEN_LARGE_MS)
    const { samples } = (await trips) as Outcome
    await large
    stalls.push({ pair, bytes, ns: samples })
  }
  return stalls
}

/** A line for each pair and size. */
export function stallTable(stalls: readonly Stall[]): string {
  const keys = [...new Set(stalls.map(({ pair, bytes }) => `${pair} ${bytes}`))]
  const rows = keys.map((key) => {
    const rounds = stalls.filter(({ pair, bytes }) => `${pair} ${bytes}` === key)
    const { pair, bytes } = rounds[0]!
    const sorted = rounds.flatMap(({ ns }) => ns).sort((a, b) => a - b)
    const at = (share: number): string =>
      format(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]! / 1e6)
    const longest = rounds.map(({ ns }) => Math.max(...ns) / 1e6).sort((a, b) => a - b)
    const middle = format(longest[longest.length >> 1])
    return [
      pair,
      bytes === 0 ? 'none' : `${bytes / MIB} MiB`,
      String(sorted.length),
      at(0.5),
      at(0.99),
      middle,
      format(longest.at(-1)),
    ]
  })
  const heading = ['from-to', 'beside', 'n', 'ms, median', 'p99', 'longest of a round, median', 'longest']
  return `\nstall: round trips beside large binaries (ms)\n${table([heading, ...rows])}`
}
