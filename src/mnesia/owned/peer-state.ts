/** A linked member, as owned replication sees it: what it has told, and the feeds in both directions. */
import type { Peer } from '../link.ts'
import type { AnyFeedIn } from './feed-in.ts'
import type { FeedOut } from './feed-out.ts'
import type { Have } from './messages.ts'

export class PeerState {
  readonly peer: Peer
  /** Tables of which it has a copy; undefined before it has said hello. */
  tables: ReadonlySet<string> | undefined
  /** What it had when the link came up. */
  hadAtFirst: readonly Have[] = []
  /** Whether all of that is here. */
  isCaughtUp = false
  /** By the number that this node has given. */
  readonly feedsIn = new Map<number, AnyFeedIn>()
  /** By the number that the peer has given. */
  readonly feedsOut = new Map<number, FeedOut>()
  /** Feeds of which something has been taken in and not yet acknowledged. */
  readonly unacknowledged = new Set<AnyFeedIn>()
  readonly #have = new Map<string, Have>()

  constructor(peer: Peer) {
    this.peer = peer
  }

  get node(): string {
    return this.peer.node
  }

  /** How far it has got with an owner in a table; undefined when it has nothing. */
  have(table: string, owner: string): Have | undefined {
    return this.#have.get(`${owner}/${table}`)
  }

  told(have: readonly Have[]): void {
    for (const each of have) this.#have.set(`${each[1]}/${each[0]}`, each)
  }
}
