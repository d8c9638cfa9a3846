/**
 * Full mesh among our own nodes: a node that connects learns of the others, and connects to them as well.
 *
 * The process is registered as `agner_mesh` on every visible node of ours and nowhere else: Erlang drops what is sent to a name
 * that it does not have, so what is sent on every nodeup tells our nodes from others. The message is
 * `{peers, Node, [Peer]}`: the sender, and those that it knows to be ours. Erlang's own nodes make their mesh by
 * `global`, in which our nodes take no part.
 */
import { type GenServer, genServer, ok } from '../actors/gen-server.ts'
import type { ProcessContext } from '../actors/process.ts'
import { type Distribution, distributionOf } from './distribution.ts'
import { monitorNodes, type NodedownMessage, type NodeupMessage } from './net-kernel.ts'
import { canTalk } from './node-name.ts'
import { Atom, atom, Tuple, tuple } from './term.ts'

/** Registered name of the process. */
export const MESH = 'agner_mesh'

/** A list that is longer is no list of nodes. */
const MAX_PEERS = 10_000

interface State {
  readonly distribution: Distribution
  /** Connected nodes that are ours. */
  readonly own: Set<string>
}

// biome-ignore lint/complexity/noBannedTypes: no requests at all
type None = {}

/** The server; started by `startDistribution` on visible nodes. */
export const mesh: GenServer<State, None, None, undefined> = genServer<State, None, None, undefined>({
  label: MESH,
  init: (_arg, self) => {
    monitorNodes(self)
    const distribution = distributionOf(self.runtime)!
    const state: State = { distribution, own: new Set() }
    for (const node of distribution.nodes()) tell(self, state, node)
    return ok(state)
  },
  info: ({ state, self }, message) => {
    if (message instanceof Tuple) heard(self, state, message)
    else if (isNodeEvent(message)) changed(self, state, message)
  },
})

function changed(self: ProcessContext, state: State, event: NodeupMessage | NodedownMessage): void {
  if (event.tag === 'nodeup') tell(self, state, event.node)
  else state.own.delete(event.node)
}

function heard(self: ProcessContext, state: State, message: Tuple): void {
  const [tag, sender, peers] = message.elements
  if (message.length !== 3 || tag !== PEERS || !(sender instanceof Atom) || !Array.isArray(peers)) return
  const { distribution, own } = state
  if (!distribution.isConnected(sender.name) || peers.length > MAX_PEERS) return
  if (!own.has(sender.name)) {
    own.add(sender.name)
    for (const node of own) if (node !== sender.name) tell(self, state, node)
  }
  for (const peer of peers) {
    if (!(peer instanceof Atom) || !canTalk(self.runtime.node.name, peer.name)) continue
    if (peer.name !== self.runtime.node.name && !distribution.isConnected(peer.name))
      void distribution.connect(peer.name)
  }
}

function tell(self: ProcessContext, { own }: State, node: string): void {
  const others = [...own].filter((name) => name !== node)
  self.send({ name: MESH, node }, tuple(PEERS, atom(self.runtime.node.name), others.map(atom)))
}

const PEERS = atom('peers')

function isNodeEvent(message: unknown): message is NodeupMessage | NodedownMessage {
  const { tag, node } = (typeof message === 'object' && message !== null ? message : {}) as Partial<NodeupMessage>
  return ((tag as string) === 'nodeup' || (tag as string) === 'nodedown') && typeof node === 'string'
}
