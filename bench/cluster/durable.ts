/**
 * What the disc costs a lasting session: nodes of one member each, with sessions in memory and on disc, that take turns with the same clients. In each
 * round the rate on disc is divided by that in memory, so that other work of the machine has met both; medians of all rounds are told.
 */
import { Delivery, type Figures } from './delivery.ts'
import { BenchCluster } from './nodes.ts'

const WINDOWS = [100, 1000]
/** Messages of a round for a client that is away. */
const AWAY = 10_000

interface Kind {
  readonly name: string
  readonly cluster: BenchCluster
  readonly delivery: Delivery
}

export interface DurableOptions {
  readonly rounds: number
  readonly messages: number
  /** Another checkout, built, whose sessions on disc are measured beside. */
  readonly base: string | undefined
}

export async function compareDurable({ rounds, messages, base }: DurableOptions): Promise<void> {
  const kinds = [
    await startKind('in memory', ['session.durability=memory']),
    await startKind('on disc', []),
    ...(base === undefined ? [] : [await startKind('on disc, base', [], base)]),
  ]
  try {
    for (const window of WINDOWS) {
      for (const { delivery } of kinds) await delivery.run(3 * messages, window)
      const all: (readonly Figures[])[] = []
      for (let round = 0; round < rounds; round += 1) {
        const figures: Figures[] = []
        for (const { cluster, delivery } of kinds) {
          figures.push(await delivery.measure(cluster.nodes, messages, window))
        }
        all.push(figures)
      }
      say(`lasting session, ${window} under way`, kinds, all)
    }
    for (const { delivery } of kinds) delivery.leave()
    const away: (readonly Figures[])[] = []
    for (let round = 0; round <= rounds; round += 1) {
      const figures: Figures[] = []
      for (const { cluster, delivery } of kinds) {
        figures.push(await delivery.measure(cluster.nodes, AWAY, 100, true))
      }
      // The first is for the compiler.
      if (round > 0) away.push(figures)
    }
    say('its client away, 100 under way', kinds, away)
  } finally {
    for (const { cluster, delivery } of kinds) {
      delivery.close()
      await cluster.stop()
    }
  }
}

async function startKind(name: string, sets: readonly string[], root?: string): Promise<Kind> {
  const cluster = await BenchCluster.start(1, ['session.queue.max_length=infinity', ...sets], root)
  const [node] = cluster.nodes
  return { name, cluster, delivery: await Delivery.open(node!, node!, false) }
}

function say(what: string, kinds: readonly Kind[], rounds: readonly (readonly Figures[])[]): void {
  for (const [i, { name }] of kinds.entries()) {
    const rate = median(rounds.map((figures) => figures[i]!.perSec))
    const cpu = median(rounds.map((figures) => figures[i]!.cpuUs))
    const ratios = rounds.map((figures) => figures[i]!.perSec / figures[0]!.perSec)
    const each =
      i === 0 ? '' : `; of memory ${median(ratios).toFixed(2)} (${ratios.map((ratio) => ratio.toFixed(2)).join(' ')})`
    process.stdout.write(
      `${`${what}, ${name}`.padEnd(52)} ${Math.round(rate).toLocaleString('en')}/s  ${cpu.toFixed(1)} us CPU each${each}\n`,
    )
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
