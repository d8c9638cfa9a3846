/**
 * Owned tables of a node and their replication: see docs/architecture/mnesia.md.
 *
 * Each node numbers the batches that it writes to a table: (epoch, seq). For every table of which it has a copy, and for every
 * other member, a node has at most one source of that member's rows: the member itself while it is connected, else a connected member that is
 * connected to it, or has more of it than we have. So rows of a member that is down or cut off from us are the same on all who can talk to each
 * other. It asks the source for a feed (feed-in.ts) and is asked for feeds (feed-out.ts).
 *
 * It knows nothing of processes: whoever holds the links calls it. Nothing is sent within a call but answers; what has been written goes out
 * at the end of the turn.
 */
import { Damaged } from '../binary.ts'
import type { CopyKind, TableDefinition } from '../definition.ts'
import type { LinkHandler, Peer } from '../link.ts'
import { type AnyRows, Core, type TableHost } from './core.ts'
import { type AnyFeedIn, FeedIn } from './feed-in.ts'
import { FeedOut } from './feed-out.ts'
import { type FeedMessage, type FeedRequest, type Have, isMessage, type OwnedMessage } from './messages.ts'
import { OwnedTable } from './owned-table.ts'
import { comparePlaces, type Place } from './owner-rows.ts'
import { PeerState } from './peer-state.ts'
import type { OwnedCounters, OwnedOptions } from './settings.ts'
import { Work } from './work.ts'

type AnyTable = OwnedTable<unknown>

/** The place of an owner of whom nothing is known. */
const NOTHING: Place = { epoch: 0, seq: 0 }

export class OwnedReplication implements LinkHandler, TableHost {
  readonly core: Core
  /** Called when `isCaughtUp` may have become true for some member. */
  onCaughtUp: (() => void) | undefined
  readonly #tables = new Map<string, AnyTable>()
  readonly #peers = new Map<string, PeerState>()
  /** Where rows come from, by OWNER/TABLE. */
  readonly #sources = new Map<string, AnyFeedIn>()
  /** Feeds that were damaged: all of it is asked for next time. By OWNER/TABLE. */
  readonly #damaged = new Set<string>()
  /** Of these, those that are not asked for yet. */
  readonly #paused = new Set<string>()
  readonly #work: Work
  /** Of the tables: whose rows have advanced in this turn. */
  readonly #advanced = new Map<AnyRows, string>()
  /** What members have been told last of an owner that is not connected here, by OWNER/TABLE. */
  readonly #announced = new Map<string, Have>()
  #members: readonly string[] = []
  #feedId = 0
  #isFlushing = false
  #stopChecks: (() => void) | undefined

  constructor(options: OwnedOptions) {
    this.core = new Core(options)
    this.#work = new Work(this.core.links)
    this.#members = this.core.links.members()
  }

  // Tables

  /** Makes a table; of a copy on disc the rows are there when it returns. At any time, links up or not. */
  open<Row>(definition: TableDefinition<Row>, copy: CopyKind = definition.copies): OwnedTable<Row> {
    const { name } = definition
    const table = new OwnedTable(this, definition, copy)
    this.#tables.set(name, table as AnyTable)
    for (const { owner } of table.owners()) if (!this.#isMember(owner)) table.forget(owner)
    for (const state of this.#peers.values()) this.#expect(state, table as AnyTable)
    this.#copiesChanged()
    return table
  }

  /** Ends a table for good: its rows are gone, from the disc as well, and its object is not used any more. */
  drop(name: string): void {
    const table = this.#tables.get(name)
    if (table === undefined) return
    this.#endFeeds(name)
    table.drop()
    table.confirmations.stop()
    this.#tables.delete(name)
    this.#copiesChanged()
  }

  /** Adds, removes or changes the copy of this node. Without one, reads throw an error that names the nodes which have one. */
  setCopy(name: string, copy: CopyKind): void {
    const table = this.#tables.get(name)
    if (table === undefined || table.copy === copy) return
    const had = table.copy !== 'none'
    if (copy === 'none') this.#endFeeds(name)
    table.setCopy(copy)
    if (had !== (copy !== 'none')) this.#copiesChanged()
  }

  /**
   * Forgets what came from the cluster, in memory and on disc; rows that this node owns stay, and begin the epoch that the links
   * have by now. No link is up.
   */
  reset(): void {
    for (const table of this.#tables.values()) table.reset()
    this.core.lastBatches.clear()
    this.#announced.clear()
    this.#damaged.clear()
  }

  /** To be called when the members are others: rows of who is none any more are removed. */
  membersChanged(): void {
    this.#members = this.core.links.members()
    for (const [name, table] of this.#tables) {
      for (const { owner } of table.owners()) if (!this.#isMember(owner)) this.#forget(name, table, owner)
    }
    this.#choose()
  }

  /** Whether all that a linked member had when its link came up is here. */
  isCaughtUp(node: string): boolean {
    const state = this.#peers.get(node)
    if (state?.tables === undefined) return false
    state.isCaughtUp ||= state.hadAtFirst.every((have) => this.#isHere(have, node))
    return state.isCaughtUp
  }

  /** How often what has happened. */
  get counters(): Readonly<OwnedCounters> {
    return this.core.counters
  }

  /** For observers and tests. */
  status() {
    const peers = [...this.#peers.values()]
    return {
      logBytes: this.core.log.bytes,
      feedsIn: this.#sources.size,
      feedsOut: peers.reduce((sum, { feedsOut }) => sum + feedsOut.size, 0),
      unacknowledgedBytes: peers.reduce(
        (sum, { feedsOut }) => [...feedsOut.values()].reduce((bytes, feed) => bytes + feed.unacknowledgedBytes, sum),
        0,
      ),
      /** Of the feed that has most of them. */
      mostUnacknowledgedBytes: Math.max(
        0,
        ...peers.flatMap(({ feedsOut }) => [...feedsOut.values()].map((feed) => feed.unacknowledgedBytes)),
      ),
      waiting: [...this.#tables.values()].reduce((sum, { confirmations }) => sum + confirmations.waiting, 0),
      work: this.#work.size,
    }
  }

  // Links

  up(peer: Peer): void {
    if (this.#peers.has(peer.node)) this.down(this.#peers.get(peer.node)!.peer)
    const state = new PeerState(peer)
    this.#peers.set(peer.node, state)
    this.#membersMayHaveChanged()
    this.#send(state, { tag: 'hello', tables: this.#copies(), have: this.#haveFor(peer.node) })
    for (const table of this.#tables.values()) {
      this.#expect(state, table)
      if (table.of(peer.node)?.epoch === peer.epoch) table.setVisible(peer.node, true)
      this.#announce(table, peer.node)
    }
    this.#choose()
    this.#stopChecks ??= this.core.links.setTimer(this.core.limits.checkMs, () => this.#check())
  }

  receive(peer: Peer, message: { readonly tag: string }): void {
    const state = this.#peers.get(peer.node)
    if (state?.peer !== peer) return
    if (isMessage(message)) this.#handle(state, message)
    else this.#damagedMessage(peer.node, message.tag)
  }

  down(peer: Peer): void {
    const state = this.#peers.get(peer.node)
    if (state?.peer !== peer) return
    this.#peers.delete(peer.node)
    for (const feed of state.feedsIn.values()) this.#ended(feed)
    for (const feed of state.feedsOut.values()) this.#work.delete(feed)
    for (const table of this.#tables.values()) {
      table.setVisible(peer.node, false)
      table.confirmations.down(peer.node)
      this.#announce(table, peer.node)
    }
    this.#membersMayHaveChanged()
    this.#choose()
    if (this.#peers.size > 0) return
    this.#stopChecks?.()
    this.#stopChecks = undefined
  }

  /** The end of the turn. */
  flush(): void {
    this.#isFlushing = false
    const advanced = [...this.#advanced]
    this.#advanced.clear()
    const names = new Map<string, Set<string>>()
    for (const [{ owner }, table] of advanced) names.set(table, (names.get(table) ?? new Set()).add(owner))
    for (const state of this.#peers.values()) {
      for (const feed of state.feedsOut.values()) {
        if (names.get(feed.table.definition.name)?.has(feed.owner)) this.#pump(feed)
      }
    }
    this.#tellWhatIsHad(advanced)
    for (const state of this.#peers.values()) this.#acknowledge(state)
    for (const state of this.#peers.values()) {
      if (!state.isCaughtUp && this.isCaughtUp(state.node)) this.onCaughtUp?.()
    }
  }

  // TableHost

  advanced(table: string, rows: AnyRows): void {
    if (this.#peers.size === 0) return
    this.#advanced.set(rows, table)
    this.#flushSoon()
  }

  work(step: () => boolean): void {
    this.#work.add({ step })
  }

  nodesWith(table: string): readonly string[] {
    return [...this.#peers.values()].filter(({ tables }) => tables?.has(table)).map(({ node }) => node)
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
        this.#choose()
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
        this.#fed(state, message)
    }
  }

  #tablesOf(state: PeerState, tables: readonly string[]): void {
    const former = state.tables
    state.tables = new Set(tables)
    for (const [name, table] of this.#tables) {
      const hadIt = former?.has(name)
      if (!state.tables.has(name)) {
        table.confirmations.excuse(state.node)
        // Not after a hello without it: the member may be about to create the table.
        if (hadIt === true) this.#forget(name, table, state.node)
      } else if (hadIt === false && table.copy !== 'none') {
        this.#expect(state, table)
        const owners = this.#members.filter((owner) => owner !== state.node)
        this.#send(state, { tag: 'have', have: owners.map((owner) => this.#haveOf(table, owner)) })
      }
    }
    this.#choose()
  }

  #asked(state: PeerState, { id, table: name, owner, epoch, seq }: FeedRequest): void {
    const table = this.#tables.get(name)
    if (table === undefined || table.copy === 'none') {
      this.#send(state, { tag: 'gone', id })
      return
    }
    const feed = new FeedOut(this.core, table, owner, state.peer, id, { epoch, seq })
    state.feedsOut.set(id, feed)
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

  #fed(state: PeerState, message: FeedMessage): void {
    const feed = state.feedsIn.get(message.id)
    // Of a feed that has been stopped there may still come something.
    if (feed === undefined) return
    if (message.tag === 'gone') {
      this.#ended(feed)
      if (feed.owner === state.node) this.#forget(feed.table.definition.name, feed.table, feed.owner)
      state.told([[feed.table.definition.name, feed.owner, 0, 0, false]])
      this.#choose()
      return
    }
    try {
      feed.receive(message)
    } catch (error) {
      if (!(error instanceof Damaged)) throw error
      this.#damagedFeed(feed, error.reason)
      return
    }
    state.unacknowledged.add(feed)
    this.#flushSoon()
  }

  // Sources

  /** Looks again where the rows of each other member come from. */
  #choose(): void {
    for (const [name, table] of this.#tables) {
      if (table.copy === 'none') continue
      for (const owner of this.#members) if (owner !== this.core.links.node) this.#chooseSource(name, table, owner)
    }
  }

  #chooseSource(name: string, table: AnyTable, owner: string): void {
    const key = `${owner}/${name}`
    const current = this.#sources.get(key)
    const source = this.#paused.has(key) ? undefined : this.#sourceOf(name, table, owner, current?.peer.node)
    if (current?.peer === source?.peer) return
    if (current !== undefined) this.#stop(current)
    if (source !== undefined) this.#start(source, table, owner)
  }

  /** The member that rows of an owner should come from; undefined when nobody has more than we have. */
  #sourceOf(name: string, table: AnyTable, owner: string, current: string | undefined): PeerState | undefined {
    const direct = this.#peers.get(owner)
    // Before it has said hello it may still have rows that are newer than what anybody else can tell.
    if (direct !== undefined) return direct.tables?.has(name) ? direct : undefined
    const own = table.of(owner)
    let best: PeerState | undefined
    let bestHave: Have | undefined
    for (const state of this.#peers.values()) {
      const have = state.tables?.has(name) ? state.have(name, owner) : undefined
      if (have === undefined) continue
      const [, , epoch, seq, isConnected] = have
      const isMore = comparePlaces({ epoch, seq }, own ?? NOTHING) > 0
      if (!isConnected && !isMore && state.node !== current) continue
      if (bestHave === undefined || isBetter(have, bestHave, state.node === current)) {
        best = state
        bestHave = have
      }
    }
    return best
  }

  #start(state: PeerState, table: AnyTable, owner: string): void {
    const key = `${owner}/${table.definition.name}`
    const id = ++this.#feedId
    const feed = new FeedIn(this.core, table, owner, state.peer, id, {
      installed: () => this.#installed(table, owner),
      repaired: (_, rows) => this.#repaired(feed, rows),
    })
    state.feedsIn.set(id, feed)
    this.#sources.set(key, feed)
    // After damage all of it comes anew: what could not be read may have been replaced since.
    const { epoch, seq } = (this.#damaged.delete(key) ? undefined : table.of(owner)) ?? NOTHING
    this.#send(state, { tag: 'feed', id, table: table.definition.name, owner, epoch, seq })
  }

  #stop(feed: AnyFeedIn): void {
    const state = this.#peers.get(feed.peer.node)
    this.#ended(feed)
    if (state?.peer === feed.peer) this.#send(state, { tag: 'stop', id: feed.id })
  }

  /** A feed that will bring no more. */
  #ended(feed: AnyFeedIn): void {
    feed.end()
    const key = `${feed.owner}/${feed.table.definition.name}`
    if (this.#sources.get(key) === feed) this.#sources.delete(key)
    const state = this.#peers.get(feed.peer.node)
    if (state?.peer !== feed.peer) return
    state.feedsIn.delete(feed.id)
    state.unacknowledged.delete(feed)
  }

  #installed(table: AnyTable, owner: string): void {
    const { epoch } = table.of(owner)!
    if (this.#peers.get(owner)?.peer.epoch === epoch) table.setVisible(owner, true)
  }

  #repaired(feed: AnyFeedIn, rows: number): void {
    const { counters, events, logger } = this.core
    const table = feed.table.definition.name
    counters.repaired += rows
    logger.error(
      { table, owner: feed.owner, rows, from: feed.peer.node },
      'rows were not as they should have been, and are now',
    )
    events.repaired?.(table, feed.owner, rows, feed.peer.node)
  }

  #damagedFeed(feed: AnyFeedIn, reason: string): void {
    const { counters, events, links, limits, logger } = this.core
    const table = feed.table.definition.name
    const from = feed.peer.node
    const key = `${feed.owner}/${table}`
    counters.damaged++
    logger.error(
      { table, owner: feed.owner, from, reason },
      'a member sent damaged rows; they are asked for again later',
    )
    events.damaged?.(table, feed.owner, from, reason)
    this.#stop(feed)
    this.#damaged.add(key)
    this.#paused.add(key)
    links.setTimer(limits.retryMs, () => {
      this.#paused.delete(key)
      this.#choose()
    })
  }

  #damagedMessage(from: string, tag: unknown): void {
    this.core.counters.damaged++
    this.core.logger.warn({ from, tag }, 'a message about owned tables that makes no sense')
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
    this.#send(state, { tag: 'ack', feeds })
  }

  /** Asks all who are fed to compare. */
  #check(): void {
    this.#stopChecks = this.core.links.setTimer(this.core.limits.checkMs, () => this.#check())
    this.#membersMayHaveChanged()
    for (const { feedsOut } of this.#peers.values()) {
      for (const feed of feedsOut.values()) {
        feed.check()
        this.#pump(feed)
      }
    }
  }

  /** Tells members how far we have got with owners that are not connected here. */
  #tellWhatIsHad(advanced: readonly (readonly [AnyRows, string])[]): void {
    for (const [{ owner }, name] of advanced) {
      const table = this.#tables.get(name)
      if (table !== undefined && owner !== this.core.links.node && !this.#peers.has(owner)) this.#announce(table, owner)
    }
  }

  #announce(table: AnyTable, owner: string): void {
    const have = this.#haveOf(table, owner)
    const key = `${owner}/${have[0]}`
    const former = this.#announced.get(key)
    if (former?.every((field, i) => field === have[i]) === true) return
    this.#announced.set(key, have)
    for (const state of this.#peers.values()) {
      if (state.node !== owner && state.tables?.has(have[0]) !== false) this.#send(state, { tag: 'have', have: [have] })
    }
  }

  #haveOf(table: AnyTable, owner: string): Have {
    const { epoch, seq } = table.of(owner) ?? NOTHING
    return [table.definition.name, owner, epoch, seq, this.#peers.has(owner) || owner === this.core.links.node]
  }

  /** All that a peer may want to know when its link comes up. */
  #haveFor(node: string): Have[] {
    const list: Have[] = []
    for (const table of this.#tables.values()) {
      if (table.copy === 'none') continue
      for (const owner of this.#members) if (owner !== node) list.push(this.#haveOf(table, owner))
    }
    return list
  }

  #isHere([name, owner, epoch, seq]: Have, from: string): boolean {
    const table = this.#tables.get(name)
    if (table === undefined || table.copy === 'none' || !this.#isMember(owner)) return true
    // What is connected here tells us itself.
    if (owner === this.core.links.node || (owner !== from && this.#peers.has(owner))) return true
    return comparePlaces(table.of(owner) ?? NOTHING, { epoch, seq }) >= 0
  }

  // Members and copies

  /** From now on a peer has to confirm what is written to a table, as far as it is not known to have no copy. */
  #expect(state: PeerState, table: AnyTable): void {
    if (table.copy === 'none') return
    table.confirmations.up(state.node, table.of(this.core.links.node)!.seq)
    if (state.tables?.has(table.definition.name) === false) table.confirmations.excuse(state.node)
  }

  #copies(): string[] {
    return [...this.#tables].filter(([, { copy }]) => copy !== 'none').map(([name]) => name)
  }

  #copiesChanged(): void {
    const tables = this.#copies()
    for (const state of this.#peers.values()) this.#send(state, { tag: 'copies', tables })
    this.#choose()
  }

  /** Ends all feeds of a table, in and out. */
  #endFeeds(name: string): void {
    for (const feed of [...this.#sources.values()]) if (feed.table.definition.name === name) this.#stop(feed)
    for (const state of this.#peers.values()) {
      for (const feed of [...state.feedsOut.values()]) {
        if (feed.table.definition.name !== name) continue
        this.#stopped(state, feed.id)
        this.#send(state, { tag: 'gone', id: feed.id })
      }
    }
  }

  #forget(name: string, table: AnyTable, owner: string): void {
    const feed = this.#sources.get(`${owner}/${name}`)
    if (feed !== undefined) this.#stop(feed)
    table.forget(owner)
    this.#announce(table, owner)
  }

  #isMember(node: string): boolean {
    return node === this.core.links.node || this.#members.includes(node)
  }

  #membersMayHaveChanged(): void {
    const members = this.core.links.members()
    if (members === this.#members) return
    const isSame = members.length === this.#members.length && members.every((node, i) => node === this.#members[i])
    if (!isSame) this.membersChanged()
  }

  #send(state: PeerState, message: OwnedMessage): void {
    state.peer.send(message)
  }
}

/** Who is connected to the owner, then who has more; who is the source already stays when it is as good. */
function isBetter(have: Have, than: Have, isCurrent: boolean): boolean {
  if (have[4] !== than[4]) return have[4]
  // Who is connected gets it all, so how much it has at the moment does not count.
  const ahead = have[4] ? 0 : comparePlaces({ epoch: have[2], seq: have[3] }, { epoch: than[2], seq: than[3] })
  return ahead > 0 || (ahead === 0 && isCurrent)
}
