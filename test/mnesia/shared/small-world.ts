/** A few nodes of a cluster with discs that forget, for what is told step by step: one table, and faults at the right moment. */
import pino from 'pino'
import { type TableDefinition, table } from '../../../src/mnesia/definition.ts'
import { SharedReplication } from '../../../src/mnesia/shared/replication.ts'
import type { SharedLimits } from '../../../src/mnesia/shared/settings.ts'
import type { SharedTable } from '../../../src/mnesia/shared/shared-table.ts'
import { LossyDisc } from '../../../src/testing/lossy-store.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import { LinkNetwork } from '../../support/link-network.ts'

export interface SmallWorldOptions<Row> {
  readonly seed: number
  readonly table: TableDefinition<Row>
  readonly limits: Partial<SharedLimits>
  /** How long a flush takes, ms. */
  readonly flushMs?: readonly [number, number]
  /** Nodes that have no copy. */
  readonly without?: readonly string[]
}

/** A row that is merged: those who have voted. */
export interface Votes {
  readonly key: string
  readonly by: readonly string[]
}

export const VOTES = table<Votes>('votes', {
  type: 'set',
  key: 'key',
  replication: 'shared',
  copies: 'disc_copies',
  merge: (a, b) => ({ key: a.key, by: [...new Set([...a.by, ...b.by])].sort() }),
})

export class SmallWorld<Row> {
  readonly network: LinkNetwork
  /** What members were told to be gone for good, as `NODE: ORIGIN`. */
  readonly gone: string[] = []
  readonly #options: SmallWorldOptions<Row>
  readonly #discs = new Map<string, LossyDisc>()
  readonly #running = new Map<string, SharedReplication>()

  constructor(options: SmallWorldOptions<Row>) {
    this.#options = options
    this.network = new LinkNetwork({ seed: options.seed })
  }

  start(name: string, { skewMs = 0, limits = {} }: { skewMs?: number; limits?: Partial<SharedLimits> } = {}): void {
    const { table, flushMs = [0, 5], without = [], seed, ...options } = this.#options
    const timers = this.network.time
    const disc = this.#discs.get(name) ?? new LossyDisc({ timers, random: new SeededRandom(seed), flushMs })
    const isNew = !this.#discs.has(name)
    this.#discs.set(name, disc)
    const replication = new SharedReplication({
      links: this.network.start(name, { skewMs }),
      store: disc.open(),
      logger: pino({ level: 'silent' }),
      limits: { ...options.limits, ...limits },
      events: { gone: (_, origin) => this.gone.push(`${name}: ${origin}`) },
    })
    replication.create(table, without.includes(name) ? undefined : table.copies, { isNew })
    this.#running.set(name, replication)
  }

  kill(name: string): void {
    this.network.kill(name)
    this.#discs.get(name)!.kill()
  }

  async advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      this.network.advance(10)
      for (let i = 0; i < 8; i++) await undefined
    }
  }

  table(name: string): SharedTable<Row> {
    return this.replication(name).table(this.#options.table.name) as SharedTable<Row>
  }

  write(name: string, ...rows: readonly Row[]): void {
    for (const row of rows) void this.table(name).write(row)
  }

  delete(name: string, key: string): void {
    void this.table(name).delete(key)
  }

  keys(name: string): string[] {
    return [...this.table(name).keys()].sort()
  }

  replication(name: string): SharedReplication {
    return this.#running.get(name)!
  }

  /** Rows that had to be repaired. */
  get repaired(): number {
    return [...this.#running.values()].reduce((sum, each) => sum + each.info().counters.repaired, 0)
  }

  stop(): void {
    for (const replication of this.#running.values()) replication.stop()
  }
}
