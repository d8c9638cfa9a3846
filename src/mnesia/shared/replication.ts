/**
 * Shared replication on one node: its tables, and the part `shared` of the links.
 *
 * What happens in a turn is applied at once and made known at its end: one commit to the disc, what peers have asked for of the log, one
 * acknowledgement to each peer. Three timers do what is not urgent: telling peers how far this node has got, passing reports of members
 * on, comparing tables. docs/architecture/mnesia.md tells how the parts work together.
 */
import { Damaged } from '../binary.ts'
import { Confirmations } from '../confirmations.ts'
import type { Copies, TableDefinition } from '../definition.ts'
import type { LinkHandler, Peer } from '../link.ts'
import type { WriteOptions, WriteOutcome } from '../table.ts'
import type { Cell } from './cell-map.ts'
import { SKEW_MS } from './clock.ts'
import { Core } from './core.ts'
import { Coverage, type SentFloor } from './coverage.ts'
import { emptyShared } from './disc.ts'
import { FeedsIn } from './feeds-in.ts'
import { FeedsOut } from './feeds-out.ts'
import { Losses } from './losses.ts'
import { Members } from './members.ts'
import {
  type FeedRequest,
  type Hello,
  isMessage,
  type ProgressMessage,
  type SentCopy,
  type SentLink,
  type SharedMessage,
} from './messages.ts'
import { PeerState } from './peer-state.ts'
import { type AnyReplica, Replica } from './replica.ts'
import type { SharedOptions } from './settings.ts'
import { SharedTable, type TableOperations, type TableWriter } from './shared-table.ts'
import { SyncReceiver } from './sync-receiver.ts'
import { SyncSource } from './sync-source.ts'
import { purgeTombstones } from './tombstones.ts'
import { VainHoles } from './vain-holes.ts'
import type { SentProgress } from './vector.ts'

const DEFAULT_WAIT_MS = 1000
/** Checks that are put off because something is being written, at most, before one is done all the same. */
const CHECKS_PUT_OFF = 10

export class SharedReplication implements LinkHandler, TableWriter {
  readonly #options: SharedOptions
  // Made by `#begin`, and made anew when the node becomes a member of another cluster.
  #core!: Core
  #members!: Members
  #confirmations!: Confirmations
  #losses!: Losses
  #feedsIn!: FeedsIn
  #feedsOut!: FeedsOut
  #syncSource!: SyncSource
  #syncReceiver!: SyncReceiver
  #vainHoles!: VainHoles
  /** Peers that have not told all that they had when they connected. */
  readonly #catchingUp = new Set<PeerState>()
  readonly #peers = new Map<string, PeerState>()
  /** What peers have been told: sequence by origin, and the copies. */
  readonly #told = new Map<string, number>()
  #toldCopies: readonly SentCopy[] | undefined
  #toldLinks = ''
  /** Peers are to be told at the end of the turn how far this node has got. */
  #isTelling = false
  #isTouched = false
  #hasStopped = false
  readonly #skewed = new Set<string>()
  readonly #cancels = new Map<string, () => void>()
  #appliedAtCheck = 0
  #checksPutOff = 0
  #isPurging = false

  constructor(options: SharedOptions) {
    this.#options = options
    this.#begin()
    const core = this.#core
    this.#every('progress', core.limits.progressMs, () => this.#progressTick())
    this.#every('report', core.limits.reportMs, () => this.#reportTick())
    this.#every('check', core.limits.checkMs, () => this.#checkTick())
    core.links.handle('shared', this)
  }

  #begin(): void {
    const core = new Core(this.#options)
    this.#core = core
    core.touch = () => this.#touch()
    core.holed = () => {
      for (const replica of core.replicas.values()) this.#syncReceiver.opened(replica)
    }
    this.#members = new Members(core)
    this.#confirmations = new Confirmations(core.links)
    this.#losses = new Losses(core)
    const incoming = {
      core,
      peers: this.#peers,
      onlooker: (peer: PeerState) => this.#losses.onlooker(peer),
      skewed: (node: string, aheadMs: number) => this.#sawSkew(node, aheadMs),
    }
    this.#feedsIn = new FeedsIn(incoming)
    this.#feedsOut = new FeedsOut(core)
    this.#syncSource = new SyncSource(core, this.#members)
    this.#syncReceiver = new SyncReceiver({ ...incoming, members: this.#members })
    this.#vainHoles = new VainHoles(core, this.#peers, this.#syncReceiver)
    this.#touch()
  }

  /** Resolves when stamps of this node can be trusted over a restart: nothing should be written before. */
  async ready(): Promise<void> {
    await this.#core.disc.store.flushed()
  }

  /** Ends it: nothing is sent or written any more. Writes that wait are told who has not confirmed. */
  stop(): void {
    this.#hasStopped = true
    for (const cancel of this.#cancels.values()) cancel()
    const { disc, clock } = this.#core
    // What was reserved beyond it is not needed: the next start need not begin ahead of time.
    disc.ceiling = clock.last
    disc.commit()
    this.#core.tasks.stop()
    this.#feedsIn.stop()
    this.#confirmations.stop()
  }

  /**
   * Forgets all rows, here and on disc, and all that was known of others: the node is about to be a member of another cluster, in
   * another epoch. Subscribers of the tables get an event for each row. No link may be up.
   */
  reset(): void {
    const { tables, disc, tasks, clock } = this.#core
    tasks.stop()
    this.#feedsIn.stop()
    this.#confirmations.stop()
    emptyShared(disc.store, clock.last)
    this.#told.clear()
    this.#toldCopies = undefined
    this.#isPurging = false
    this.#begin()
    for (const [name, table] of tables) {
      this.#core.tables.set(name, table)
      const { replica } = table
      if (replica === undefined) continue
      this.#open(table, replica.copies, false)
      for (const [key, cell] of rowsOf(replica)) table.rowChanged(key, undefined, cell.value)
    }
    this.#core.coverageChanged(undefined)
    this.#core.deliver()
  }

  /** Tables of which this node has a copy that lacks something, or may. */
  get lacking(): string[] {
    return [...this.#core.coverages].filter(([, coverage]) => !coverage.isWhole).map(([name]) => name)
  }

  /** Whether a member that runs has told that its copy of a table lacks nothing. */
  hasWholeCopy(name: string, node: string): boolean {
    const { self, coverages } = this.#core
    const coverage = node === self.node ? coverages.get(name) : this.#peers.get(node)?.copies.get(name)
    return coverage?.isWhole === true
  }

  /** What a member has told of its copy of a table counts no longer: it is about to get another one. */
  forgetCopy(name: string, node: string): void {
    this.#peers.get(node)?.copies.delete(name)
  }

  /** Nothing that this node writes from now on is at or below it. */
  clock(): number {
    return this.#core.clock.promise()
  }

  /** Takes note of the clock of another node; `reset` keeps what it has come to. */
  sawClock(clock: number): void {
    this.#core.clock.observe(clock)
  }

  /** Whether all that a connected member had when it connected is here. */
  isCaughtUp(node: string): boolean {
    const peer = this.#peers.get(node)
    return peer?.isKnown === true && !this.#catchingUp.has(peer)
  }

  /**
   * Creates a table here, with a copy or without one. `isNew` is for the node on which the table comes into being: elsewhere, and
   * after a restart, a copy lacks what others have until it has been compared with theirs. What is on disc of it is loaded. Throws a TypeError
   * for a definition that cannot be shared, or a table that is there.
   */
  create<Row>(
    definition: TableDefinition<Row>,
    copies: Copies | undefined,
    options: { readonly isNew?: boolean } = {},
  ): SharedTable<Row> {
    const { name } = definition
    if (this.#core.tables.has(name)) throw new TypeError(`table ${name} is there already`)
    const table = new SharedTable(definition, this)
    this.#core.tables.set(name, table)
    if (copies === undefined) this.#discard(name)
    else this.#open(table, copies, options.isNew ?? false)
    this.#core.coverageChanged(undefined)
    this.#tellSoon()
    this.#core.deliver()
    return table
  }

  /** The table of a name. */
  table(name: string): SharedTable<unknown> | undefined {
    return this.#core.tables.get(name)
  }

  /** Adds a copy of a table to this node; it is filled from those that there are. */
  addCopy(name: string, copies: Copies): void {
    const table = this.#tableOf(name)
    if (table.replica !== undefined) return
    this.#open(table, copies, false)
    this.#core.coverageChanged(undefined)
    this.#tellSoon()
    this.#core.deliver()
  }

  /** Removes this node's copy; its rows are gone here, without an event for each. */
  dropCopy(name: string): void {
    const table = this.#tableOf(name)
    const { replica } = table
    if (replica === undefined) return
    this.#close(replica)
    table.setReplica(undefined)
    this.#core.coverageChanged(undefined)
    this.#tellSoon()
  }

  /** Removes a table from this node. Operations on it that come later are kept for one of its name, unless `isWanted` says no. */
  drop(name: string): void {
    const table = this.#tableOf(name)
    this.dropCopy(name)
    this.#core.tables.delete(name)
    table.setReplica(undefined)
  }

  /** Changes whether a copy is on disc. It keeps its rows; they are written in pieces. */
  changeCopy(name: string, copies: Copies): void {
    const { replica } = this.#tableOf(name)
    const { disc } = this.#core
    if (replica === undefined || !disc.store.isDurable || replica.copies === copies) return
    if (copies === 'ram_copies') replica.toRam()
    else {
      replica.toDisc(disc)
      this.#core.tasks.start(replica.writeAll())
    }
    this.#touch()
  }

  /** Writes operations on any tables as one entry: other nodes and the disc see all of them or none. See `Table` for what it returns. */
  write(parts: readonly TableOperations[], options: WriteOptions | undefined): Promise<WriteOutcome> | undefined {
    const seq = this.#core.write(parts)
    const { disc, vector, self } = this.#core
    if (options?.wait === 'members') {
      // Where nothing was to be changed, what this node wrote before may be on its way still.
      return this.#confirmations.wait(vector.seqOf(self), options.timeoutMs ?? DEFAULT_WAIT_MS)
    }
    if (seq === undefined || options?.wait !== 'durable') return undefined
    if (!disc.store.isDurable || !parts.some(({ table }) => table.replica?.isOnDisc === true)) return undefined
    disc.commit()
    return disc.store.flushed().then(() => ({ unconfirmed: [] }))
  }

  emit(deliver: () => void): void {
    this.#core.emit(deliver)
  }

  get stableClock(): number {
    return this.#core.stableClock
  }

  holders(table: string): readonly string[] {
    return this.#members.holders(table)
  }

  /** The list of members has changed. */
  membersChanged(): void {
    this.#feedsIn.replan()
    this.#reportTick()
  }

  /** Compares all tables with those of one peer now, as is done every minute. */
  check(): void {
    this.#syncReceiver.check()
  }

  /** How far this node has got with each origin: node, epoch, number of the last entry, clock. */
  get vector(): readonly SentProgress[] {
    return this.#core.vector.toSent()
  }

  /** What there is to know about it. */
  info(): SharedInfo {
    const { counters, log, stableClock, forgotten } = this.#core
    return {
      vector: this.vector,
      settled: this.#core.settled.toSent(),
      copies: this.#core.copies,
      counters: { ...counters },
      logBytes: log.bytes,
      stableClock,
      forgotten,
      waiting: this.#confirmations.waiting,
      isSyncing: this.#syncReceiver.isBusy,
      unacknowledged: [...this.#peers.values()].map(
        (peer) => [peer.node, this.#feedsOut.unacknowledged(peer)] as const,
      ),
      tombstones: [...this.#core.replicas.values()].reduce((sum, { cells }) => sum + cells.tombstones.size, 0),
    }
  }

  up(peer: Peer): void {
    const state = new PeerState(peer, this.#core.origins)
    this.#peers.set(peer.node, state)
    this.#catchingUp.add(state)
    const { links, startClock } = this.#core
    this.#confirmations.up(peer.node)
    this.#members.sawEpoch(peer.node, peer.epoch)
    state.send({
      tag: 'hello',
      wallMs: links.now(),
      forgotten: this.#core.forgotten,
      startClock,
      vector: this.#core.told,
      copies: this.#core.copies,
      links: this.#links(),
      reports: this.#members.news(state),
    })
    this.#tellSoon()
  }

  receive(peer: Peer, message: { readonly tag: string }): void {
    const state = this.#peers.get(peer.node)
    if (state?.peer !== peer || this.#hasStopped) return
    try {
      if (isMessage(message) && (state.isKnown || message.tag === 'hello')) this.#handle(state, message)
      else throw new Damaged(`${message.tag} is no message`)
    } catch (error) {
      this.#core.counters.damaged++
      this.#core.logger.error({ err: error, from: peer.node, tag: message.tag }, 'a message could not be handled')
    }
  }

  down(peer: Peer): void {
    const state = this.#peers.get(peer.node)
    if (state?.peer !== peer) return
    this.#peers.delete(peer.node)
    this.#catchingUp.delete(state)
    this.#confirmations.down(peer.node)
    this.#feedsOut.down(state)
    this.#feedsIn.down(state)
    this.#syncSource.down(state)
    this.#syncReceiver.down(state)
    this.#losses.finish(state)
    this.#members.down(state)
    // Who else has how much of it decides who its source is from now on.
    this.#told.delete(String(state.origin))
    this.#tellSoon()
  }

  #handle(peer: PeerState, message: SharedMessage): void {
    switch (message.tag) {
      case 'hello':
        this.#hello(peer, message)
        break
      case 'progress':
        this.#progress(peer, message)
        break
      case 'reports':
        for (const report of message.reports) this.#members.took(report)
        break
      case 'feed':
        this.#feedsOut.start(peer, message)
        if (this.#isOwn(message)) this.#confirmations.confirm(peer.node, message.from - 1)
        this.#touch()
        break
      case 'stop':
        this.#feedsOut.stop(peer, message.id)
        break
      case 'entries':
        this.#feedsIn.received(peer, message.id, message.first, message.bytes)
        break
      case 'gap':
        this.#feedsIn.gap(peer, message.id, message.first)
        break
      case 'ack':
        for (const [id, bytes, seq] of message.feeds) this.#acknowledged(peer, id, bytes, seq)
        this.#touch()
        break
      case 'sync':
        this.#syncSource.start(peer, message.id, message.table, message.floor, message.digest)
        break
      case 'sync_begin':
        this.#syncReceiver.begun(peer, message)
        break
      case 'sync_request':
        this.#syncSource.request(peer, message)
        break
      case 'sync_rows':
        this.#syncReceiver.received(peer, message)
        break
      case 'sync_ack':
        this.#syncSource.acknowledged(peer, message.id, message.bytes)
        break
      case 'sync_end':
        this.#syncSource.end(peer, message.id)
        break
      case 'sync_refused':
        this.#syncReceiver.ended(peer, message.id)
        break
    }
  }

  #hello(peer: PeerState, { vector, copies, links, startClock, forgotten, wallMs, reports }: Hello): void {
    const { origins } = this.#core
    peer.isKnown = true
    peer.tookVector(vector, origins)
    peer.tookCopies(copies, origins)
    peer.tookLinks(links)
    this.#core.knowStart(peer.origin, startClock)
    this.#core.forgottenByPeers = Math.max(this.#core.forgottenByPeers, forgotten)
    this.#learn(vector)
    for (const report of reports) this.#members.took(report)
    this.#sawSkew(peer.node, wallMs - this.#core.links.now())
    this.#losses.begin(peer)
    this.#feedsIn.replan()
    this.#touch()
  }

  #progress(peer: PeerState, { vector, copies, links, forgotten, wallMs }: ProgressMessage): void {
    this.#core.forgottenByPeers = Math.max(this.#core.forgottenByPeers, forgotten)
    const { origins } = this.#core
    peer.tookVector(vector, origins)
    if (copies !== undefined) peer.tookCopies(copies, origins)
    peer.tookLinks(links)
    this.#learn(vector)
    this.#sawSkew(peer.node, wallMs - this.#core.links.now())
    this.#feedsIn.replan()
    if (copies !== undefined) this.#core.events.copies?.()
  }

  #learn(vector: readonly SentProgress[]): void {
    const core = this.#core
    for (const [node, epoch, seq, clock] of vector) {
      const origin = core.origins.of(node, epoch)
      this.#members.sawEpoch(node, epoch)
      core.vector.learn(origin, seq, clock)
      core.disc.durable.learn(origin, seq, clock)
    }
  }

  #acknowledged(peer: PeerState, id: number, bytes: number, seq: number): void {
    const origin = this.#feedsOut.acknowledged(peer, id, bytes)
    if (origin === undefined) return
    peer.vector.advance(origin, seq, 0)
    if (origin === this.#core.self) this.#confirmations.confirm(peer.node, seq)
  }

  #isOwn({ node, epoch }: FeedRequest): boolean {
    const { self } = this.#core
    return node === self.node && epoch === self.epoch
  }

  #sawSkew(node: string, aheadMs: number): void {
    const { events, logger } = this.#core
    if (Math.abs(aheadMs) > SKEW_MS) {
      if (this.#skewed.has(node)) return
      this.#skewed.add(node)
      logger.warn({ peer: node, aheadMs }, 'clocks of members differ')
      events.skew?.(node, aheadMs)
    } else if (this.#skewed.delete(node)) events.skew?.(node, 0)
  }

  #touch(): void {
    if (this.#isTouched || this.#hasStopped) return
    this.#isTouched = true
    this.#core.links.atTurnEnd(this)
  }

  /** Called at the end of a turn in which something has happened. */
  flush(): void {
    this.#isTouched = false
    if (this.#hasStopped) return
    const { disc } = this.#core
    if (disc.hasRows) disc.commit()
    this.#feedsIn.flush()
    this.#feedsOut.pump()
    this.#syncReceiver.next()
    for (const peer of this.#catchingUp) if (peer.isKnown) this.#lookWhetherCaughtUp(peer)
    if (this.#isTelling) this.#tell()
  }

  /** What copies lack that the peer cannot give does not count. */
  #lookWhetherCaughtUp(peer: PeerState): void {
    const { vector, self, settled, events } = this.#core
    for (const [origin, { seq }] of peer.meeting?.theirs.entries() ?? []) {
      if (origin !== self && !settled.has(origin) && vector.seqOf(origin) < seq) return
    }
    if (this.#syncReceiver.wants(peer)) return
    this.#catchingUp.delete(peer)
    events.caughtUp?.(peer.node)
  }

  #tellSoon(): void {
    this.#isTelling = true
    this.#touch()
  }

  /** Tells all peers what has changed since they were told last. */
  #tell(): void {
    this.#isTelling = false
    const { told, copies } = this.#core
    const news = told.filter(([node, epoch, seq]) => this.#told.get(`${node}/${epoch}`) !== seq)
    const links = this.#links()
    const linksText = JSON.stringify(links)
    const isCopyNews = this.#toldCopies !== copies
    if (news.length === 0 && !isCopyNews && this.#toldLinks === linksText) return
    for (const [node, epoch, seq] of news) this.#told.set(`${node}/${epoch}`, seq)
    this.#toldCopies = copies
    this.#toldLinks = linksText
    const wallMs = this.#core.links.now()
    const { forgotten } = this.#core
    for (const peer of this.#peers.values()) {
      peer.send({ tag: 'progress', wallMs, forgotten, vector: news, copies: isCopyNews ? copies : undefined, links })
    }
    if (isCopyNews) this.#core.events.copies?.()
  }

  #links(): SentLink[] {
    return [...this.#peers.values()]
      .map(({ node, epoch }) => [node, epoch] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
  }

  #progressTick(): void {
    this.#tell()
    // A source that had more when it was chosen may have no more now.
    this.#feedsIn.replan()
    for (const peer of [...this.#peers.values()]) this.#losses.finishIfMet(peer)
    this.#syncReceiver.lookAtTime()
  }

  #reportTick(): void {
    const { disc } = this.#core
    disc.commit()
    for (const peer of this.#peers.values()) peer.ticks++
    this.#vainHoles.close()
    this.#members.report()
    this.#members.refresh()
    if (this.#members.settle()) {
      disc.commit()
      this.#members.report()
      this.#feedsIn.replan()
    }
    for (const peer of this.#peers.values()) {
      const reports = this.#members.news(peer)
      if (reports.length > 0) peer.send({ tag: 'reports', reports })
    }
    if (!this.#isPurging) this.#core.tasks.start(this.#purge())
  }

  *#purge(): Generator<'go' | 'wait', void> {
    this.#isPurging = true
    yield* purgeTombstones(this.#core)
    this.#isPurging = false
  }

  #checkTick(): void {
    const { written, applied } = this.#core.counters
    const isIdle = written + applied === this.#appliedAtCheck
    this.#appliedAtCheck = written + applied
    if (!isIdle && ++this.#checksPutOff < CHECKS_PUT_OFF) return
    this.#checksPutOff = 0
    this.check()
  }

  #every(name: string, ms: number, act: () => void): void {
    const again = () => {
      act()
      if (!this.#hasStopped) this.#cancels.set(name, this.#core.links.setTimer(ms, again))
    }
    this.#cancels.set(name, this.#core.links.setTimer(ms, again))
  }

  #tableOf(name: string): SharedTable<unknown> {
    const table = this.#core.tables.get(name)
    if (table === undefined) throw new TypeError(`there is no table ${name}`)
    return table
  }

  /** Makes the copy of a table: from the disc, and from what has been kept for it. */
  #open<Row>(table: SharedTable<Row>, copies: Copies, isNew: boolean): void {
    const { disc, replicas, vector, logger, unopened } = this.#core
    const { definition } = table
    const { name } = definition
    const isOnDisc = copies === 'disc_copies' && disc.store.isDurable
    const opaque = replicas.get(name) as Replica<Uint8Array> | undefined
    // Rows that were kept while the table was not known are not all that there are.
    const known = opaque?.isKept === false ? opaque.coverage : unopened.get(name)
    const coverage = known ?? new Coverage()
    if (known === undefined && (!isNew || disc.mayLack(name))) coverage.openAll(vector)
    unopened.delete(name)
    const replica = new Replica<Row>(
      {
        name,
        isBag: definition.type === 'bag',
        isMerged: definition.merge !== undefined,
        bytes: table.bytes,
        merge: definition.merge,
        disc: isOnDisc ? disc : undefined,
        changed: (key, row, old) => table.rowChanged(key, row, old),
        ...this.#core.replicaOptions,
      },
      coverage,
    )
    replicas.set(name, replica)
    table.setReplica(replica)
    const damaged = opaque === undefined ? replica.load(disc) : replica.takeOver(opaque)
    if (damaged.length > 0) {
      logger.error({ table: name, keys: damaged.slice(0, 100), rows: damaged.length }, 'damaged rows were left out')
      coverage.openAll(vector)
    }
    if (!isOnDisc && disc.store.isDurable) disc.remove(name)
    this.#core.added(replica)
    this.#syncReceiver.opened(replica)
  }

  #close(replica: AnyReplica): void {
    this.#syncReceiver.dropped(replica)
    this.#syncSource.dropped(replica)
    this.#vainHoles.dropped(replica)
    this.#core.replicas.delete(replica.name)
    this.#discard(replica.name)
  }

  /** Removes what is on disc of a table, and what has been kept for it. */
  #discard(name: string): void {
    const { disc, replicas, tables, unopened } = this.#core
    unopened.delete(name)
    if (tables.get(name)?.replica === undefined) replicas.delete(name)
    if (!disc.store.isDurable) return
    disc.remove(name)
    this.#touch()
  }
}

function* rowsOf({ cells }: AnyReplica): Iterable<readonly [key: string, cell: Cell<unknown>]> {
  for (let from: number | undefined = 0; from !== undefined; ) {
    const chunk = cells.rows.chunk(from)
    yield* chunk.cells
    from = chunk.next
  }
}

export interface SharedInfo {
  readonly vector: readonly SentProgress[]
  readonly settled: readonly SentFloor[]
  /** Copies here, and what they lack. */
  readonly copies: readonly SentCopy[]
  readonly counters: SharedOptionsCounters
  readonly logBytes: number
  readonly stableClock: number
  /** Tombstones up to this clock have been forgotten. */
  readonly forgotten: number
  /** Writes that wait for members. */
  readonly waiting: number
  readonly isSyncing: boolean
  /** Bytes on the way to each peer. */
  readonly unacknowledged: readonly (readonly [node: string, bytes: number])[]
  readonly tombstones: number
}

type SharedOptionsCounters = Readonly<Core['counters']>
