/** What a node knows of a connected peer. */
import type { Peer } from '../link.ts'
import { Coverage } from './coverage.ts'
import type { SentCopy, SentLink, SharedMessage } from './messages.ts'
import type { Origin, Origins } from './origin.ts'
import { type SentProgress, Vector } from './vector.ts'

export class PeerState {
  readonly peer: Peer
  readonly node: string
  readonly epoch: number
  readonly origin: Origin
  /** It has said hello: before that nothing is known of it. */
  isKnown = false
  /** Rounds of reports since it is connected. */
  ticks = 0
  /** How far it has got, as far as it has told. */
  readonly vector = new Vector()
  /** Its copies and what they lack. */
  readonly copies = new Map<string, Coverage>()
  /** Incarnations that it is connected to: `NODE/EPOCH`. */
  links = new Set<string>()
  /** The vectors of both sides when they met, until what one of them had missed has arrived. */
  meeting: { readonly mine: Vector; readonly theirs: Vector } | undefined

  constructor(peer: Peer, origins: Origins) {
    this.peer = peer
    this.node = peer.node
    this.epoch = peer.epoch
    this.origin = origins.of(peer.node, peer.epoch)
  }

  send(message: SharedMessage): void {
    this.peer.send(message)
  }

  isLinkedTo(origin: Origin): boolean {
    return this.links.has(origin.toString())
  }

  tookVector(sent: readonly SentProgress[], origins: Origins): void {
    for (const [node, epoch, seq, clock] of sent) this.vector.advance(origins.of(node, epoch), seq, clock)
  }

  tookCopies(sent: readonly SentCopy[], origins: Origins): void {
    this.copies.clear()
    for (const [table, lacksSettled, holes] of sent) {
      this.copies.set(table, Coverage.fromSent(holes, lacksSettled, origins))
    }
  }

  tookLinks(sent: readonly SentLink[]): void {
    this.links = new Set(sent.map(([node, epoch]) => `${node}/${epoch}`))
  }
}
