/**
 * What this node takes in of the logs of others: for every origin from exactly one source.
 *
 * The source of an origin is the origin itself while it is connected. Else it is a connected member, rather one that is itself connected to the
 * origin, else one that has more of it than this node; and when a source has nothing more to give and another one has, the feed
 * moves. So entries of a node that is gone reach everyone through whoever has them, however the links lie, and nothing is sent twice.
 *
 * A chunk that does not begin where the last one ended, or whose bytes make no sense, ends the feed: it is asked for again from what has
 * been taken in, at once for a gap and after a while for bytes that cannot be read.
 */
import type { BinaryReader } from '../binary.ts'
import { EntryStream } from '../entry-log.ts'
import { msOf } from './clock.ts'
import { type Core, type Onlooker, TooFarAhead } from './core.ts'
import { compareOrigins, type Origin } from './origin.ts'
import type { PeerState } from './peer-state.ts'

interface Feed {
  readonly id: number
  readonly origin: Origin
  readonly source: PeerState
  readonly stream: EntryStream
  /** Number of the entry that comes next. */
  next: number
  receivedBytes: number
  /** When something last came. */
  lastMs: number
  isUnacknowledged: boolean
}

export interface FeedsInOptions {
  readonly core: Core
  readonly peers: ReadonlyMap<string, PeerState>
  /** Looks at what comes from a peer. */
  readonly onlooker: (peer: PeerState) => Onlooker | undefined
  readonly skewed: (node: string, aheadMs: number) => void
}

export class FeedsIn {
  readonly #core: Core
  readonly #peers: ReadonlyMap<string, PeerState>
  readonly #onlooker: FeedsInOptions['onlooker']
  readonly #skewed: FeedsInOptions['skewed']
  readonly #byOrigin = new Map<Origin, Feed>()
  readonly #byId = new Map<number, Feed>()
  /** Origins whose bytes could not be read, and since when nobody is asked for them. */
  readonly #resting = new Map<Origin, () => void>()
  #lastId = 0
  #isStale = false

  constructor(options: FeedsInOptions) {
    this.#core = options.core
    this.#peers = options.peers
    this.#onlooker = options.onlooker
    this.#skewed = options.skewed
  }

  /** Sources have to be chosen anew at the end of the turn. */
  replan(): void {
    this.#isStale = true
    this.#core.touch()
  }

  /** The source of an origin. */
  sourceOf(origin: Origin): string | undefined {
    return this.#byOrigin.get(origin)?.source.node
  }

  down(peer: PeerState): void {
    for (const feed of [...this.#byId.values()]) if (feed.source === peer) this.#forget(feed)
    this.replan()
  }

  stop(): void {
    for (const cancel of this.#resting.values()) cancel()
    this.#resting.clear()
  }

  received(peer: PeerState, id: number, first: number, bytes: Uint8Array): void {
    const feed = this.#byId.get(id)
    // What was under way when the feed was stopped.
    if (feed === undefined || feed.source !== peer) return
    const core = this.#core
    feed.lastMs = core.links.now()
    feed.receivedBytes += bytes.length
    feed.isUnacknowledged = true
    core.touch()
    if (first !== feed.next) {
      core.logger.warn({ origin: String(feed.origin), expected: feed.next, got: first }, 'hole in a feed')
      core.counters.damaged++
      this.#end(feed)
      this.replan()
      return
    }
    const onlooker = this.#onlooker(peer)
    try {
      feed.stream.add(bytes, (entry, body) => this.#take(feed, entry, body, onlooker))
    } catch (error) {
      this.#refused(feed, error)
    }
  }

  gap(peer: PeerState, id: number, first: number): void {
    const feed = this.#byId.get(id)
    if (feed === undefined || feed.source !== peer || first <= feed.next) return
    feed.next = first
    const core = this.#core
    core.counters.gaps++
    core.logger.info({ origin: String(feed.origin), first, from: peer.node }, 'the log of a peer does not reach back')
    core.skip(feed.origin, first - 1)
  }

  /** Starts and moves feeds, when that is called for, and acknowledges what has come in this turn. */
  flush(): void {
    if (this.#isStale) {
      this.#isStale = false
      for (const feed of [...this.#byId.values()]) if (this.#core.settled.has(feed.origin)) this.#end(feed)
      for (const origin of this.#wanted()) this.#choose(origin)
    }
    const acks = new Map<PeerState, [number, number, number][]>()
    for (const feed of this.#byId.values()) {
      if (!feed.isUnacknowledged) continue
      feed.isUnacknowledged = false
      const ack: [number, number, number] = [feed.id, feed.receivedBytes, this.#core.vector.seqOf(feed.origin)]
      const list = acks.get(feed.source)
      if (list === undefined) acks.set(feed.source, [ack])
      else list.push(ack)
    }
    for (const [peer, feeds] of acks) peer.send({ tag: 'ack', feeds })
  }

  #take(feed: Feed, entry: Buffer, body: BinaryReader, onlooker: Onlooker | undefined): void {
    const { origin } = feed
    const seq = feed.next
    const held = this.#core.vector.seqOf(origin)
    if (seq <= held) this.#core.counters.duplicates++
    else this.#core.take(origin, seq, entry, body, onlooker)
    feed.next = seq + 1
    feed.source.vector.advance(origin, seq, 0)
  }

  #refused(feed: Feed, error: unknown): void {
    const { counters, logger } = this.#core
    const origin = String(feed.origin)
    if (error instanceof TooFarAhead) {
      counters.refusedAhead++
      this.#skewed(feed.origin.node, msOf(error.clock) - this.#core.links.now())
    } else {
      counters.damaged++
      const reason = error instanceof Error ? error.message : (error as { readonly reason?: string }).reason
      logger.error({ origin, from: feed.source.node, seq: feed.next, reason }, 'an entry cannot be taken in')
    }
    this.#end(feed)
    this.#rest(feed.origin)
  }

  /** Nobody is asked for the origin for a while. */
  #rest(origin: Origin): void {
    this.#resting.get(origin)?.()
    const cancel = this.#core.links.setTimer(this.#core.limits.retryMs, () => {
      this.#resting.delete(origin)
      this.replan()
    })
    this.#resting.set(origin, cancel)
  }

  /** Origins that this node or a peer has heard of, in an order that is the same whenever they are the same. */
  #wanted(): Origin[] {
    const wanted = new Set<Origin>()
    for (const peer of this.#peers.values()) {
      if (!peer.isKnown) continue
      wanted.add(peer.origin)
      for (const origin of peer.vector.origins()) wanted.add(origin)
    }
    for (const origin of this.#byOrigin.keys()) wanted.add(origin)
    const { self, settled } = this.#core
    return [...wanted].filter((origin) => origin !== self && !settled.has(origin)).sort(compareOrigins)
  }

  #choose(origin: Origin): void {
    const feed = this.#byOrigin.get(origin)
    if (this.#resting.has(origin)) return
    const source = this.#sourceFor(origin, feed)
    if (source === feed?.source) return
    if (feed !== undefined) this.#end(feed)
    if (source !== undefined) this.#start(origin, source)
  }

  #sourceFor(origin: Origin, feed: Feed | undefined): PeerState | undefined {
    const itself = this.#peers.get(origin.node)
    if (itself?.isKnown && itself.origin === origin) return itself
    const candidates = [...this.#peers.values()].filter(({ isKnown, vector }) => isKnown && vector.has(origin))
    const best = candidates.sort((a, b) => compareSources(a, b, origin))[0]
    if (best === undefined || feed === undefined || !candidates.includes(feed.source)) return best
    const { links, vector, limits } = this.#core
    const held = vector.seqOf(origin)
    const isLinked = feed.source.isLinkedTo(origin)
    if (best.isLinkedTo(origin) && !isLinked) return best
    // A feed that flows stays where it is: what others tell of themselves is older than it.
    const isFlowing = links.now() - feed.lastMs < limits.progressMs
    const isExhausted = feed.source.vector.seqOf(origin) <= held && !isFlowing
    const richest = candidates.reduce((a, b) => (b.vector.seqOf(origin) > a.vector.seqOf(origin) ? b : a))
    return isExhausted && richest.vector.seqOf(origin) > held ? richest : feed.source
  }

  #start(origin: Origin, source: PeerState): void {
    const { vector, limits, disc, links } = this.#core
    const isNew = !vector.has(origin)
    if (isNew) {
      vector.set(origin, 0, 0)
      disc.moved(origin)
    }
    const from = vector.seqOf(origin) + 1
    const id = ++this.#lastId
    const stream = new EntryStream(limits.entryBytes + (1 << 20))
    const feed: Feed = {
      id,
      origin,
      source,
      stream,
      next: from,
      receivedBytes: 0,
      lastMs: links.now(),
      isUnacknowledged: false,
    }
    this.#byOrigin.set(origin, feed)
    this.#byId.set(id, feed)
    source.send({ tag: 'feed', id, node: origin.node, epoch: origin.epoch, from })
  }

  #end(feed: Feed): void {
    feed.source.send({ tag: 'stop', id: feed.id })
    this.#forget(feed)
  }

  #forget(feed: Feed): void {
    this.#byId.delete(feed.id)
    if (this.#byOrigin.get(feed.origin) === feed) this.#byOrigin.delete(feed.origin)
  }
}

/** Who is connected to the origin comes first, then who has most of it. */
function compareSources(a: PeerState, b: PeerState, origin: Origin): number {
  return (
    Number(b.isLinkedTo(origin)) - Number(a.isLinkedTo(origin)) ||
    b.vector.seqOf(origin) - a.vector.seqOf(origin) ||
    (a.node < b.node ? -1 : 1)
  )
}
