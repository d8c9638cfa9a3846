/**
 * What a copy of a table holds, measured against the vector of its node: normally all of it.
 *
 * The vector tells which entries a node has taken in. A copy that was added later, a ram copy after a restart, or any copy when the log
 * of a source did not reach back, lacks some of them: it has a *hole* for an origin, from the entry behind `covered` to the entry
 * `until`. Behind that it has everything again. A hole is closed by a sync with a copy that covers it. `lacksSettled` is a hole over all
 * origins that are settled, of which no vector speaks any more.
 */
import type { Origin, Origins } from './origin.ts'
import type { Progress, Vector } from './vector.ts'

export interface Hole {
  readonly covered: Progress
  readonly until: number
}

/** A hole as it is sent: node, epoch, seq and clock covered, until. */
export type SentHole = readonly [node: string, epoch: number, seq: number, clock: number, until: number]

/** All epochs of a node before `epoch`: no operation of theirs has a clock above `clock`. */
export interface Floor {
  readonly epoch: number
  readonly clock: number
}

/** A floor as it is sent: node, epoch, clock. */
export type SentFloor = readonly [node: string, epoch: number, clock: number]

/** Which epochs of which nodes are settled: every member has all that there is of them, and nothing more can come. */
export class Settled {
  readonly #floors = new Map<string, Floor>()

  has({ node, epoch }: Origin): boolean {
    return epoch < this.epochOf(node)
  }

  /** Epochs of a node before this one are settled. */
  epochOf(node: string): number {
    return this.#floors.get(node)?.epoch ?? 0
  }

  /** True for the stamp of an operation that was known to all when its origin was settled. */
  covers(clock: number, origin: Origin): boolean {
    const floor = this.#floors.get(origin.node)
    return floor !== undefined && origin.epoch < floor.epoch && clock <= floor.clock
  }

  /** Returns whether that was news. */
  raise(node: string, epoch: number, clock: number): boolean {
    const held = this.#floors.get(node)
    if (held !== undefined && epoch <= held.epoch) return false
    this.#floors.set(node, { epoch, clock: Math.max(clock, held?.clock ?? 0) })
    return true
  }

  get(node: string): Floor | undefined {
    return this.#floors.get(node)
  }

  toSent(): SentFloor[] {
    return [...this.#floors]
      .map(([node, { epoch, clock }]) => [node, epoch, clock] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
  }
}

/** A copy on another node, and how far that node has got. */
export interface OtherCopy {
  readonly coverage: Coverage
  readonly vector: Vector
}

export class Coverage {
  readonly holes = new Map<Origin, Hole>()
  lacksSettled = false

  get isWhole(): boolean {
    return this.holes.size === 0 && !this.lacksSettled
  }

  /** What the copy has of an origin without a hole. */
  of(origin: Origin, vector: Vector): Progress {
    return this.holes.get(origin)?.covered ?? vector.get(origin)
  }

  /** True when the operation with this stamp is among those that the copy has had. */
  covers(clock: number, origin: Origin, vector: Vector, settled: Settled): boolean {
    if (settled.has(origin)) return !this.lacksSettled && settled.covers(clock, origin)
    return clock <= this.of(origin, vector).clock
  }

  /** The copy has not had the entries up to `until`, behind what it covers. */
  open(origin: Origin, covered: Progress, until: number): void {
    const held = this.holes.get(origin)
    if (held === undefined) this.holes.set(origin, { covered, until })
    else if (until > held.until) this.holes.set(origin, { covered: held.covered, until })
  }

  /** The copy has had nothing. */
  openAll(vector: Vector): void {
    this.lacksSettled = true
    this.holes.clear()
    for (const [origin, { seq }] of vector.entries()) {
      if (seq > 0) this.holes.set(origin, { covered: { seq: 0, clock: 0 }, until: seq })
    }
  }

  /**
   * The copy has taken in all that another one had; `vector` and `settled` are those of the other's node. Returns whether that has
   * made it more.
   */
  take(other: Coverage, vector: Vector, settled: Settled): boolean {
    let isChanged = false
    if (this.lacksSettled && !other.lacksSettled) {
      this.lacksSettled = false
      isChanged = true
    }
    for (const [origin, hole] of [...this.holes]) {
      // Where the origin is settled there is nothing of it that the other copy lacks.
      if (settled.has(origin) && !other.lacksSettled) {
        this.holes.delete(origin)
        isChanged = true
        continue
      }
      if (!hasMore(other, vector, origin, hole)) continue
      isChanged = true
      const theirs = other.of(origin, vector)
      const covered = theirs.seq > hole.covered.seq ? theirs : hole.covered
      const until = Math.min(hole.until, beyond(other, vector, origin, hole))
      if (covered.seq >= until) this.holes.delete(origin)
      else this.holes.set(origin, { covered, until })
    }
    return isChanged
  }

  /** How many holes another copy would close, or make smaller. */
  worthOf(other: Coverage, vector: Vector): number {
    let worth = this.lacksSettled && !other.lacksSettled ? 1 : 0
    for (const [origin, hole] of this.holes) if (hasMore(other, vector, origin, hole)) worth++
    return worth
  }

  /**
   * The holes of which none of the other copies has more, or can get more from the log of an origin; undefined when there are none, and
   * what is settled is not lacked by all of them.
   */
  vain(others: readonly OtherCopy[]): ReadonlyMap<Origin, Hole> | undefined {
    const vain = new Map<Origin, Hole>()
    for (const [origin, hole] of this.holes) {
      const isVain = ({ coverage, vector }: OtherCopy) =>
        vector.seqOf(origin) >= hole.until && !hasMore(coverage, vector, origin, hole)
      if (others.every(isVain)) vain.set(origin, hole)
    }
    return this.#lacksInVain(others) || vain.size > 0 ? vain : undefined
  }

  /** Closes the holes that are vain beside the other copies. */
  closeVain(others: readonly OtherCopy[]): void {
    for (const origin of this.vain(others)?.keys() ?? []) this.holes.delete(origin)
    if (this.#lacksInVain(others)) this.lacksSettled = false
  }

  #lacksInVain(others: readonly OtherCopy[]): boolean {
    return this.lacksSettled && others.every(({ coverage }) => coverage.lacksSettled)
  }

  toSent(): SentHole[] {
    return [...this.holes].map(([{ node, epoch }, { covered, until }]) => [
      node,
      epoch,
      covered.seq,
      covered.clock,
      until,
    ])
  }

  static fromSent(sent: readonly SentHole[], lacksSettled: boolean, origins: Origins): Coverage {
    const coverage = new Coverage()
    coverage.lacksSettled = lacksSettled
    for (const [node, epoch, seq, clock, until] of sent) {
      coverage.holes.set(origins.of(node, epoch), { covered: { seq, clock }, until })
    }
    return coverage
  }
}

/** Whether another copy has something of what is in a hole. */
function hasMore(other: Coverage, vector: Vector, origin: Origin, { covered, until }: Hole): boolean {
  return other.of(origin, vector).seq > covered.seq || beyond(other, vector, origin, { covered, until }) < until
}

/** Where the hole would end if what the other copy has behind its own hole were taken in. */
function beyond(other: Coverage, vector: Vector, origin: Origin, { until }: Hole): number {
  const hole = other.holes.get(origin)
  return hole !== undefined && vector.seqOf(origin) >= until ? hole.until : until
}
