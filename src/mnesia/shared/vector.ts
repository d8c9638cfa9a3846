/**
 * How far a node has got with each origin.
 *
 * An entry of the vector is two facts: all entries up to `seq` have been taken in, and every operation with a clock up to `clock` is in one of
 * them. The second is true of the origin's numbering whoever says it, so it may be learnt from anybody; with it a stamp tells
 * whether its operation is among those that a vector covers.
 */
import { compareOrigins, type Origin } from './origin.ts'

export interface Progress {
  readonly seq: number
  readonly clock: number
}

/** A position in a vector, as it is sent: node, epoch, seq, clock. */
export type SentProgress = readonly [node: string, epoch: number, seq: number, clock: number]

const NOTHING: Progress = { seq: 0, clock: 0 }

export class Vector {
  readonly #progress = new Map<Origin, Progress>()
  /** The origins in order; undefined when there have been others since. */
  #sorted: readonly Origin[] | undefined

  get size(): number {
    return this.#progress.size
  }

  has(origin: Origin): boolean {
    return this.#progress.has(origin)
  }

  /** Nothing, for an origin that it has not heard of. */
  get(origin: Origin): Progress {
    return this.#progress.get(origin) ?? NOTHING
  }

  seqOf(origin: Origin): number {
    return this.get(origin).seq
  }

  set(origin: Origin, seq: number, clock: number): void {
    if (!this.#progress.has(origin)) this.#sorted = undefined
    this.#progress.set(origin, { seq, clock })
  }

  /**
   * Takes note of a fact about an origin's numbering: what has a clock up to `clock` is at or before `seq`. Returns whether that
   * was news.
   */
  learn(origin: Origin, seq: number, clock: number): boolean {
    const held = this.#progress.get(origin)
    if (held === undefined || held.seq < seq || held.clock >= clock) return false
    this.#progress.set(origin, { seq: held.seq, clock })
    return true
  }

  delete(origin: Origin): void {
    if (this.#progress.delete(origin)) this.#sorted = undefined
  }

  /** Takes note of a later position; an earlier one changes nothing. */
  advance(origin: Origin, seq: number, clock: number): void {
    const held = this.get(origin)
    if (seq > held.seq) this.set(origin, seq, Math.max(clock, held.clock))
    else if (seq === held.seq && clock > held.clock) this.set(origin, seq, clock)
    else if (!this.has(origin)) this.set(origin, seq, clock)
  }

  /** In the order in which they came. */
  origins(): IterableIterator<Origin> {
    return this.#progress.keys()
  }

  entries(): IterableIterator<[Origin, Progress]> {
    return this.#progress.entries()
  }

  copy(): Vector {
    const copy = new Vector()
    for (const [origin, progress] of this.#progress) copy.#progress.set(origin, progress)
    return copy
  }

  /** Sorted, so that it is the same on every node that holds the same. */
  toSent(): SentProgress[] {
    this.#sorted ??= [...this.#progress.keys()].sort(compareOrigins)
    return this.#sorted.map((origin) => {
      const { seq, clock } = this.get(origin)
      return [origin.node, origin.epoch, seq, clock]
    })
  }
}
