/**
 * The state of shared replication on a node, and the only place that changes it: copies, vector and log move together.
 *
 * `write` makes entries of this node, `take` takes in entries of others. An entry is decoded as a whole before anything of it is applied, and
 * its events are delivered after all of it has been, so nobody sees half of one. What the feeds, the syncs and the reports of members
 * have to know is here; they send and receive.
 */
import type { Logger } from 'pino'
import { BadArgError } from '../../actors/errors.ts'
import { type BinaryReader, BinaryWriter } from '../binary.ts'
import { EntryLog } from '../entry-log.ts'
import type { Links } from '../link.ts'
import { clockAt, HybridClock } from './clock.ts'
import { type Coverage, type Hole, Settled } from './coverage.ts'
import { Disc } from './disc.ts'
import { decodeEntry, type Entry, encodeEntry, type Operation } from './entry.ts'
import type { SentCopy } from './messages.ts'
import { type Origin, Origins } from './origin.ts'
import { OPAQUE, Replica, type ReplicaOptions } from './replica.ts'
import { DEFAULT_LIMITS, noCounts, type SharedEvents, type SharedLimits, type SharedOptions } from './settings.ts'
import type { SharedTable, TableOperations, Wish } from './shared-table.ts'
import { Tasks } from './tasks.ts'
import { type Progress, type SentProgress, Vector } from './vector.ts'

/** An entry whose clock is too far ahead to be taken in now. */
export class TooFarAhead {
  readonly clock: number

  constructor(clock: number) {
    this.clock = clock
  }
}

/** Looks at operations of others before they are applied: for the losses of a merge. */
export interface Onlooker {
  look(replica: Replica<unknown>, key: string, identity: string, value: unknown, clock: number, origin: Origin): void
}

// An entry is over tables of any rows.
// biome-ignore lint/suspicious/noExplicitAny: as above
type AnyReplica = Replica<any>
// biome-ignore lint/suspicious/noExplicitAny: as above
type AnyTable = SharedTable<any>

export class Core {
  readonly links: Links
  readonly logger: Logger
  readonly limits: SharedLimits
  readonly events: SharedEvents
  readonly counters = noCounts()
  readonly origins = new Origins()
  readonly self: Origin
  readonly vector = new Vector()
  readonly settled = new Settled()
  readonly disc: Disc
  readonly log: EntryLog<Origin>
  readonly tasks: Tasks
  readonly clock: HybridClock
  /** Of the start of this node: it writes nothing with this or less. */
  readonly startClock: number
  /** Tables that have been created, with or without a copy here. */
  readonly tables = new Map<string, AnyTable>()
  /** Copies, also of tables that have not been created. */
  readonly replicas = new Map<string, AnyReplica>()
  /** Tombstones up to this clock have been forgotten, here or where this node has rows from. */
  forgotten: number
  /** No member will ever send an operation with a clock up to this that not all have had. */
  stableClock = 0
  /** The last entry of this node that may be sent or spoken of, and its clock: the ceiling on disc is not below it. */
  sendable: Progress = { seq: 0, clock: 0 }
  /** Calls `flush` of the replication at the end of the turn. */
  touch: () => void = () => undefined
  /** Called when copies lack more than before. */
  holed: () => void = () => undefined
  /** What connected peers have forgotten, at most. */
  forgottenByPeers = 0
  readonly #isWanted: (table: string) => boolean
  readonly #writer = new BinaryWriter()
  /** Clock of the last entry of this node. */
  #lastClock = 0
  #deliveries: (() => void)[] = []
  #isDelivering = false
  #copies: readonly SentCopy[] | undefined
  /** What copies on disc lack whose tables have not been created yet. */
  readonly unopened: Map<string, Coverage> = new Map()

  constructor(options: SharedOptions) {
    const { links, store } = options
    this.links = links
    this.logger = options.logger
    this.limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.events = options.events ?? {}
    this.#isWanted = options.isWanted ?? (() => true)
    this.log = new EntryLog(this.limits.logBytes)
    this.tasks = new Tasks(links)
    this.disc = new Disc({ store, origins: this.origins, vector: this.vector, copies: () => this.copies })
    for (const [name, coverage] of this.disc.load(this.settled)) {
      if (this.disc.mayLack(name)) coverage.openAll(this.vector)
      this.unopened.set(name, coverage)
    }
    this.disc.durableCopies = this.copies
    this.self = this.origins.of(links.node, links.epoch)
    this.forgotten = this.disc.forgotten
    const reserve = (ceiling: number, raised: () => void) =>
      this.disc.reserve(ceiling, () => {
        raised()
        this.#release()
      })
    this.clock = new HybridClock({
      now: () => links.now(),
      ceiling: this.disc.ceiling,
      reserve: store.isDurable ? reserve : undefined,
    })
    this.startClock = this.clock.last
    if (this.vector.seqOf(this.self) > 0)
      throw new BadArgError(`${this.self} has been used before: an epoch is used once`)
    this.vector.set(this.self, 0, this.startClock)
    this.disc.moved(this.self)
  }

  /** How a copy has work done. */
  get replicaOptions(): Pick<ReplicaOptions<unknown>, 'run' | 'touch'> {
    return { run: (task) => this.tasks.start(task), touch: () => this.touch() }
  }

  /** True when somebody else could want the entries of this node. */
  get hasOthers(): boolean {
    return this.links.members().length > 1 || this.links.connected().length > 0
  }

  /** How far this node has got, as others may be told: of its own entries those that may be sent. */
  get told(): SentProgress[] {
    const { node, epoch } = this.self
    const { seq, clock } = this.#lastClock > this.clock.ceiling ? this.sendable : this.vector.get(this.self)
    return this.vector
      .toSent()
      .map((each) => (each[0] === node && each[1] === epoch ? [node, epoch, seq, clock] : each))
  }

  /** Somebody from whom this node could have had a tombstone up to this clock may have forgotten it. */
  get forgottenAnywhere(): number {
    return Math.max(this.forgotten, this.forgottenByPeers)
  }

  /** Clock values above this are not taken in. */
  get greatestClock(): number {
    return clockAt(this.links.now() + this.limits.maxAheadMs)
  }

  /** Tombstones up to this clock need not be kept. */
  get purgeClock(): number {
    return Math.max(this.stableClock, clockAt(this.links.now() - this.limits.horizonMs))
  }

  /** What each copy lacks, also those on disc whose tables have not been created yet; not of what is only kept for a table to come. */
  get coverages(): ReadonlyMap<string, Coverage> {
    const coverages = new Map(this.unopened)
    for (const { name, coverage, isKept } of this.replicas.values()) if (!isKept) coverages.set(name, coverage)
    return coverages
  }

  /** Copies, and what they lack, as it is sent: also those on disc whose tables have not been created yet. */
  get copies(): readonly SentCopy[] {
    if (this.#copies === undefined) {
      const copies: SentCopy[] = []
      for (const [name, coverage] of this.coverages) copies.push([name, coverage.lacksSettled, coverage.toSent()])
      copies.sort(([a], [b]) => (a < b ? -1 : 1))
      this.#copies = copies
    }
    return this.#copies
  }

  /** A copy lacks more, or less, than before; or there is another copy, or one less. */
  coverageChanged(replica: AnyReplica | undefined): void {
    this.#copies = undefined
    this.disc.copiesChanged()
    replica?.save()
    this.touch()
  }

  /** A copy on disc lacks more, or less, whose table has not been created yet. */
  unopenedChanged(name: string, coverage: Coverage): void {
    this.#copies = undefined
    this.disc.writeCopy(name, { coverage, cleared: this.disc.copy(name)?.cleared })
    this.touch()
  }

  /** There is another copy. What it lacks is on disc, if anything of it is. */
  added(replica: AnyReplica): void {
    this.coverageChanged(replica)
    const others = this.disc.durableCopies.filter(([name]) => name !== replica.name)
    const copy = this.copies.find(([name]) => name === replica.name)!
    this.disc.durableCopies = [...others, copy].sort(([a], [b]) => (a < b ? -1 : 1))
  }

  /** Writes one entry; returns its number, or undefined when nothing was to be changed. */
  write(parts: readonly TableOperations[]): number | undefined {
    const needsEntry = this.hasOthers
    const wishes: { table: AnyTable; wish: Wish<unknown> }[] = []
    let after = 0
    let most = 0
    let bytes = 0
    for (const { table, operations } of parts) {
      const needsBytes = needsEntry || table.replica?.isOnDisc === true
      for (const operation of operations) {
        const wish = table.wish(operation, needsBytes)
        after = Math.max(after, table.clockBefore(wish))
        bytes += (wish.bytes?.length ?? 0) + wish.key.length
        most += table.mostOperations(wish) + (wish.op === 'delete' ? wishes.length : 0)
        wishes.push({ table, wish })
      }
    }
    if (most === 0) return undefined
    if (bytes > this.limits.entryBytes) {
      throw new BadArgError(`${bytes} bytes in one entry; at most ${this.limits.entryBytes} are allowed`)
    }
    return this.#writeWishes(wishes, this.clock.next(after, most), needsEntry)
  }

  /** Takes in the next entry of an origin. Throws, and changes nothing, when it is damaged or too far ahead. */
  take(origin: Origin, seq: number, bytes: Buffer, body: BinaryReader, onlooker: Onlooker | undefined): void {
    const entry = decodeEntry(body, this.origins)
    const last = entry.clock + entry.operations.length - 1
    if (last > this.greatestClock) throw new TooFarAhead(last)
    const prepared = this.#prepare(entry)
    this.clock.observe(last)
    if (last <= this.forgottenAnywhere) {
      this.#leaveToSync(origin, seq, bytes, last)
      return
    }
    this.vector.set(origin, seq, Math.max(last, this.vector.get(origin).clock))
    this.log.append(origin, seq, bytes)
    this.disc.moved(origin)
    let clock = entry.clock
    for (const { replica, operation, value } of prepared) {
      if (replica !== undefined) {
        onlooker?.look(replica, operation.key, operation.identity ?? '', value, clock, origin)
        replica.apply(operation, value, clock, origin)
      }
      clock++
    }
    this.counters.applied++
    this.touch()
    this.#deliver()
  }

  /**
   * An entry that is so old that somebody has forgotten deletes that came after it: applied alone it would bring back what was deleted.
   * It is kept for others; what has become of its rows is learnt from a copy that has had all of it.
   */
  #leaveToSync(origin: Origin, seq: number, bytes: Buffer, last: number): void {
    const held = this.vector.get(origin)
    this.#openHoles(origin, held, seq)
    this.vector.set(origin, seq, Math.max(last, held.clock))
    this.log.append(origin, seq, bytes)
    this.disc.moved(origin)
    this.touch()
  }

  /** Notes that an origin's entries up to `seq` cannot be had any more: what the copies lack is left to a sync. */
  skip(origin: Origin, seq: number): void {
    const held = this.vector.get(origin)
    if (seq <= held.seq) return
    this.#openHoles(origin, held, seq)
    this.vector.set(origin, seq, held.clock)
    this.log.drop(origin)
    this.disc.moved(origin)
    this.touch()
  }

  /** A hole is closed that nobody could fill. */
  gone(table: string, origin: Origin, { covered, until }: Hole): void {
    this.logger.warn(
      { table, origin: String(origin), after: covered.seq, until },
      'no copy of a table has these entries',
    )
    this.events.gone?.(table, origin.node, until - covered.seq)
  }

  /** An incarnation writes nothing with this clock or less. */
  knowStart(origin: Origin, startClock: number): void {
    if (this.settled.has(origin)) return
    this.vector.advance(origin, 0, startClock)
    this.disc.moved(origin)
  }

  /** Tombstones up to a clock have been forgotten, here or where this node has rows from. */
  forgotUpTo(clock: number): void {
    if (clock <= this.forgotten) return
    this.forgotten = clock
    this.disc.forgotten = clock
    this.touch()
  }

  /** The copy of a table that operations are for; undefined when they are for nobody. */
  replicaOf(operation: Operation): AnyReplica | undefined {
    const { table } = operation
    const replica = this.replicas.get(table)
    if (this.tables.has(table)) return replica
    if (replica !== undefined && !isOfAnotherKind(replica, operation)) return replica
    return this.#isWanted(table) ? this.#openOpaque(operation, replica) : undefined
  }

  /** Has `deliver` called when what is being done is complete. */
  emit(deliver: () => void): void {
    this.#deliveries.push(deliver)
  }

  /** Delivers the events of what has been done. One that is caused by an event comes behind those that are there. */
  deliver(): void {
    this.#deliver()
  }

  #openHoles(origin: Origin, covered: Progress, until: number): void {
    for (const replica of this.replicas.values()) {
      replica.coverage.open(origin, covered, until)
      this.coverageChanged(replica)
    }
    for (const [name, coverage] of this.unopened) {
      coverage.open(origin, covered, until)
      this.unopenedChanged(name, coverage)
    }
    this.holed()
  }

  #writeWishes(
    wishes: readonly { table: AnyTable; wish: Wish<unknown> }[],
    clock: number,
    needsEntry: boolean,
  ): number | undefined {
    const done: Operation[] = []
    for (const { table, wish } of wishes) {
      for (const operation of table.operationsOf(wish)) {
        const row = operation.kind === 'write' ? wish.row : undefined
        table.replica?.apply(operation, row, clock + done.length, this.self)
        done.push(operation)
      }
    }
    if (done.length === 0) return undefined
    const seq = this.vector.seqOf(this.self) + 1
    this.vector.set(this.self, seq, clock + done.length - 1)
    this.disc.moved(this.self)
    if (needsEntry) this.#append(seq, clock, done)
    else this.log.drop(this.self)
    this.#lastClock = clock + done.length - 1
    this.#release()
    this.counters.written++
    this.touch()
    this.#deliver()
    return seq
  }

  #append(seq: number, clock: number, operations: readonly Operation[]): void {
    const writer = this.#writer
    encodeEntry(writer, clock, operations)
    const body = writer.take()
    writer.varint(body.length)
    writer.raw(body)
    this.log.append(this.self, seq, writer.take())
  }

  #prepare(entry: Entry): { replica: AnyReplica | undefined; operation: Operation; value: unknown }[] {
    return entry.operations.map((operation) => {
      const replica = this.replicaOf(operation)
      return { replica, operation, value: replica?.valueOf(operation) }
    })
  }

  /** A copy of a table that is not known: what is on disc of it is loaded. */
  #openOpaque(operation: Operation, former: AnyReplica | undefined): AnyReplica {
    const { disc } = this
    const isOnDisc = disc.store.isDurable
    const record = this.unopened.get(operation.table)
    this.unopened.delete(operation.table)
    const replica = new Replica<Uint8Array>(
      {
        name: operation.table,
        isBag: operation.identity !== undefined,
        isMerged: operation.seen !== undefined,
        bytes: OPAQUE,
        merge: undefined,
        disc: isOnDisc ? disc : undefined,
        // What is on disc may be a copy of a table that is about to be created, as at every start.
        isKept: record === undefined && former?.isKept !== false,
        changed: () => undefined,
        ...this.replicaOptions,
      },
      record ?? former?.coverage,
    )
    if (former !== undefined) replica.takeOver(former)
    else if (isOnDisc) replica.load(disc)
    this.replicas.set(operation.table, replica)
    return replica
  }

  /** Lets the others have what this node has written, when no clock of it can come a second time. */
  #release(): void {
    if (this.#lastClock > this.clock.ceiling) return
    this.sendable = this.vector.get(this.self)
    this.touch()
  }

  #deliver(): void {
    if (this.#isDelivering) return
    this.#isDelivering = true
    for (let i = 0; i < this.#deliveries.length; i++) {
      try {
        this.#deliveries[i]!()
      } catch (error) {
        // The entry stands, and so do the events that follow.
        this.logger.error({ err: error }, 'a listener of a table threw')
      }
    }
    this.#deliveries = []
    this.#isDelivering = false
  }
}

/** A table that is not known has shown by now whether it is a bag, unless all that came was a clear. */
function isOfAnotherKind(replica: AnyReplica, { kind, identity, seen }: Operation): boolean {
  if (kind === 'clear' || replica.cells.rows.size + replica.cells.tombstones.size > 0) return false
  return replica.isBag !== (identity !== undefined) || replica.isMerged !== (seen !== undefined)
}
