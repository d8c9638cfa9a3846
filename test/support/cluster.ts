/** Nodes of one cluster, for tests with real nodes. */
import type { PublishPacket } from '../../src/broker/packet.ts'
import type { Peer, PeerOptions, Peers } from './peer.ts'
import type { RawClient } from './raw-client.ts'

/** Starts nodes, each of which joins the first; resolves when every two of them are linked. */
export async function startCluster(peers: Peers, names: readonly string[], options: PeerOptions = {}): Promise<Peer[]> {
  const [first, ...others] = names
  const nodes = [await peers.start(first!, options)]
  const args = [...(options.args ?? []), '--join', first!]
  nodes.push(...(await Promise.all(others.map((name) => peers.start(name, { ...options, args })))))
  // Whoever is connected when a node joins is disconnected, unless that was before there could be clients.
  for (const node of nodes.slice(1)) {
    await Promise.any([
      node.logged('clients of this node are disconnected'),
      node.logged('is a member of a cluster with'),
    ])
  }
  for (const node of nodes) {
    await Promise.all(names.filter((name) => name !== node.name).map((name) => node.logged(`${name} is linked`)))
  }
  return nodes
}

/** Takes PUBLISHes until `count` have come, and acknowledges each to its end. Several may be under way. */
export async function take(client: RawClient, count: number): Promise<PublishPacket[]> {
  const taken: PublishPacket[] = []
  let unreleased = 0
  while (taken.length < count || unreleased > 0) {
    const packet = await client.next()
    if (packet === 'closed') throw new Error(`${client.clientId}: closed after ${taken.length} of ${count} messages`)
    if (packet.cmd === 'pubrel') {
      client.send({ cmd: 'pubcomp', messageId: packet.messageId })
      unreleased -= 1
    }
    if (packet.cmd !== 'publish') continue
    taken.push(packet)
    const { messageId, qos } = packet
    if (qos === 1) client.send({ cmd: 'puback', messageId: messageId! })
    else if (qos === 2) {
      client.send({ cmd: 'pubrec', messageId: messageId! })
      unreleased += 1
    }
  }
  return taken
}
