/** Nodes of one cluster, for tests with real nodes. */
import type { Peer, PeerOptions, Peers } from './peer.ts'

/** Starts nodes, each of which joins the first; resolves when every two of them are linked. */
export async function startCluster(peers: Peers, names: readonly string[], options: PeerOptions = {}): Promise<Peer[]> {
  const [first, ...others] = names
  const nodes = [await peers.start(first!, options)]
  const args = [...(options.args ?? []), '--join', first!]
  nodes.push(...(await Promise.all(others.map((name) => peers.start(name, { ...options, args })))))
  for (const node of nodes) {
    await Promise.all(names.filter((name) => name !== node.name).map((name) => node.logged(`${name} is linked`)))
  }
  return nodes
}
