/**
 * Owned tables of a node and their replication: see docs/architecture/mnesia.md.
 *
 * Each node numbers the batches that it writes to a table: (epoch, seq). For every table of which it has a copy, and for every other
 * member, a node chooses where that member's rows come from (sources.ts), asks there for a feed (feed-in.ts), and is itself asked for feeds of
 * its own rows and of others' (feed-out.ts).
 *
 * It knows nothing of processes: whoever holds the links calls it. Nothing is sent within a call but answers; what has been written goes out
 * at the end of the turn.
 */
import type { CopyKind, TableDefinition } from '../definition.ts'
import type { LinkHandler, Peer } from '../link.ts'
import { type AnyRows, type AnyTable, Core, type TableHost } from './core.ts'
import { FeedOut } from './feed-out.ts'
import { type FeedRequest, isMessage, type OwnedMessage } from './messages.ts'
import { OwnedTable } from './owned-table.ts'
import { PeerState } from './peer-state.ts'
import { Progress } from './progress.ts'
import type { OwnedCounters, OwnedOptions } from './settings.ts'
import { Sources } from './sources.ts'
import { Work } from './work.ts'

export class OwnedReplication implements LinkHandler, TableHost {
  readonly core: Core
  /** Called when `isCaughtUp` may have become true for some member. */
  onCaughtUp: (() => void) | undefined
  readonly #sources: Sources
  readonly #progress: Progress
  readonly #work: Work
  /** Whose rows have advanced in this turn, in which table. */
  readonly #advanced = new Map<AnyRows, string>()
  #isFlushing = false
  #stopChecks: (() => void) | undefined

  constructor(options: OwnedOptions) {
    this.core = new Core(options)
    this.#sources = new Sources(this.core)
    this.#progress = new Progress(this.core)
    this.#work = new Work(this.core.links)
  }

  // Tables

  /** Makes a table; of a copy on disc the rows are there when it returns. At any time, links up or not. */
  open<Row>(definition: TableDefinition<Row>, copy: CopyKind = definition.copies): OwnedTable<Row> {
    const table = new OwnedTable(this, definition, copy)
    this.core.tables.set(definition.name, table as AnyTable)
    for (const { owner } of table.owners()) if (!this.core.isMember(owner)) table.forget(owner)
    for (const state of this.core.peers.values()) this.#expect(state, table as AnyTable)
    this.#copiesChanged()
    return table
  }

  /** Ends a table for good: its rows are gone, from the disc as well, and its object is not used any more. */
  drop(name: string): void {
    const table = this.core.tables.get(name)
    if (table === undefined) return
    this.#endFeeds(table)
    table.drop()
    table.confirmations.stop()
    this.core.tables.delete(name)
    this.#copiesChanged()
  }

  /** Adds, removes or changes the copy of this node. Without one, reads throw an error that names the nodes which have one. */
  setCopy(name: string, copy: CopyKind): void {
    const table = this.core.tables.get(name)
    if (table === undefined || table.copy === copy) return
    const had = table.copy !== 'none'
    if (copy === 'none') this.#endFeeds(table)
    table.setCopy(copy)
    if (had === (copy !== 'none')) return
    if (!had) for (const state of this.core.peers.values()) this.#expect(state, table)
    this.#copiesChanged()
  }

  /**
   * Forgets what came from the cluster, in memory and on disc; rows that this node owns stay, and begin the epoch that the links
   * have by now. No link is up.
   */
  reset(): void {
    this.core.lastBatches.clear()
    for (const table of this.core.tables.values()) table.reset()
    this.#progress.reset()
  }

  /** To be called when the members are others: rows of who is none any more are removed. */
  membersChanged(): void {
    const { core } = this
    core.members = core.links.members()
    // Also of whom nothing has come yet: it must not come any more.
    this.#sources.keep(({ owner }) => core.isMember(owner))
    for (const table of core.tables.values()) {
      for (const { owner } of table.owners()) if (!core.isMember(owner)) this.#forget(table, owner)
    }
    this.#sources.choose()
  }

  /** Whether all that a linked member had when its link came up is here. */
  isCaughtUp(node: string): boolean {
    const state = this.core.peers.get(node)
    return state !== undefined && this.#progress.isCaughtUp(state)
  }

  /** Tables of which the disc may have lost rows of other owners that have not come again. */
  get lacking(): string[] {
    return [...this.core.tables]
      .filter(([, table]) => table.owners().some(({ mayLack }) => mayLack))
      .map(([name]) => name)
  }

  /** How often what has happened. */
  get counters(): Readonly<OwnedCounters> {
    return this.core.counters
  }

  /** For observers and tests. */
  status() {
    const feeds = [...this.core.peers.values()].flatMap(({ feedsOut }) => [...feedsOut.values()])
    const unacknowledged = feeds.map((feed) => feed.unacknowledgedBytes)
    return {
      logBytes: this.core.log.bytes,
      feedsIn: this.#sources.size,
      feedsOut: feeds.length,
      unacknowledgedBytes: unacknowledged.reduce((sum, bytes) => sum + bytes, 0),
      /** Of the feed that has most of them. */
      mostUnacknowledgedBytes: Math.max(0, ...unacknowledged),
      /** Writes that wait for members. */
      waiting: [...this.core.tables.values()].reduce((sum, { confirmations }) => sum + confirmations.waiting, 0),
      /** Jobs that go on in later turns. */
      work: this.#work.size,
    }
  }

  // Links

  up(peer: Peer): void {
    const { core } = this
    const former = core.peers.get(peer.node)
    if (former !== undefined) this.down(former.peer)
    const state = new PeerState(peer)
    core.peers.set(peer.node, state)
    this.#membersMayHaveChanged()
    core.send(state, { tag: 'hello', tables: this.#copies(), have: this.#progress.allFor(state, core.tables.values()) })
    for (const table of core.tables.values()) {
      this.#expect(state, table)
      this.#sources.show(table, peer.node)
      this.#progress.tell(table, peer.node)
    }
    this.#sources.choose()
    this.#stopChecks ??= core.links.setTimer(core.limits.checkMs, () => this.#check())
  }

  receive(peer: Peer, message: { readonly tag: string }): void {
    const state = this.core.peers.get(peer.node)
    if (state?.peer !== peer) return
    if (isMessage(message)) {
      this.#handle(state, message)
      return
    }
    this.core.counters.damaged++
    this.core.logger.warn({ from: peer.node, tag: message.tag }, 'a message about owned tables that makes no sense')
  }

  down(peer: Peer): void {
    const { core } = this
    const state = core.peers.get(peer.node)
    if (state?.peer !== peer) return
    core.peers.delete(peer.node)
    this.#sources.down(state)
    for (const feed of state.feedsOut.values()) this.#work.delete(feed)
    for (const table of core.tables.values()) {
      table.setVisible(peer.node, false)
      table.confirmations.down(peer.node)
      this.#progress.tell(table, peer.node)
    }
    this.#membersMayHaveChanged()
    this.#sources.choose()
    if (core.peers.size > 0) return
    this.#stopChecks?.()
    this.#stopChecks = undefined
  }

  /** The end of the turn. */
  flush(): void {
    this.#isFlushing = false
    const advanced = new Map(this.#advanced)
    this.#advanced.clear()
    for (const state of this.core.peers.values()) {
      for (const feed of state.feedsOut.values()) if (feed.isOneOf(advanced)) this.#pump(feed)
    }
    for (const [rows, table] of advanced) this.#progress.advanced(table, rows)
    for (const state of this.core.peers.values()) this.#acknowledge(state)
    for (const state of this.core.peers.values()) {
      if (!state.isCaughtUp && this.#progress.isCaughtUp(state)) this.onCaughtUp?.()
    }
  }

  // TableHost

  advanced(table: string, rows: AnyRows): void {
    if (this.core.peers.size === 0) return
    this.#advanced.set(rows, table)
    this.#flushSoon()
  }

  work(step: () => boolean): void {
    this.#work.add({ step })
  }

  nodesWith(table: string): readonly string[] {
    return [...this.core.peers.values()].filter(({ tables }) => tables?.has(table)).map(({ node }) => node)
  }

  // Messages

  #handle(state: PeerState, message: OwnedMessage): void {
    switch (message.tag) {
      case 'hello':
        state.hadAtFirst = message.have
        state.told(message.have)
        this.#tablesOf(state, message.tables)
        this.#flushSoon()
        break
      case 'copies':
        this.#tablesOf(state, message.tables)
        break
      case 'have':
        state.told(message.have)
        this.#sources.choose()
        break
      case 'feed':
        this.#asked(state, message)
        break
      case 'stop':
        this.#stopped(state, message.id)
        break
      case 'repair': {
        const feed = state.feedsOut.get(message.id)
        feed?.repair(message.buckets)
        if (feed !== undefined) this.#pump(feed)
        break
      }
      case 'ack':
        for (const [id, bytes, seq] of message.feeds) this.#acknowledged(state, id, bytes, seq)
        break
      default:
        if (this.#sources.receive(state, message)) this.#flushSoon()
    }
  }

  #tablesOf(state: PeerState, names: readonly string[]): void {
    const former = state.tables
    state.tables = new Set(names)
    for (const [name, table] of this.core.tables) {
      const hadIt = former?.has(name)
      if (!state.tables.has(name)) {
        table.confirmations.excuse(state.node)
        // After a hello without it they only hide: the member may be about to create the table.
        if (hadIt === true) this.#forget(table, state.node)
        else table.setVisible(state.node, false)
      } else if (hadIt === false && table.copy !== 'none') {
        this.#expect(state, table)
        this.core.send(state, { tag: 'have', have: this.#progress.allFor(state, [table]) })
      }
      this.#progress.tell(table, state.node)
    }
    this.#sources.choose()
  }

  #asked(state: PeerState, { id, table: name, owner, epoch, seq }: FeedRequest): void {
    const table = this.core.tables.get(name)
    // Who asks will hear that there is no copy here, or has heard it by now.
    if (table === undefined || table.copy === 'none') return
    const feed = new FeedOut(this.core, table, owner, state.peer, id, { epoch, seq })
    state.feedsOut.set(id, feed)
    const { node } = this.core.links
    if (owner === node && epoch === table.of(node)!.epoch) table.confirmations.confirm(state.node, seq)
    this.#pump(feed)
  }

  #stopped(state: PeerState, id: number): void {
    const feed = state.feedsOut.get(id)
    if (feed === undefined) return
    state.feedsOut.delete(id)
    this.#work.delete(feed)
  }

  #acknowledged(state: PeerState, id: number, bytes: number, seq: number): void {
    const feed = state.feedsOut.get(id)
    if (feed === undefined) return
    feed.acknowledge(bytes)
    if (feed.owner === this.core.links.node) feed.table.confirmations.confirm(state.node, seq)
    this.#pump(feed)
  }

  // Sending

  /** Sends what a feed has to send, as far as the window and this turn allow. */
  #pump(feed: FeedOut): void {
    let step = feed.step()
    while (step === 'entries') step = feed.step()
    if (step === 'rows') this.#work.add(feed)
  }

  #flushSoon(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    this.core.links.atTurnEnd(this)
  }

  #acknowledge(state: PeerState): void {
    if (state.unacknowledged.size === 0) return
    const feeds = [...state.unacknowledged].map((feed) => [feed.id, feed.bytes, feed.seq] as const)
    state.unacknowledged.clear()
    this.core.send(state, { tag: 'ack', feeds })
  }

  /** Has all who are fed compare. */
  #check(): void {
    this.#stopChecks = this.core.links.setTimer(this.core.limits.checkMs, () => this.#check())
    this.#membersMayHaveChanged()
    for (const { feedsOut } of this.core.peers.values()) {
      for (const feed of feedsOut.values()) {
        feed.check()
        this.#pump(feed)
      }
    }
  }

  // Members and copies

  /** From now on a peer has to confirm what is written to a table, as far as it is not known to have no copy. */
  #expect(state: PeerState, table: AnyTable): void {
    if (table.copy === 'none') return
    table.confirmations.up(state.node)
    if (state.tables?.has(table.definition.name) === false) table.confirmations.excuse(state.node)
  }

  #copies(): string[] {
    return [...this.core.tables].filter(([, { copy }]) => copy !== 'none').map(([name]) => name)
  }

  #copiesChanged(): void {
    const tables = this.#copies()
    for (const state of this.core.peers.values()) this.core.send(state, { tag: 'copies', tables })
    this.#sources.choose()
  }

  /** Ends all feeds of a table, in and out. Who is fed hears it from `copies`. */
  #endFeeds(table: AnyTable): void {
    this.#sources.keep((feed) => feed.table !== table)
    for (const state of this.core.peers.values()) {
      for (const feed of [...state.feedsOut.values()]) if (feed.table === table) this.#stopped(state, feed.id)
    }
  }

  #forget(table: AnyTable, owner: string): void {
    this.#sources.keep((feed) => feed.table !== table || feed.owner !== owner)
    table.forget(owner)
    this.#progress.tell(table, owner)
  }

  #membersMayHaveChanged(): void {
    const { members, links } = this.core
    const now = links.members()
    if (now === members) return
    if (now.length !== members.length || now.some((node, i) => node !== members[i])) this.membersChanged()
  }
}
