/**
 * The side of a sync that has the rows.
 *
 *     → sync         table, digest of each bucket
 *     ← sync_begin   what my copy covers as of now, and the buckets that differ
 *     → sync_request buckets, and digests of their parts; or none: everything
 *     ← sync_rows    cells of the parts that differ, in chunks, as they are when they are read; the last one says so
 *     → sync_ack     bytes taken in
 *     → sync_end
 *     ← sync_refused instead of any answer: there is no such copy
 *
 * Entries go on flowing meanwhile, and may change what has been sent: applying is idempotent, so it does not matter which comes first. What the
 * receiver takes over at the end is what the copy covered at the *begin*. Reading, comparing and encoding are done in
 * pieces, and a receiver that does not acknowledge holds up its own sync only.
 */
import { BUCKETS } from '../rows/bucket-digest.ts'
import { hashOf } from '../rows/key-hash.ts'
import type { Cell } from './cell-map.ts'
import type { Core } from './core.ts'
import type { Members } from './members.ts'
import type { SyncRequest } from './messages.ts'
import type { PeerState } from './peer-state.ts'
import type { Replica } from './replica.ts'
import { CellWriter, cellsOfBucket, DIGESTS_BYTES, PartDigests, partOf } from './sync-rows.ts'
import type { Task } from './tasks.ts'

// biome-ignore lint/suspicious/noExplicitAny: a sync is of a table of any rows
type AnyReplica = Replica<any>

interface Session {
  readonly id: number
  readonly peer: PeerState
  readonly replica: AnyReplica
  readonly floor: number
  readonly requests: SyncRequest[]
  task: Task | undefined
  sentBytes: number
  ackedBytes: number
}

export class SyncSource {
  readonly #core: Core
  readonly #members: Members
  readonly #sessions = new Map<PeerState, Map<number, Session>>()

  constructor(core: Core, members: Members) {
    this.#core = core
    this.#members = members
  }

  /** Syncs that are under way. */
  get sessions(): number {
    let count = 0
    for (const sessions of this.#sessions.values()) count += sessions.size
    return count
  }

  start(peer: PeerState, id: number, table: string, floor: number, digest: Uint8Array): void {
    const core = this.#core
    const replica = core.tables.has(table) ? core.replicas.get(table) : undefined
    if (replica === undefined) {
      peer.send({ tag: 'sync_refused', id })
      return
    }
    const session: Session = {
      id,
      peer,
      replica,
      floor: Math.max(floor, core.stableClock),
      requests: [],
      task: undefined,
      sentBytes: 0,
      ackedBytes: 0,
    }
    let sessions = this.#sessions.get(peer)
    if (sessions === undefined) {
      sessions = new Map()
      this.#sessions.set(peer, sessions)
    }
    sessions.set(id, session)
    const { coverage, cells } = replica
    const { cleared } = cells
    peer.send({
      tag: 'sync_begin',
      id,
      vector: core.told,
      settled: core.settled.toSent(),
      holes: coverage.toSent(),
      lacksSettled: coverage.lacksSettled,
      cleared: cleared && [cleared.origin.node, cleared.origin.epoch, cleared.clock],
      low: this.#members.lowOf(replica),
      forgotten: core.forgotten,
      floor: session.floor,
      size: cells.rows.size + cells.tombstones.size,
      buckets: cells.digest.differing(digest),
    })
  }

  request(peer: PeerState, request: SyncRequest): void {
    const session = this.#sessions.get(peer)?.get(request.id)
    if (session === undefined || session.requests.length >= BUCKETS) return
    session.requests.push(request)
    if (session.task !== undefined) return
    session.task = this.#answer(session)
    this.#core.tasks.start(session.task)
  }

  acknowledged(peer: PeerState, id: number, bytes: number): void {
    const session = this.#sessions.get(peer)?.get(id)
    if (session === undefined) return
    session.ackedBytes += bytes
    if (session.task !== undefined) this.#core.tasks.resume(session.task)
  }

  end(peer: PeerState, id: number): void {
    const session = this.#sessions.get(peer)?.get(id)
    if (session?.task !== undefined) this.#core.tasks.end(session.task)
    this.#sessions.get(peer)?.delete(id)
  }

  down(peer: PeerState): void {
    for (const id of [...(this.#sessions.get(peer)?.keys() ?? [])]) this.end(peer, id)
    this.#sessions.delete(peer)
  }

  /** A copy is gone: its syncs cannot be completed. */
  dropped(replica: AnyReplica): void {
    for (const [peer, sessions] of this.#sessions) {
      for (const session of [...sessions.values()]) {
        if (session.replica !== replica) continue
        this.end(peer, session.id)
        peer.send({ tag: 'sync_refused', id: session.id })
      }
    }
  }

  *#answer(session: Session): Task {
    for (let next = session.requests.shift(); next !== undefined; next = session.requests.shift()) {
      const { request, buckets, digests } = next
      const writer = new CellWriter(session.replica)
      for (let i = 0; i < buckets.length; i++) {
        const bucket = buckets[i]!
        if (bucket >= BUCKETS) continue
        let differing: boolean[] | undefined
        if (digests !== undefined) {
          differing = yield* this.#compare(
            session,
            bucket,
            digests.subarray(i * DIGESTS_BYTES, (i + 1) * DIGESTS_BYTES),
          )
        }
        if (differing?.includes(true) !== false) yield* this.#sendBucket(session, request, bucket, differing, writer)
      }
      this.#send(session, request, writer.count === 0 ? EMPTY : writer.take(), true)
    }
    session.task = undefined
  }

  *#compare(session: Session, bucket: number, digests: Uint8Array): Generator<'go', boolean[]> {
    const own = new PartDigests()
    for (const cells of cellsOfBucket(session.replica, bucket, session.floor)) {
      for (const [key, cell] of cells) own.add(key, cell)
      yield 'go'
    }
    return own.differing(digests)
  }

  *#sendBucket(
    session: Session,
    request: number,
    bucket: number,
    differing: readonly boolean[] | undefined,
    writer: CellWriter<unknown>,
  ): Task {
    const { chunkBytes, chunkRows, windowBytes } = this.#core.limits
    const { replica } = session
    for (const cells of cellsOfBucket(replica, bucket, session.floor)) {
      let hasPaused = false
      for (const [key, was] of cells) {
        if (differing?.[partOf(hashOf(key))] === false) continue
        // While others had their turn it may have been changed, or forgotten.
        const cell = hasPaused ? replica.cells.get(key, was.identity) : was
        if (cell === undefined || this.#isUnsendable(cell)) continue
        writer.add(key, cell)
        if (writer.bytes < chunkBytes && writer.count < chunkRows) continue
        this.#send(session, request, writer.take(), false)
        hasPaused = true
        yield 'go'
        while (session.sentBytes - session.ackedBytes >= windowBytes) yield 'wait'
      }
    }
  }

  /** A row of this node's own that may not be sent yet: it will come as an entry. */
  #isUnsendable({ clock, origin }: Cell<unknown>): boolean {
    const { self, clock: own } = this.#core
    return origin === self && clock > own.ceiling
  }

  #send(session: Session, request: number, bytes: Uint8Array, isLast: boolean): void {
    session.sentBytes += bytes.length
    session.peer.send({ tag: 'sync_rows', id: session.id, request, bytes, isLast })
  }
}

const EMPTY = new Uint8Array()
