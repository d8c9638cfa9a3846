/**
 * Where the rows of the other members come from: for each table and owner one feed, or none.
 *
 * The source is the owner while it is connected; else a connected member that is connected to the owner; else one that has more of it than
 * we have. So rows of an owner that is down, or cut off from us, become the same on all who can talk to each other, whatever links
 * are missing, and nothing comes twice.
 */
import { Damaged } from '../binary.ts'
import { type AnyTable, type Core, keyOf, NOTHING } from './core.ts'
import { type AnyFeedIn, FeedIn } from './feed-in.ts'
import type { FeedMessage, Have } from './messages.ts'
import { comparePlaces } from './owner-rows.ts'
import type { PeerState } from './peer-state.ts'

export class Sources {
  readonly #core: Core
  /** By OWNER/TABLE. */
  readonly #feeds = new Map<string, AnyFeedIn>()
  /** Feeds that were damaged: all of it is asked for next time. By OWNER/TABLE. */
  readonly #damaged = new Set<string>()
  /** Of these, those that are not asked for yet. */
  readonly #paused = new Set<string>()
  #feedId = 0

  constructor(core: Core) {
    this.#core = core
  }

  /** Number of feeds. */
  get size(): number {
    return this.#feeds.size
  }

  /** Looks again where the rows of each other member come from. */
  choose(): void {
    const { tables, members, links } = this.#core
    for (const table of tables.values()) {
      if (table.copy === 'none') continue
      for (const owner of members) if (owner !== links.node) this.#chooseOne(table, owner)
    }
  }

  /** Takes in what a source has sent. Returns false for a feed that is not there any more. */
  receive(state: PeerState, message: FeedMessage): boolean {
    const feed = state.feedsIn.get(message.id)
    // Of a feed that has been stopped there may still come something.
    if (feed === undefined) return false
    try {
      feed.receive(message)
    } catch (error) {
      if (!(error instanceof Damaged)) throw error
      this.#foundDamaged(feed, error.reason)
      return false
    }
    state.unacknowledged.add(feed)
    return true
  }

  /** Ends the feeds that are none for `isWanted`. */
  keep(isWanted: (feed: AnyFeedIn) => boolean): void {
    for (const feed of [...this.#feeds.values()]) if (!isWanted(feed)) this.#stop(feed)
  }

  /** A link is down. */
  down(state: PeerState): void {
    for (const feed of state.feedsIn.values()) this.#ended(feed)
  }

  /** Rows are visible when their owner is connected in their epoch and is not known to have no copy. */
  show(table: AnyTable, owner: string): void {
    const state = this.#core.peers.get(owner)
    if (state === undefined || state.tables?.has(table.definition.name) === false) return
    if (table.of(owner)?.epoch === state.peer.epoch) table.setVisible(owner, true)
  }

  #chooseOne(table: AnyTable, owner: string): void {
    const key = keyOf(owner, table.definition.name)
    const current = this.#feeds.get(key)
    const source = this.#paused.has(key) ? undefined : this.#sourceOf(table, owner, current?.peer.node)
    if (current?.peer === source?.peer) return
    if (current !== undefined) this.#stop(current)
    if (source !== undefined) this.#start(source, table, owner, key)
  }

  #sourceOf(table: AnyTable, owner: string, current: string | undefined): PeerState | undefined {
    const { name } = table.definition
    const { peers } = this.#core
    const direct = peers.get(owner)
    // Before it has said hello it may still have rows that are newer than what anybody else can tell.
    if (direct !== undefined) return direct.tables?.has(name) ? direct : undefined
    const own = table.of(owner) ?? NOTHING
    let best: PeerState | undefined
    let bestHave: Have | undefined
    for (const state of peers.values()) {
      const have = state.tables?.has(name) ? state.have(name, owner) : undefined
      if (have === undefined) continue
      const [, , epoch, seq, isConnected] = have
      const isOfUse = isConnected || state.node === current || comparePlaces({ epoch, seq }, own) > 0
      if (!isOfUse || (bestHave !== undefined && !isBetter(have, bestHave, state.node === current))) continue
      best = state
      bestHave = have
    }
    return best
  }

  #start(state: PeerState, table: AnyTable, owner: string, key: string): void {
    const id = ++this.#feedId
    const feed = new FeedIn(this.#core, table, owner, state.peer, id, {
      begun: () => this.show(table, owner),
      repaired: (rows) => this.#repaired(feed, rows),
    })
    state.feedsIn.set(id, feed)
    this.#feeds.set(key, feed)
    // After damage all of it comes anew: what could not be read may have been replaced since.
    const { epoch, seq } = (this.#damaged.delete(key) ? undefined : table.of(owner)) ?? NOTHING
    this.#core.send(state, { tag: 'feed', id, table: table.definition.name, owner, epoch, seq })
  }

  #stop(feed: AnyFeedIn): void {
    this.#ended(feed)
    const state = this.#core.peers.get(feed.peer.node)
    if (state?.peer === feed.peer) this.#core.send(state, { tag: 'stop', id: feed.id })
  }

  /** A feed that will bring no more. */
  #ended(feed: AnyFeedIn): void {
    feed.end()
    const key = keyOf(feed.owner, feed.table.definition.name)
    if (this.#feeds.get(key) === feed) this.#feeds.delete(key)
    const state = this.#core.peers.get(feed.peer.node)
    if (state?.peer !== feed.peer) return
    state.feedsIn.delete(feed.id)
    state.unacknowledged.delete(feed)
  }

  #repaired(feed: AnyFeedIn, rows: number): void {
    const { counters, events, logger } = this.#core
    const table = feed.table.definition.name
    const from = feed.peer.node
    counters.repaired += rows
    logger.error({ table, owner: feed.owner, rows, from }, 'rows were not as they should have been, and are now')
    events.repaired?.(table, feed.owner, rows, from)
  }

  #foundDamaged(feed: AnyFeedIn, reason: string): void {
    const { counters, events, links, limits, logger } = this.#core
    const table = feed.table.definition.name
    const from = feed.peer.node
    const key = keyOf(feed.owner, table)
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
      this.choose()
    })
  }
}

/** Who is connected to the owner, then who has more; who is the source already stays when it is as good. */
function isBetter(have: Have, than: Have, isCurrent: boolean): boolean {
  if (have[4] !== than[4]) return have[4]
  // Who is connected gets it all, so how much it has at the moment does not count.
  const ahead = have[4] ? 0 : comparePlaces({ epoch: have[2], seq: have[3] }, { epoch: than[2], seq: than[3] })
  return ahead > 0 || (ahead === 0 && isCurrent)
}
