/**
 * The side of a sync that lacks rows: see sync-source.ts for what is said.
 *
 * A copy that has holes is compared with those of peers until the holes are closed, one peer at a time. The same exchange with a copy that
 * lacks nothing is the periodic check: what it finds to change although this node has had the operation is a repair.
 *
 * A copy whose node was away for longer than tombstones are kept is *stale* beside its source. Then a row that the source has
 * had and has not any more is a row that was deleted, so it goes; what the source has never had stays. The same rule seen from the other side
 * keeps a stale source from bringing back what it has missed to delete.
 */
import { BUCKETS } from '../rows/bucket-digest.ts'
import type { Cell } from './cell-map.ts'
import type { Stamp } from './cells.ts'
import { msOf } from './clock.ts'
import { type Core, type Onlooker, TooFarAhead } from './core.ts'
import { Coverage, Settled } from './coverage.ts'
import { clearOf } from './entry.ts'
import type { Members } from './members.ts'
import { MergedCell } from './merged-cell.ts'
import type { SyncBegin, SyncRows } from './messages.ts'
import type { PeerState } from './peer-state.ts'
import type { Replica } from './replica.ts'
import { cellsOfBucket, PartDigests, readCells } from './sync-rows.ts'
import type { Task } from './tasks.ts'
import { Vector } from './vector.ts'

/** Requests that are under way at the same time. */
const OUTSTANDING = 4
/** Cells of a request, about. */
const CELLS_PER_REQUEST = 1000
/** Where a bucket has fewer cells than this, the digests of its parts would be longer than they are. */
const CELLS_WORTH_DIGESTS = 32
/** A copy that has less than this share of the source's cells differs in nearly all parts: digests of them would tell nothing. */
const SIMILAR_SIZE = 16
/** A source that says nothing for so long is given up. */
const SILENCE_MS = 20_000

// biome-ignore lint/suspicious/noExplicitAny: a sync is of a table of any rows
type AnyReplica = Replica<any>

interface Session {
  readonly id: number
  readonly peer: PeerState
  readonly replica: AnyReplica
  begin: SyncBegin | undefined
  /** How far the source had got at the beginning, and what its copy lacked of that. */
  readonly vector: Vector
  coverage: Coverage
  /** This copy has missed deletes that the source has forgotten. */
  isStale: boolean
  /** The source has missed deletes that this node has forgotten. */
  isSourceStale: boolean
  buckets: number[]
  /** Cells of this copy before any had come. */
  readonly sizeAtStart: number
  /** Requests that are under way, with their buckets. */
  readonly outstanding: Map<number, ReadonlySet<number>>
  lastRequest: number
  /** Of a stale copy: cells that have come, by request. */
  readonly seen: Map<number, Set<string>>
  readonly tasks: Set<Task>
  repaired: number
  lastMs: number
}

export interface SyncReceiverOptions {
  readonly core: Core
  readonly members: Members
  readonly peers: ReadonlyMap<string, PeerState>
  readonly onlooker: (peer: PeerState) => Onlooker | undefined
  readonly skewed: (node: string, aheadMs: number) => void
}

export class SyncReceiver {
  readonly #core: Core
  readonly #members: Members
  readonly #peers: ReadonlyMap<string, PeerState>
  readonly #onlooker: SyncReceiverOptions['onlooker']
  readonly #skewed: SyncReceiverOptions['skewed']
  #session: Session | undefined
  #lastId = 0
  /** Copies with holes that have been compared with a peer's since the holes are there, or are being compared. */
  readonly #visited = new Map<PeerState, Set<AnyReplica>>()
  /** Copies whose sync with a peer has failed, for a while. */
  readonly #resting = new Map<PeerState, Set<AnyReplica>>()
  /** Checks that are to come: table and peer. */
  #checks: { readonly replica: AnyReplica; readonly peer: PeerState }[] = []
  #checkTurn = 0

  constructor(options: SyncReceiverOptions) {
    this.#core = options.core
    this.#members = options.members
    this.#peers = options.peers
    this.#onlooker = options.onlooker
    this.#skewed = options.skewed
  }

  get isBusy(): boolean {
    return this.#session !== undefined
  }

  /** Whether a copy may still get something from a peer that it lacks. */
  wants(peer: PeerState): boolean {
    if (this.#session?.peer === peer) return true
    for (const name of this.#core.tables.keys()) {
      const replica = this.#core.replicas.get(name)
      if (replica === undefined || replica.coverage.isWhole || !peer.copies.has(name)) continue
      if (this.#resting.get(peer)?.has(replica)) continue
      if (this.#worth(replica, peer) > 0 || !this.#visited.get(peer)?.has(replica)) return true
    }
    return false
  }

  /** A copy has new holes: everybody may have something for it. */
  opened(replica: AnyReplica): void {
    for (const visited of this.#visited.values()) visited.delete(replica)
  }

  /** Whether a copy with holes has been compared with a peer's since it has them; only while no sync is under way. */
  hasVisited(replica: AnyReplica, peer: PeerState): boolean {
    return this.#visited.get(peer)?.has(replica) === true
  }

  /** Something has changed: a sync is started if one is called for and none is under way. */
  next(): void {
    if (this.#session !== undefined) return
    const needed = this.#needed()
    if (needed !== undefined) {
      this.#core.counters.syncs++
      this.#start(needed.replica, needed.peer)
      return
    }
    for (let check = this.#checks.shift(); check !== undefined; check = this.#checks.shift()) {
      if (this.#peers.get(check.peer.node) !== check.peer || !this.#isCurrent(check.replica)) continue
      this.#start(check.replica, check.peer)
      return
    }
  }

  /** Compares all copies with those of one peer, another one each time. */
  check(): void {
    if (this.#session !== undefined || this.#checks.length > 0) return
    const peers = [...this.#peers.values()].filter(({ isKnown }) => isKnown).sort((a, b) => (a.node < b.node ? -1 : 1))
    if (peers.length === 0) return
    const peer = peers[this.#checkTurn++ % peers.length]!
    for (const name of [...this.#core.tables.keys()].sort()) {
      const replica = this.#core.replicas.get(name)
      if (replica !== undefined && peer.copies.has(name)) this.#checks.push({ replica, peer })
    }
    this.next()
  }

  /** Gives up a source that says nothing. */
  lookAtTime(): void {
    const session = this.#session
    if (session !== undefined && this.#core.links.now() - session.lastMs > SILENCE_MS) this.#abort(session)
  }

  down(peer: PeerState): void {
    this.#visited.delete(peer)
    if (this.#session?.peer === peer) this.#abort(this.#session)
    this.#resting.delete(peer)
  }

  /** A copy is gone. */
  dropped(replica: AnyReplica): void {
    if (this.#session?.replica === replica) this.#abort(this.#session)
  }

  begun(peer: PeerState, begin: SyncBegin): void {
    const session = this.#sessionOf(peer, begin.id)
    if (session === undefined || session.begin !== undefined) return
    const { core, replica } = { core: this.#core, replica: session.replica }
    session.begin = begin
    for (const [node, epoch, seq, clock] of begin.vector) session.vector.set(core.origins.of(node, epoch), seq, clock)
    session.coverage = Coverage.fromSent(begin.holes, begin.lacksSettled, core.origins)
    this.#learn(session)
    if (begin.cleared !== undefined && !this.#takeClear(session, begin.cleared)) return
    session.isStale = this.#members.lowOf(replica) < begin.forgotten && sizeOf(replica) > 0
    session.isSourceStale = begin.low < core.forgotten
    session.buckets = session.isStale
      ? Array.from({ length: BUCKETS }, (_, bucket) => bucket)
      : begin.buckets.filter((bucket) => bucket < BUCKETS)
    this.#request(session)
  }

  received(peer: PeerState, { id, request, bytes, isLast }: SyncRows): void {
    const session = this.#sessionOf(peer, id)
    const buckets = session?.outstanding.get(request)
    if (session === undefined || buckets === undefined) return
    session.lastMs = this.#core.links.now()
    peer.send({ tag: 'sync_ack', id, bytes: bytes.length })
    try {
      if (bytes.length > 0) this.#take(session, request, buckets, bytes)
    } catch (error) {
      this.#refused(session, error)
      return
    }
    this.#core.deliver()
    if (!isLast) return
    session.outstanding.delete(request)
    if (session.isStale) this.#dropMissing(session, request, buckets)
    this.#request(session)
  }

  /** The source has no such copy, or none any more. */
  ended(peer: PeerState, id: number): void {
    const session = this.#sessionOf(peer, id)
    if (session !== undefined) this.#abort(session)
  }

  #needed(): { replica: AnyReplica; peer: PeerState } | undefined {
    for (const name of [...this.#core.tables.keys()].sort()) {
      const replica = this.#core.replicas.get(name)
      if (replica === undefined || replica.coverage.isWhole) continue
      const peers = [...this.#peers.values()]
        .filter((peer) => peer.isKnown && peer.copies.has(name) && !this.#resting.get(peer)?.has(replica))
        .sort((a, b) => this.#worth(replica, b) - this.#worth(replica, a) || (a.node < b.node ? -1 : 1))
      const peer = peers.find((each) => this.#worth(replica, each) > 0 || !this.#visited.get(each)?.has(replica))
      if (peer !== undefined) return { replica, peer }
    }
    return undefined
  }

  /** How many holes a peer's copy would close, or make smaller. */
  #worth({ name, coverage }: AnyReplica, { copies, vector }: PeerState): number {
    return coverage.worthOf(copies.get(name)!, vector)
  }

  #start(replica: AnyReplica, peer: PeerState): void {
    const { links, stableClock } = this.#core
    let visited = this.#visited.get(peer)
    if (visited === undefined) {
      visited = new Set()
      this.#visited.set(peer, visited)
    }
    visited.add(replica)
    const id = ++this.#lastId
    this.#session = {
      id,
      peer,
      replica,
      begin: undefined,
      vector: new Vector(),
      coverage: new Coverage(),
      isStale: false,
      isSourceStale: false,
      buckets: [],
      sizeAtStart: sizeOf(replica),
      outstanding: new Map(),
      lastRequest: 0,
      seen: new Map(),
      tasks: new Set(),
      repaired: 0,
      lastMs: links.now(),
    }
    const digest = replica.cells.digest.toBytes()
    peer.send({ tag: 'sync', id, table: replica.name, floor: stableClock, digest })
  }

  #request(session: Session): void {
    const cellsPerBucket = Math.max(session.begin!.size, sizeOf(session.replica)) / BUCKETS
    const group = Math.max(1, Math.floor(CELLS_PER_REQUEST / Math.max(1, cellsPerBucket)))
    const isSimilar = session.sizeAtStart * SIMILAR_SIZE >= session.begin!.size
    const isCompared = !session.isStale && cellsPerBucket >= CELLS_WORTH_DIGESTS && isSimilar && session.sizeAtStart > 0
    while (session.outstanding.size < OUTSTANDING && session.buckets.length > 0) {
      const buckets = session.buckets.splice(0, group)
      const request = ++session.lastRequest
      session.outstanding.set(request, new Set(buckets))
      const task = this.#requestBuckets(session, request, buckets, isCompared)
      session.tasks.add(task)
      this.#core.tasks.start(task)
    }
    if (session.outstanding.size === 0) this.#finish(session)
  }

  *#requestBuckets(session: Session, request: number, buckets: readonly number[], isCompared: boolean): Task {
    const { replica, peer, id } = session
    const digests: Uint8Array[] = []
    for (const bucket of isCompared ? buckets : []) {
      const own = new PartDigests()
      for (const cells of cellsOfBucket(replica, bucket, session.begin!.floor)) {
        for (const [key, cell] of cells) own.add(key, cell)
        yield 'go'
      }
      digests.push(own.toBytes())
    }
    peer.send({ tag: 'sync_request', id, request, buckets, digests: isCompared ? Buffer.concat(digests) : undefined })
  }

  #take(session: Session, request: number, buckets: ReadonlySet<number>, bytes: Uint8Array): void {
    const { replica } = session
    const core = this.#core
    const cells = readCells(replica, buckets, bytes, core.origins)
    const latest = cells.reduce((clock, [, cell]) => Math.max(clock, cell.clock), 0)
    if (latest > core.greatestClock) {
      throw new TooFarAhead(latest)
    }
    core.clock.observe(latest)
    const onlooker = this.#onlooker(session.peer)
    for (const [key, cell] of cells) this.#takeCell(session, request, key, cell, onlooker)
    core.touch()
  }

  #takeCell(session: Session, request: number, key: string, cell: Cell<unknown>, onlooker: Onlooker | undefined): void {
    const { replica } = session
    const core = this.#core
    if (session.isStale) note(session.seen, request, cellName(key, cell))
    const isCovered = this.#isCovered(replica, cell)
    let held = replica.cells.get(key, cell.identity)
    if (held === undefined && cell.value === undefined && cell.clock <= core.stableClock) return
    if (session.isSourceStale && !this.#dropGone(replica, cell, held)) return
    if (session.isStale && held !== undefined) {
      const isGone = (stamp: Stamp) => !isIn(cell, stamp) && this.#isGone(session, stamp)
      if (held.clock > cell.clock || replica.isMerged) held = replica.forgetGone(key, held, isGone) ? held : undefined
    }
    if (held !== undefined) onlooker?.look(replica, key, cell.identity, cell.value, cell.clock, cell.origin)
    // As it was: the cell is changed in its place.
    const before = held?.value
    if (!replica.join(key, cell) || !isCovered) return
    const after = replica.cells.rows.get(key, cell.identity)?.value
    if (!isSameRow(replica, before, after)) session.repaired++
  }

  /** Removes what the source has had and has no longer. */
  #dropMissing(session: Session, request: number, buckets: ReadonlySet<number>): void {
    const { replica } = session
    const seen = session.seen.get(request)
    session.seen.delete(request)
    for (const bucket of buckets) {
      for (const cells of cellsOfBucket(replica, bucket, 0)) {
        for (const [key, cell] of cells) {
          if (seen?.has(cellName(key, cell)) !== true)
            replica.forgetGone(key, cell, (stamp) => this.#isGone(session, stamp))
        }
      }
    }
    this.#core.deliver()
    this.#core.touch()
  }

  /**
   * Takes out of a stale source's cell what this node has had and has not any more: it was deleted, and the delete is forgotten. Returns whether
   * any of it is left.
   */
  #dropGone(replica: AnyReplica, cell: Cell<unknown>, held: Cell<unknown> | undefined): boolean {
    const { forgotten, vector, settled } = this.#core
    const isGone = (stamp: Stamp) =>
      stamp.clock <= forgotten &&
      (held === undefined || !isIn(held, stamp)) &&
      replica.coverage.covers(stamp.clock, stamp.origin, vector, settled)
    if (!(cell instanceof MergedCell)) return (held?.clock ?? 0) >= cell.clock || !isGone(cell)
    cell.drop(isGone)
    return !cell.isEmpty
  }

  /** The source has had an operation, and may have forgotten that what it wrote was deleted. */
  #isGone({ begin, coverage, vector }: Session, { clock, origin }: Stamp): boolean {
    return clock <= begin!.forgotten && coverage.covers(clock, origin, vector, this.#core.settled)
  }

  #finish(session: Session): void {
    const { replica, peer, coverage, vector, begin, repaired } = session
    const core = this.#core
    this.#session = undefined
    peer.send({ tag: 'sync_end', id: session.id })
    const settled = new Settled()
    for (const [node, epoch, clock] of begin!.settled) settled.raise(node, epoch, clock)
    if (replica.coverage.take(coverage, vector, settled)) core.coverageChanged(replica)
    // It had seemed to have more: what a peer tells of itself can be out of date.
    else if (!replica.coverage.isWhole) this.#rest(peer, replica)
    // What the source has forgotten is not here either.
    core.forgotUpTo(begin!.forgotten)
    if (repaired > 0) {
      core.counters.repaired += repaired
      core.logger.error({ table: replica.name, rows: repaired, from: peer.node }, 'rows of a copy had to be repaired')
      core.events.repaired?.(replica.name, repaired, peer.node)
    }
    this.next()
  }

  #abort(session: Session): void {
    const { peer, replica } = session
    this.#session = undefined
    this.#visited.get(peer)?.delete(replica)
    for (const task of session.tasks) this.#core.tasks.end(task)
    peer.send({ tag: 'sync_end', id: session.id })
    this.#rest(peer, replica)
    this.#core.touch()
  }

  /** What has failed is tried again with the same peer after a while only. */
  #rest(peer: PeerState, replica: AnyReplica): void {
    const held = this.#resting.get(peer) ?? new Set<AnyReplica>()
    this.#resting.set(peer, held)
    held.add(replica)
    this.#core.links.setTimer(this.#core.limits.retryMs, () => {
      held.delete(replica)
      this.#core.touch()
    })
  }

  #refused(session: Session, error: unknown): void {
    const { counters, logger, links } = this.#core
    const from = session.peer.node
    if (error instanceof TooFarAhead) {
      counters.refusedAhead++
      this.#skewed(from, msOf(error.clock) - links.now())
    } else {
      counters.damaged++
      const reason = error instanceof Error ? error.message : (error as { readonly reason?: string }).reason
      logger.error({ table: session.replica.name, from, reason }, 'a sync cannot be completed')
    }
    this.#core.deliver()
    this.#abort(session)
  }

  #learn({ begin }: Session): void {
    const { origins, vector, disc } = this.#core
    for (const [node, epoch, seq, clock] of begin!.vector) {
      const origin = origins.of(node, epoch)
      vector.learn(origin, seq, clock)
      disc.durable.learn(origin, seq, clock)
    }
  }

  #takeClear(session: Session, [node, epoch, clock]: readonly [string, number, number]): boolean {
    const core = this.#core
    if (clock > core.greatestClock) {
      this.#refused(session, new TooFarAhead(clock))
      return false
    }
    core.clock.observe(clock)
    session.replica.apply(clearOf(session.replica.name), undefined, clock, core.origins.of(node, epoch))
    core.deliver()
    core.touch()
    return true
  }

  #sessionOf(peer: PeerState, id: number): Session | undefined {
    const session = this.#session
    return session?.peer === peer && session.id === id ? session : undefined
  }

  /** This copy has had the operations that made the cell. */
  #isCovered(replica: AnyReplica, cell: Cell<unknown>): boolean {
    const { vector, settled } = this.#core
    const stamps = cell instanceof MergedCell ? (cell as MergedCell<unknown>).versions : [cell]
    return stamps.every(({ clock, origin }) => replica.coverage.covers(clock, origin, vector, settled))
  }

  #isCurrent(replica: AnyReplica): boolean {
    return this.#core.replicas.get(replica.name) === replica
  }
}

/** Whether the operation with a stamp is one of those that make a cell. */
function isIn(cell: Cell<unknown>, { clock, origin }: Stamp): boolean {
  const stamps = cell instanceof MergedCell ? (cell as MergedCell<unknown>).versions : [cell]
  return stamps.some((each) => each.clock === clock && each.origin === origin)
}

function sizeOf({ cells }: AnyReplica): number {
  return cells.rows.size + cells.tombstones.size
}

/** What is the same to a reader need not have come about in the same way: forgotten deletes of merged rows are no difference. */
function isSameRow(replica: AnyReplica, a: unknown, b: unknown): boolean {
  if (a === undefined || b === undefined) return a === b
  return Buffer.compare(replica.bytes.encode(a), replica.bytes.encode(b)) === 0
}

function cellName(key: string, cell: Cell<unknown>): string {
  return cell.identity === '' ? key : `${key.length}:${key}${cell.identity}`
}

function note(seen: Map<number, Set<string>>, request: number, name: string): void {
  const names = seen.get(request)
  if (names === undefined) seen.set(request, new Set([name]))
  else names.add(name)
}
