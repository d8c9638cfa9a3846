/**
 * The rows of an owner in a table on their way to a peer that has asked for them.
 *
 * It is a place in the log, and for a snapshot one in the rows: there is no queue. As long as the peer has fewer than a window of bytes
 * that it has not acknowledged, `step` sends the next batches, or the next rows. Rows are read a shard at a time, encoded a message at
 * a time; batches that are written after rows have been read are sent after them, and that is all that order has to do here, since applying
 * batches again to rows that have them already changes nothing in the end.
 */
import { LogCursor } from '../entry-log.ts'
import type { Peer } from '../link.ts'
import { BUCKETS } from '../rows/bucket-digest.ts'
import { END, type Position, positionOfBucket } from '../rows/shards.ts'
import type { AnyRows, Core } from './core.ts'
import type { FeedMessage } from './messages.ts'
import type { OwnedTable } from './owned-table.ts'
import { comparePlaces, type DigestedRows, type Place } from './owner-rows.ts'

/** A range of hashes whose rows are to be sent. */
interface Range {
  from: Position
  readonly to: Position
}

/** Rows that have been read and not yet been sent. */
interface Read {
  readonly rows: readonly unknown[]
  at: number
  readonly from: Position
  readonly to: Position
}

/** `entries`, `rows`: some have been sent, there may be more. `blocked`: the window is full. `done`: there is nothing to send. */
export type Step = 'entries' | 'rows' | 'blocked' | 'done'

export class FeedOut {
  readonly id: number
  readonly peer: Peer
  readonly table: OwnedTable<unknown>
  readonly owner: string
  readonly #core: Core
  /** How far the peer has got: by its own account, and by what it has been sent of containers that others have taken the place of. */
  #has: Place
  #state: 'idle' | 'live' | 'snapshot' = 'idle'
  /** The container that is being sent, and its epoch. When another one has taken its place all begins anew. */
  #held: DigestedRows<unknown> | undefined
  #epoch = 0
  #cursor: LogCursor<AnyRows> | undefined
  #ranges: Range[] = []
  #read: Read | undefined
  /** In a snapshot batches and rows take turns, so that who writes all the time does not keep it from ending. */
  #isRowsTurn = false
  #sentBytes = 0
  #acknowledgedBytes = 0
  #isDigestDue = false

  constructor(core: Core, table: OwnedTable<unknown>, owner: string, peer: Peer, id: number, asked: Place) {
    this.#core = core
    this.table = table
    this.owner = owner
    this.peer = peer
    this.id = id
    this.#has = asked
  }

  /** Whether its rows are among those that have advanced. */
  isOneOf(rows: ReadonlyMap<AnyRows, unknown>): boolean {
    const own = this.table.of(this.owner)
    return own !== undefined && rows.has(own)
  }

  get unacknowledgedBytes(): number {
    return this.#sentBytes - this.#acknowledgedBytes
  }

  /** The peer has taken in so many bytes. */
  acknowledge(bytes: number): void {
    if (bytes > this.#acknowledgedBytes && bytes <= this.#sentBytes) this.#acknowledgedBytes = bytes
  }

  /** The digest of the rows goes out when all that has been written is on the way. */
  check(): void {
    if (this.#state === 'live') this.#isDigestDue = true
  }

  /** The peer wants the rows of some buckets again. */
  repair(buckets: readonly number[]): void {
    if (this.#state !== 'live' || this.#ranges.length > 0) return
    for (const bucket of new Set(buckets.slice(0, BUCKETS))) {
      this.#ranges.push({ from: positionOfBucket(bucket), to: positionOfBucket(bucket + 1) })
    }
  }

  /** Sends one message, if there is something to send. */
  step(): Step {
    const rows = this.table.of(this.owner)
    if (rows === undefined || (this.#state !== 'idle' && rows.held !== this.#held)) this.#interrupt()
    if (rows === undefined || (this.#state === 'idle' && !this.#begin(rows))) return 'done'
    if (this.unacknowledgedBytes >= this.#core.limits.windowBytes) return 'blocked'
    if (this.#read !== undefined) return this.#sendRows(rows)
    if (this.#state === 'snapshot' && this.#isRowsTurn && this.#readRange(rows)) return this.#sendRows(rows)
    const chunk = this.#core.log.read(this.#cursor!, rows.seq, this.#core.limits.chunkBytes)
    if (typeof chunk === 'number') {
      // The peer has fallen behind the log.
      this.#beginSnapshot(rows)
      return this.step()
    }
    if (chunk !== undefined) {
      this.#isRowsTurn = true
      this.#sentBytes += chunk.bytes.length
      this.#send({ tag: 'entries', id: this.id, bytes: chunk.bytes })
      return 'entries'
    }
    if (this.#readRange(rows)) return this.#sendRows(rows)
    if (this.#state === 'snapshot') {
      this.#state = 'live'
      this.#core.counters.snapshotsSent++
      this.#send({ tag: 'complete', id: this.id, seq: rows.seq })
    } else if (this.#isDigestDue) {
      this.#send({ tag: 'digest', id: this.id, seq: rows.seq, digest: rows.held.digest.toBytes() })
    }
    this.#isDigestDue = false
    return 'done'
  }

  /** The container that was being sent is here no more. */
  #interrupt(): void {
    if (this.#state === 'live') this.#has = { epoch: this.#epoch, seq: this.#cursor!.seq - 1 }
    this.#state = 'idle'
  }

  /** Returns false when the peer has as much as we have: two that are fed from each other would never come to an end. */
  #begin(rows: AnyRows): boolean {
    // Nothing is known yet.
    if (rows.epoch === 0) return false
    const isOwn = this.owner === this.#core.links.node
    const ahead = comparePlaces(rows, this.#has)
    if (this.#held === undefined && rows.epoch === this.#has.epoch && ahead >= 0) {
      const first = this.#core.log.first(rows, rows.seq + 1)
      if (this.#has.seq + 1 >= first) {
        this.#resume(rows, 'live', this.#has.seq + 1)
        this.#send({ tag: 'resume', id: this.id })
        return true
      }
    }
    if (ahead <= 0 && !isOwn) return false
    this.#beginSnapshot(rows)
    return true
  }

  #beginSnapshot(rows: AnyRows): void {
    this.#resume(rows, 'snapshot', rows.seq + 1)
    this.#ranges = [{ from: 0, to: END }]
    this.#send({ tag: 'snapshot', id: this.id, epoch: rows.epoch, seq: rows.seq })
  }

  #resume(rows: AnyRows, state: 'live' | 'snapshot', seq: number): void {
    this.#state = state
    this.#held = rows.held
    this.#epoch = rows.epoch
    this.#cursor = new LogCursor(rows, seq)
    this.#ranges = []
    this.#read = undefined
    this.#isDigestDue = false
  }

  /** Reads the next shard that is to be sent. Returns false when there is none. */
  #readRange(rows: AnyRows): boolean {
    const range = this.#ranges[0]
    if (range === undefined) return false
    const { from, to } = range
    const { rows: chunk, next } = rows.rows.chunk(from, to)
    this.#read = { rows: chunk, at: 0, from, to: next ?? to }
    if (next === undefined) this.#ranges.shift()
    else range.from = next
    return true
  }

  #sendRows({ held: { form } }: AnyRows): Step {
    const read = this.#read!
    const { writer, limits, logger } = this.#core
    const last = Math.min(read.rows.length, read.at + limits.chunkRows)
    while (read.at < last && writer.length < limits.chunkBytes) {
      const row = read.rows[read.at++]
      try {
        form.putRow(writer, form.write(row))
      } catch (error) {
        // It was accepted here, so this is a definition whose functions do not always do the same.
        logger.error({ table: this.table.definition.name, err: error }, 'a row cannot be encoded and is left out')
      }
    }
    const isLast = read.at === read.rows.length
    const bytes = writer.take()
    this.#sentBytes += bytes.length
    this.#send({ tag: 'rows', id: this.id, from: read.from, to: read.to, bytes, isLast })
    if (isLast) this.#read = undefined
    this.#isRowsTurn = false
    return 'rows'
  }

  #send(message: FeedMessage): void {
    this.peer.send(message)
  }
}
