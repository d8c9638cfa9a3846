/**
 * The nodes that a runtime can reach: who is connected, and who comes and goes.
 *
 * Whatever needs other nodes, beside sending signals to them, asks this interface: `Distribution` is it over Erlang's protocol,
 * and the light network of `simulate()` (src/testing) is it in memory, so that the same code runs on both.
 */
import type { Runtime } from '../actors/runtime.ts'
import type { NodedownReason } from './connection.ts'

export type NodeEvent =
  | { readonly tag: 'nodeup'; readonly node: string; readonly hidden: boolean }
  | { readonly tag: 'nodedown'; readonly node: string; readonly hidden: boolean; readonly reason: NodedownReason }

/** Which nodes `nodes` lists [OTP erlang:nodes/1]. `known`: this node, and those to which a connection is under way, as well. */
export type NodeKind = 'visible' | 'hidden' | 'connected' | 'known' | 'this'

export interface NodeNetwork {
  /** Connected nodes, visible ones unless another kind is asked for. */
  nodes(kind?: NodeKind): string[]
  isConnected(node: string): boolean
  /** Resolves with whether the node is connected; it is then, or was before. Never rejects. */
  connect(node: string): Promise<boolean>
  /** Ends a connection on purpose; false when there was none. */
  disconnect(node: string): boolean
  /**
   * Calls `listener` for every node that comes or goes; returns what ends that. A nodeup is told before any signal of that node, a
   * nodedown after all of them. A node that comes back before its loss was noticed goes down first.
   */
  subscribe(listener: (event: NodeEvent) => void): () => void
}

/** The network of a runtime; undefined when it has none. */
export function nodeNetworkOf(runtime: Runtime): NodeNetwork | undefined {
  const remote = runtime.remote as Partial<NodeNetwork>
  return typeof remote.connect === 'function' && typeof remote.subscribe === 'function'
    ? (remote as NodeNetwork)
    : undefined
}
