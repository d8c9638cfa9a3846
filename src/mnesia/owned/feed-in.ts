/**
 * The rows of an owner in a table as they come in from a member that has them: from the owner itself, or from one that has more of it
 * than we have.
 *
 * The source goes on from where we are, or sends a snapshot: its rows a range of hashes after the other, read at different moments, with the
 * batches that are written meanwhile in between. They are gathered apart, and take the place of what is there when the snapshot is complete; by
 * then the batches have made them the rows of one moment. What a row is in both can be told range by range, so that at the end only
 * the keys that differ are looked at.
 */
import { BinaryReader, Damaged } from '../binary.ts'
import { EntryStream } from '../entry-log.ts'
import type { Peer } from '../link.ts'
import type { Position } from '../rows/shards.ts'
import type { AnyRows, Core } from './core.ts'
import type { FeedMessage, OwnedMessage } from './messages.ts'
import type { OwnedTable } from './owned-table.ts'
import type { OwnerDisc, RowChange } from './owner-disc.ts'
import { type ChangeSink, DigestedRows } from './owner-rows.ts'
import type { FormedRow, OwnedOperation } from './row-form.ts'

/** A snapshot that is not complete. */
class Snapshot<Row> implements ChangeSink<Row> {
  readonly epoch: number
  seq: number
  readonly held: DigestedRows<Row>
  readonly disc: OwnerDisc<Row> | undefined
  /** Keys whose rows may be others than those that are visible; undefined when none are. */
  readonly differing: Set<string> | undefined
  #changes: RowChange<Row>[] = []

  constructor(table: OwnedTable<Row>, owner: string, epoch: number, seq: number) {
    this.epoch = epoch
    this.seq = seq
    this.held = new DigestedRows(table.definition, owner)
    this.disc = table.discOf(owner)
    this.differing = table.isVisible(owner) ? new Set() : undefined
    this.disc?.begin()
  }

  apply(operations: readonly OwnedOperation<Row>[]): void {
    for (const operation of operations) this.held.apply(operation, this)
    this.disc?.add(this.#changes)
    this.#changes = []
  }

  wrote(written: FormedRow<Row>): void {
    this.differing?.add(written.key)
    if (this.disc !== undefined) this.#changes.push({ key: written.key, row: written.row, written })
  }

  deleted(key: string, row: Row): void {
    this.differing?.add(key)
    if (this.disc !== undefined) this.#changes.push({ key, row, written: undefined })
  }

  /** Which keys of a range, complete, differ from those in what is there. */
  compare(former: DigestedRows<Row>, from: Position, to: Position): void {
    const { differing, held } = this
    if (differing === undefined) return
    for (const rows of [former, held]) {
      for (let at: Position | undefined = from; at !== undefined; ) {
        const { keys, next }: { keys: readonly string[]; next: Position | undefined } = rows.rows.keyChunk(at, to)
        for (const key of keys) {
          if (isSame(held, former, key)) differing.delete(key)
          else differing.add(key)
        }
        at = next
      }
    }
  }
}

function isSame<Row>(a: DigestedRows<Row>, b: DigestedRows<Row>, key: string): boolean {
  const rows = a.rows.read(key)
  const others = b.rows.read(key)
  if (rows.length !== others.length) return false
  const contents = new Set(rows.map((row) => a.form.contentOf(row)))
  return others.every((row) => contents.has(b.form.contentOf(row)))
}

export interface FeedInEvents {
  /** Rows are those of the source, or a snapshot of them has taken its place. */
  begun(): void
  /** Rows have been repaired. */
  repaired(rows: number): void
}

/** A feed of rows of whatever kind. */
export type AnyFeedIn = FeedIn<unknown>

export class FeedIn<Row> {
  readonly id: number
  readonly peer: Peer
  readonly table: OwnedTable<Row>
  readonly owner: string
  readonly #core: Core
  readonly #events: FeedInEvents
  #stream: EntryStream
  readonly #reader = new BinaryReader(new Uint8Array())
  #isLive = false
  #snapshot: Snapshot<Row> | undefined
  /** Of a range that is being repaired. */
  #repaired: FormedRow<Row>[] = []
  /** Bytes of rows and batches that have been taken in. */
  bytes = 0

  constructor(core: Core, table: OwnedTable<Row>, owner: string, peer: Peer, id: number, events: FeedInEvents) {
    this.#core = core
    this.table = table
    this.owner = owner
    this.peer = peer
    this.id = id
    this.#events = events
    this.#stream = new EntryStream(core.limits.entryBytes)
  }

  /** Number of the last batch that has been applied; 0 when none of this feed has. */
  get seq(): number {
    return this.#isLive ? (this.table.of(this.owner)?.seq ?? 0) : 0
  }

  /** Nothing more will come. */
  end(): void {
    this.#snapshot?.disc?.abandon()
    this.#snapshot = undefined
  }

  /** Throws `Damaged`, after which the feed is of no use. */
  receive(message: FeedMessage): void {
    switch (message.tag) {
      case 'resume':
        if (this.#isLive || this.#snapshot !== undefined) throw new Damaged('resumed what has begun')
        this.#isLive = true
        this.#events.begun()
        break
      case 'snapshot':
        this.end()
        this.#isLive = false
        // Of a large batch of the rows before, some may have come, and the rest does not.
        this.#stream = new EntryStream(this.#core.limits.entryBytes)
        this.#snapshot = new Snapshot(this.table, this.owner, message.epoch, message.seq)
        break
      case 'rows':
        this.bytes += message.bytes.length
        this.#rows(message)
        break
      case 'entries':
        this.bytes += message.bytes.length
        this.#stream.add(message.bytes, (entry, body) => this.#entry(entry, body))
        break
      case 'complete':
        this.#complete(message.seq)
        break
      case 'digest':
        this.#compare(message.seq, message.digest)
        break
    }
  }

  #rows({ from, to, bytes, isLast }: Extract<FeedMessage, { tag: 'rows' }>): void {
    const rows = this.table.of(this.owner)
    const reader = this.#reader
    const { form } = this.#snapshot?.held ?? this.#live().held
    const taken: FormedRow<Row>[] = []
    reader.open(bytes)
    while (!reader.isAtEnd) taken.push(form.takeRow(reader))
    if (this.#snapshot === undefined) this.#repair(taken, from, to, isLast)
    else {
      this.#snapshot.apply(taken.map((row) => ({ ...row, kind: 'write' })))
      if (isLast && rows !== undefined) this.#snapshot.compare(rows.held, from, to)
    }
  }

  #entry(entry: Buffer, body: BinaryReader): void {
    if (this.#snapshot !== undefined) {
      this.#snapshot.apply(this.#snapshot.held.form.takeEntry(body))
      this.#snapshot.seq++
      return
    }
    const rows = this.#live()
    const operations = rows.held.form.takeEntry(body)
    this.#core.log.append(rows as AnyRows, rows.seq + 1, entry)
    this.table.apply(rows, operations)
  }

  #complete(seq: number): void {
    const snapshot = this.#snapshot
    if (snapshot === undefined) throw new Damaged('a snapshot ends that has not begun')
    if (snapshot.seq !== seq) throw new Damaged(`a snapshot ends with batch ${seq}, and ${snapshot.seq} have come`)
    this.#snapshot = undefined
    this.#isLive = true
    const { held, epoch, differing = [], disc } = snapshot
    this.table.install(this.owner, held, { epoch, seq }, differing, disc)
    this.#core.counters.snapshotsTaken++
    this.#events.begun()
  }

  #compare(seq: number, digest: Uint8Array): void {
    if (this.#snapshot !== undefined) throw new Damaged('a digest within a snapshot')
    const { seq: own, held } = this.#live()
    if (own !== seq) throw new Damaged(`a digest of batch ${seq}, and ${own} have come`)
    const buckets = held.digest.differing(digest)
    const repair: OwnedMessage = { tag: 'repair', id: this.id, buckets }
    if (buckets.length > 0) this.peer.send(repair)
  }

  #repair(taken: readonly FormedRow<Row>[], from: Position, to: Position, isLast: boolean): void {
    for (const row of taken) this.#repaired.push(row)
    if (!isLast) return
    const right = this.#repaired
    this.#repaired = []
    const count = this.table.repair(this.#live(), right, from, to)
    if (count > 0) this.#events.repaired(count)
  }

  #live() {
    const rows = this.table.of(this.owner)
    if (!this.#isLive || rows === undefined) throw new Damaged('rows or batches before their beginning')
    return rows
  }
}
