/**
 * The process `mnesia`: greets each node that connects, and takes what the other members send.
 *
 * In: `nodeup`, `nodedown`; the messages of greeting.ts from the processes of the same name; the call `join_request` of a node that
 * wants to join. It holds no state: that is in `Cluster`, which lives as long as the node. When it ends, all links are down;
 * when it is started again it greets everybody anew. It is never suspended by a slow connection, since what the parts send is bounded
 * by their windows.
 */
import { type GenServer, genServer, ok, reply } from '../../actors/gen-server.ts'
import { monitorNodes, type NodedownMessage, type NodeupMessage } from '../../dist/net-kernel.ts'
import { nodeNetworkOf } from '../../dist/node-network.ts'
import { type Cluster, MNESIA } from './cluster.ts'
import { answerJoin, type JoinAnswer } from './join-request.ts'

type Calls = { join_request: (request: unknown) => JoinAnswer }

// biome-ignore lint/complexity/noBannedTypes: no casts at all
type Casts = {}

/** The server; without distribution it has nobody to greet. */
export const linkProcess: GenServer<Cluster, Calls, Casts, Cluster> = genServer<Cluster, Calls, Casts, Cluster>({
  label: MNESIA,
  init: (cluster, self) => {
    self.processFlag('async_dist', true)
    const network = nodeNetworkOf(self.runtime)
    if (network !== undefined) {
      monitorNodes(self)
      cluster.open(network)
    }
    self.onExit(() => cluster.close())
    return ok(cluster)
  },
  calls: {
    join_request: ({ state }, request) => reply(answerJoin(state, request), state),
  },
  info: ({ state: cluster }, message) => {
    if (cluster.links.receive(message) || !isNodeEvent(message)) return
    if (message.tag === 'nodeup') cluster.links.nodeUp(message.node)
    else cluster.nodeDown(message.node)
  },
  formatState: ({ node, links }) => ({ node, members: links.members(), linked: links.connected() }),
})

function isNodeEvent(message: unknown): message is NodeupMessage | NodedownMessage {
  const { tag, node } = (typeof message === 'object' && message !== null ? message : {}) as Partial<NodeupMessage>
  return ((tag as string) === 'nodeup' || (tag as string) === 'nodedown') && typeof node === 'string'
}
