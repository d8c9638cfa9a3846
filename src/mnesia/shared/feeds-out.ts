/**
 * What this node sends of its log: to each peer the origins that it has asked for, from where it asked.
 *
 * A feed is a place in the log, not a queue. Chunks are cut from the log as long as the peer has fewer than a window of bytes that it has not
 * acknowledged. A feed that finds that the log does not reach back says so, and goes on where the log begins.
 */

import { LogCursor } from '../entry-log.ts'
import type { Core } from './core.ts'
import type { FeedRequest } from './messages.ts'
import type { Origin } from './origin.ts'
import type { PeerState } from './peer-state.ts'

interface Feed {
  readonly id: number
  readonly cursor: LogCursor<Origin>
  sentBytes: number
  ackedBytes: number
}

export class FeedsOut {
  readonly #core: Core
  readonly #feeds = new Map<PeerState, Map<number, Feed>>()

  constructor(core: Core) {
    this.#core = core
  }

  /** Bytes that a peer has not acknowledged. */
  unacknowledged(peer: PeerState): number {
    let bytes = 0
    for (const { sentBytes, ackedBytes } of this.#feeds.get(peer)?.values() ?? []) bytes += sentBytes - ackedBytes
    return bytes
  }

  start(peer: PeerState, { id, node, epoch, from }: FeedRequest): void {
    let feeds = this.#feeds.get(peer)
    if (feeds === undefined) {
      feeds = new Map()
      this.#feeds.set(peer, feeds)
    }
    const cursor = new LogCursor(this.#core.origins.of(node, epoch), Math.max(1, from))
    feeds.set(id, { id, cursor, sentBytes: 0, ackedBytes: 0 })
  }

  stop(peer: PeerState, id: number): void {
    this.#feeds.get(peer)?.delete(id)
  }

  /** Returns the origin of the feed; undefined when there is no such feed any more. */
  acknowledged(peer: PeerState, id: number, bytes: number): Origin | undefined {
    const feed = this.#feeds.get(peer)?.get(id)
    if (feed === undefined) return undefined
    feed.ackedBytes = Math.max(feed.ackedBytes, Math.min(bytes, feed.sentBytes))
    return feed.cursor.stream
  }

  down(peer: PeerState): void {
    this.#feeds.delete(peer)
  }

  /** Sends to everyone what there is and fits into its window. */
  pump(): void {
    for (const [peer, feeds] of this.#feeds) {
      let room = this.#core.limits.windowBytes - this.unacknowledged(peer)
      for (const feed of feeds.values()) {
        if (room <= 0) break
        room -= this.#pumpFeed(peer, feed, room)
      }
    }
  }

  /** Returns how many bytes it has sent. */
  #pumpFeed(peer: PeerState, feed: Feed, room: number): number {
    const { log, self, sendable, vector, limits } = this.#core
    const { cursor } = feed
    const last = cursor.stream === self ? sendable : vector.seqOf(cursor.stream)
    const before = feed.sentBytes
    while (feed.sentBytes - before < room) {
      const read = log.read(cursor, last, limits.chunkBytes)
      if (read === undefined) break
      if (typeof read === 'number') {
        peer.send({ tag: 'gap', id: feed.id, first: read })
        continue
      }
      feed.sentBytes += read.bytes.length
      peer.send({ tag: 'entries', id: feed.id, first: read.first, bytes: read.bytes })
    }
    return feed.sentBytes - before
  }
}
