/**
 * Closes holes that nobody can fill: when all members have been connected for a while and none of their copies has more.
 *
 * Then what is missing is gone, as ram copies of nodes that have all been restarted are. Before that a copy is compared with all of them once
 * more, since what came of a sync that was broken off is in no other way to be had.
 */
import type { Core } from './core.ts'
import type { PeerState } from './peer-state.ts'
import type { AnyReplica } from './replica.ts'
import type { SyncReceiver } from './sync-receiver.ts'

/** Rounds of reports after which all that peers have to say of their copies has been heard. */
const VAIN_TICKS = 3

export class VainHoles {
  readonly #core: Core
  readonly #peers: ReadonlyMap<string, PeerState>
  readonly #syncReceiver: SyncReceiver
  /** Copies whose holes seem to be vain, which are being compared with all others once more. */
  readonly #vain = new Set<AnyReplica>()

  constructor(core: Core, peers: ReadonlyMap<string, PeerState>, syncReceiver: SyncReceiver) {
    this.#core = core
    this.#peers = peers
    this.#syncReceiver = syncReceiver
  }

  /** A copy is gone. */
  dropped(replica: AnyReplica): void {
    this.#vain.delete(replica)
  }

  /** To be called with each round of reports. */
  close(): void {
    const { replicas, tables } = this.#core
    const peers = this.#allMembers()
    if (peers === undefined) this.#vain.clear()
    else if (!this.#syncReceiver.isBusy) {
      for (const name of tables.keys()) {
        const replica = replicas.get(name)
        if (replica !== undefined) this.#look(replica, peers)
      }
    }
  }

  /** All other members; undefined when one of them has not been connected for long enough. */
  #allMembers(): PeerState[] | undefined {
    const { links, self } = this.#core
    const peers: PeerState[] = []
    for (const member of links.members()) {
      if (member === self.node) continue
      const peer = this.#peers.get(member)
      if (peer?.isKnown !== true || peer.ticks < VAIN_TICKS) return undefined
      peers.push(peer)
    }
    return peers
  }

  #look(replica: AnyReplica, peers: readonly PeerState[]): void {
    const { name } = replica
    const holders = peers.filter(({ copies }) => copies.has(name))
    const others = holders.map(({ copies, vector }) => ({ coverage: copies.get(name)!, vector }))
    const vain = replica.coverage.vain(others)
    if (vain === undefined) this.#vain.delete(replica)
    else if (!this.#vain.has(replica)) {
      this.#vain.add(replica)
      this.#syncReceiver.opened(replica)
      this.#core.touch()
    } else if (holders.every((peer) => this.#syncReceiver.hasVisited(replica, peer))) {
      this.#vain.delete(replica)
      replica.coverage.closeVain(others)
      this.#core.coverageChanged(replica)
      for (const [origin, hole] of vain) this.#core.gone(name, origin, hole)
    }
  }
}
