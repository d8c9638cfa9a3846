/** The tables of a node as transactions use them. */
import type { Cluster } from '../schema/cluster.ts'
import type { SharedReplication } from '../shared/replication.ts'
import type { TransactionHost } from './transactions.ts'

/** `running`: the members that are linked, this node included, sorted. */
export function transactionHost(
  cluster: Cluster,
  shared: SharedReplication,
  running: () => readonly string[],
): TransactionHost {
  const { runtime, links, node } = cluster
  const appliedOf = (name: string, epoch: number): number =>
    shared.vector.find((progress) => progress[0] === name && progress[1] === epoch)?.[2] ?? 0
  return {
    runtime,
    running,
    members: () => links.members(),
    write: (parts, options) => shared.write(parts, options),
    appliedOf,
    position: () => [node, links.epoch, appliedOf(node, links.epoch)],
    flushed: () => cluster.store.flushed(),
  }
}
