/**
 * The side of a sync that has the rows.
 *
 *     → sync         table, digest of each bucket
 *     ← sync_begin   what my copy covers as of now, and the buckets that differ
 *     → sync_bucket  digests of the parts of a bucket; or none: everything
 *     ← sync_rows    cells of the parts that differ, in chunks, as they are when they are read; the last one says so
 *     → sync_ack     bytes taken in
 *     → sync_end
 *
 * Entries go on flowing meanwhile, and may change what has been sent: applying is idempotent, so it does not matter which comes first. What the
 * receiver takes over at the end is what the copy covered at the *begin*. Reading, comparing and encoding are done in
 * pieces, and a receiver that does not acknowledge holds up its own sync only.
 */
import { BUCKETS } from '../rows/bucket-digest.ts'
import { hashOf } from '../rows/key-hash.ts'
import type { Core } from './core.ts'
import type { Members } from './members.ts'
import type { PeerState } from './peer-state.ts'
import type { Replica } from './replica.ts'
import { CellWriter, cellsOfBucket, PartDigests, partOf } from './sync-rows.ts'
import type { Task, Tasks } from './tasks.ts'

// biome-ignore lint/suspicious/noExplicitAny: a sync is of a table of any rows
type AnyReplica = Replica<any>

interface Session {
  readonly id: number
  readonly peer: PeerState
  readonly replica: AnyReplica
  readonly floor: number
  readonly requests: { readonly bucket: number; readonly digests: Uint8Array | undefined }[]
  task: Task | undefined
  sentBytes: number
  ackedBytes: number
}

export class SyncSource {
  readonly #core: Core
  readonly #tasks: Tasks
  readonly #members: Members
  readonly #sessions = new Map<PeerState, Map<number, Session>>()

  constructor(core: Core, tasks: Tasks, members: Members) {
    this.#core = core
    this.#tasks = tasks
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
      peer.send({ tag: 'sync_end', id })
      return
    }
    const session: Session = {
      id,
      peer,
      replica,
      floor: Math.max(floor, core.purgeClock),
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
      vector: coverage.vector(core.vector).toSent(),
      lacksSettled: coverage.lacksSettled,
      cleared: cleared && [cleared.origin.node, cleared.origin.epoch, cleared.clock],
      low: this.#members.lowOf(replica),
      horizon: core.horizon,
      floor: session.floor,
      buckets: cells.digest.differing(digest),
    })
  }

  request(peer: PeerState, id: number, bucket: number, digests: Uint8Array | undefined): void {
    const session = this.#sessions.get(peer)?.get(id)
    if (session === undefined || bucket >= BUCKETS || session.requests.length >= BUCKETS) return
    session.requests.push({ bucket, digests })
    if (session.task !== undefined) return
    session.task = this.#answer(session)
    this.#tasks.start(session.task)
  }

  acknowledged(peer: PeerState, id: number, bytes: number): void {
    const session = this.#sessions.get(peer)?.get(id)
    if (session === undefined) return
    session.ackedBytes += bytes
    if (session.task !== undefined) this.#tasks.resume(session.task)
  }

  end(peer: PeerState, id: number): void {
    const session = this.#sessions.get(peer)?.get(id)
    if (session?.task !== undefined) this.#tasks.end(session.task)
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
        peer.send({ tag: 'sync_end', id: session.id })
      }
    }
  }

  *#answer(session: Session): Task {
    for (let request = session.requests.shift(); request !== undefined; request = session.requests.shift()) {
      const { bucket, digests } = request
      let differing: boolean[] | undefined
      if (digests !== undefined) {
        const own = new PartDigests()
        for (const cells of cellsOfBucket(session.replica, bucket, session.floor)) {
          for (const [key, cell] of cells) own.add(key, cell)
          if (cells.length > 0) yield 'go'
        }
        differing = own.differing(digests)
      }
      if (differing?.includes(true) === false) this.#send(session, bucket, EMPTY, true)
      else yield* this.#sendBucket(session, bucket, differing)
    }
    session.task = undefined
  }

  *#sendBucket(session: Session, bucket: number, differing: readonly boolean[] | undefined): Task {
    const { chunkBytes, chunkRows, windowBytes } = this.#core.limits
    const { replica } = session
    const writer = new CellWriter(replica)
    for (const cells of cellsOfBucket(replica, bucket, session.floor)) {
      let hasPaused = false
      for (const [key, cell] of cells) {
        if (differing?.[partOf(hashOf(key))] === false) continue
        // While others had their turn it may have been forgotten.
        if (hasPaused && replica.cells.get(key, cell.identity) !== cell) continue
        writer.add(key, cell)
        if (writer.bytes < chunkBytes && writer.count < chunkRows) continue
        this.#send(session, bucket, writer.take(), false)
        hasPaused = true
        yield 'go'
        while (session.sentBytes - session.ackedBytes >= windowBytes) yield 'wait'
      }
    }
    this.#send(session, bucket, writer.take(), true)
  }

  #send(session: Session, bucket: number, bytes: Uint8Array, isLast: boolean): void {
    session.sentBytes += bytes.length
    session.peer.send({ tag: 'sync_rows', id: session.id, bucket, bytes, isLast })
  }
}

const EMPTY = new Uint8Array()
