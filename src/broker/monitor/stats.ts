/**
 * How much of everything a node has now, and the most it has had: `clients/count`, `clients/max` and so on.
 *
 * Whoever owns a table registers a source that says its size; `sample` reads all of them. It runs each second
 * (sys-topics.ts) and before stats are shown, so counting costs nothing when a client comes or goes.
 */

/** What is counted; the names are emqttd's, in the order in which `broker stats` prints them. */
export const STAT_NAMES = [
  'clients',
  'retained',
  'routes',
  'sessions',
  'subscribers',
  'subscriptions',
  'topics',
] as const

/** The name of a statistic. */
export type StatName = (typeof STAT_NAMES)[number]

/** The statistics of one node. */
export class Stats {
  readonly #sources = new Map<StatName, () => number>()
  readonly #count = new Map<StatName, number>()
  readonly #max = new Map<StatName, number>()

  /** Registers what says how many there are; a second source for a name replaces the first. */
  source(name: StatName, size: () => number): void {
    this.#sources.set(name, size)
  }

  /** Reads all sources. */
  sample(): void {
    for (const [name, size] of this.#sources) this.set(name, size())
  }

  /** Sets one count, for an owner that would rather tell than be asked. */
  set(name: StatName, count: number): void {
    this.#count.set(name, count)
    if (count > this.max(name)) this.#max.set(name, count)
  }

  /** The count at the last sample; 0 before. */
  count(name: StatName): number {
    return this.#count.get(name) ?? 0
  }

  /** The greatest count of any sample. */
  max(name: StatName): number {
    return this.#max.get(name) ?? 0
  }

  /** `[name, value]` of every count and max, sorted: `clients/count`, `clients/max`, `retained/count` … */
  entries(): (readonly [string, number])[] {
    return STAT_NAMES.flatMap((name) => [
      [`${name}/count`, this.count(name)] as const,
      [`${name}/max`, this.max(name)] as const,
    ])
  }
}
