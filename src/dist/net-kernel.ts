/**
 * net_kernel: the process by which a node answers for its distribution, and OTP's functions about nodes [OTP net_kernel].
 *
 * The work is in distribution.ts. The process is registered as `net_kernel`, answers `{is_auth, Node}`, which is all that
 * `net_adm:ping` asks, and stands for the distribution: when it ends, all connections end.
 */
import { BadArgError } from '../actors/errors.ts'
import { type GenServer, genServer, ok } from '../actors/gen-server.ts'
import type { ProcessContext } from '../actors/process.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { NodedownReason } from './connection.ts'
import type { Distribution } from './distribution.ts'
import { asyncReply } from './noconnect.ts'
import { type NodeEvent, type NodeKind, nodeNetworkOf } from './node-network.ts'
import { type Atom, atom } from './term.ts'

/** What a process that has called `monitorNodes` receives when a node has connected. */
export interface NodeupMessage {
  readonly tag: 'nodeup'
  readonly node: string
  readonly nodeType: 'visible' | 'hidden'
}

/** What it receives when a node is gone. */
export interface NodedownMessage {
  readonly tag: 'nodedown'
  readonly node: string
  readonly nodeType: 'visible' | 'hidden'
  readonly reason: NodedownReason
}

/** Which nodes to tell of. @default visible [OTP net_kernel:monitor_nodes/2, node_type] */
export type MonitoredNodes = 'visible' | 'hidden' | 'all'

type Calls = { is_auth: (node: unknown) => Atom }

// biome-ignore lint/complexity/noBannedTypes: no casts at all
type Casts = {}

/** The server; started by `startDistribution`. */
export const netKernel: GenServer<Distribution, Calls, Casts, Distribution> = genServer<
  Distribution,
  Calls,
  Casts,
  Distribution
>({
  label: 'net_kernel',
  init: (distribution, self) => {
    // Whoever links to it, as any node may, does not take the node with him.
    self.processFlag('trap_exit', true)
    self.onExit(() => void distribution.stop())
    return ok(distribution)
  },
  calls: {
    is_auth: ({ state, self, from }) => asyncReply(self, from, YES, state),
  },
  info: () => {},
  formatState: (distribution) => ({ nodes: distribution.nodes('connected'), hidden: distribution.hidden }),
})

const YES = atom('yes')

/** Connects to a node; resolves with whether it is connected then [OTP net_kernel:connect_node/1]. */
export function connectNode(runtime: Runtime, node: string): Promise<boolean> {
  return nodeNetworkOf(runtime)?.connect(node) ?? Promise.resolve(false)
}

/** Ends the connection to a node; false when there was none [OTP erlang:disconnect_node/1]. */
export function disconnectNode(runtime: Runtime, node: string): boolean {
  return nodeNetworkOf(runtime)?.disconnect(node) ?? false
}

/** The connected visible nodes, or those of another kind [OTP erlang:nodes/1]. */
export function nodes(runtime: Runtime, kind: NodeKind = 'visible'): string[] {
  return nodeNetworkOf(runtime)?.nodes(kind) ?? []
}

/**
 * The process receives a `NodeupMessage` or `NodedownMessage` for every node that comes or goes from now on, until it ends or calls the
 * function that is returned [OTP net_kernel:monitor_nodes/2]. A nodeup comes before any message from that node, a
 * nodedown after all of them. Throws `BadArgError` when the runtime is not distributed.
 */
export function monitorNodes(self: ProcessContext, which: MonitoredNodes = 'visible'): () => void {
  const network = nodeNetworkOf(self.runtime)
  if (network === undefined) throw new BadArgError('the runtime is not distributed')
  const { runtime, pid } = self
  const end = network.subscribe((event) => {
    const message = nodeMessage(event)
    if (which === 'all' || which === message.nodeType) runtime.send(pid, message)
  })
  self.onExit(end)
  return end
}

function nodeMessage(event: NodeEvent): NodeupMessage | NodedownMessage {
  const nodeType = event.hidden ? 'hidden' : 'visible'
  return event.tag === 'nodeup'
    ? { tag: 'nodeup', node: event.node, nodeType }
    : { tag: 'nodedown', node: event.node, nodeType, reason: event.reason }
}
