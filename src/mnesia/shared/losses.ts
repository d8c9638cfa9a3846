/**
 * What was lost at a merge: rows that both sides of a partition had written, where one of the two had to give way.
 *
 * When two nodes meet each tells how far it has got. A row that this node had and the peer had not, against an operation that the
 * peer had and this node had not: neither writer knew of the other. What is noticed is kept until all that this node had missed has come, since of several
 * writes to a row on one side only the last one is worth telling. Both sides tell the same.
 */
import { msOf } from './clock.ts'
import type { Core, Onlooker } from './core.ts'
import { compareStamps, type Origin } from './origin.ts'
import type { PeerState } from './peer-state.ts'
import type { Replica } from './replica.ts'
import type { Loss } from './settings.ts'
import type { Vector } from './vector.ts'

interface Meeting {
  readonly losses: Map<string, Loss>
  /** Losses beyond those that are kept. */
  uncounted: number
}

export class Losses {
  readonly #core: Core
  readonly #meetings = new Map<PeerState, Meeting>()

  constructor(core: Core) {
    this.#core = core
  }

  /** Two nodes have met: what has come from one of them is compared until `finish`. */
  begin(peer: PeerState): void {
    const mine = this.#core.vector.copy()
    const theirs = peer.vector.copy()
    peer.meeting = { mine, theirs }
    this.#meetings.set(peer, { losses: new Map(), uncounted: 0 })
  }

  /** Looks at what comes from a peer, while there is something to find. */
  onlooker(peer: PeerState): Onlooker | undefined {
    const { meeting } = peer
    if (meeting === undefined) return undefined
    return {
      look: (replica, key, identity, value, clock, origin) =>
        this.#look(peer, meeting, replica, key, identity, value, clock, origin),
    }
  }

  /** Ends the comparison when this node has all that the peer had when they met. */
  finishIfMet(peer: PeerState): void {
    const { meeting } = peer
    if (meeting === undefined) return
    const { vector, self, settled } = this.#core
    for (const [origin, { seq }] of meeting.theirs.entries()) {
      if (origin !== self && !settled.has(origin) && vector.seqOf(origin) < seq) return
    }
    for (const replica of this.#core.replicas.values())
      if (!replica.coverage.isWhole && peer.copies.has(replica.name)) return
    this.finish(peer)
  }

  /** Tells what was lost. */
  finish(peer: PeerState): void {
    const meeting = this.#meetings.get(peer)
    peer.meeting = undefined
    this.#meetings.delete(peer)
    if (meeting === undefined) return
    const count = meeting.losses.size + meeting.uncounted
    if (count === 0) return
    const { counters, events, logger } = this.#core
    counters.losses += count
    logger.warn(
      { peer: peer.node, rows: count },
      'both sides of a partition had written rows; the later of each is kept',
    )
    for (const loss of meeting.losses.values()) events.lost?.(loss)
    events.merged?.(peer.node, count)
  }

  #look(
    peer: PeerState,
    { mine, theirs }: { readonly mine: Vector; readonly theirs: Vector },
    replica: Replica<unknown>,
    key: string,
    identity: string,
    value: unknown,
    clock: number,
    origin: Origin,
  ): void {
    if (replica.isMerged || !this.#core.tables.has(replica.name)) return
    if (!isBetween(clock, origin, mine, theirs)) return
    const cell = replica.cells.get(key, identity)
    if (cell === undefined || !isBetween(cell.clock, cell.origin, theirs, mine)) return
    if (value === undefined && cell.value === undefined) return
    const isKept = compareStamps(cell.clock, cell.origin, clock, origin) > 0
    const here = { row: cell.value, by: cell.origin.node, atMs: msOf(cell.clock) }
    const there = { row: value, by: origin.node, atMs: msOf(clock) }
    const [lost, kept] = isKept ? [there, here] : [here, there]
    this.#note(peer, `${replica.name}\0${key}\0${identity}`, {
      table: replica.name,
      key,
      lost: lost.row,
      lostBy: lost.by,
      lostAtMs: lost.atMs,
      kept: kept.row,
      keptBy: kept.by,
      keptAtMs: kept.atMs,
    })
  }

  #note(peer: PeerState, cell: string, loss: Loss): void {
    const meeting = this.#meetings.get(peer)
    if (meeting === undefined) return
    if (meeting.losses.has(cell) || meeting.losses.size < this.#core.limits.reportedLosses)
      meeting.losses.set(cell, loss)
    else meeting.uncounted++
  }
}

/** True for an operation that the second vector covers and the first does not. */
function isBetween(clock: number, origin: Origin, without: Vector, within: Vector): boolean {
  return clock <= within.get(origin).clock && clock > without.get(origin).clock
}
