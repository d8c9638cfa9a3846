/**
 * Full mesh among our own nodes: a node that connects learns of the others, and connects to them as well; a connection that was
 * lost is tried again.
 *
 * The process is registered as `agner_mesh` on every visible node of ours and nowhere else: Erlang drops what is sent to a name
 * that it does not have, so what is sent on every nodeup tells our nodes from others. Without the second part two nodes that
 * lose only their own connection would stay apart while both still talk to all others. A node that leaves on purpose says so
 * before, and is left alone. Erlang's own nodes make their mesh by `global`, in which our nodes take no part.
 */
import { type GenServer, genServer, ok } from '../actors/gen-server.ts'
import type { ProcessContext } from '../actors/process.ts'
import type { Ref } from '../actors/ref.ts'
import { type Distribution, distributionOf } from './distribution.ts'
import { BYE, MESH, PEERS, peersMessage } from './mesh-protocol.ts'
import { monitorNodes, type NodedownMessage, type NodeupMessage } from './net-kernel.ts'
import { NOCONNECT } from './noconnect.ts'
import { canTalk } from './node-name.ts'
import { Atom, Tuple } from './term.ts'

/** A list that is longer is no list of nodes. */
const MAX_PEERS = 10_000

/** A lost node is tried again after these pauses; the last one is repeated. */
const FIRST_RETRY_MS = 1000
const LAST_RETRY_MS = 30_000
/** It is given up after about ten minutes: then whoever comes back dials. */
const MAX_RETRIES = 24

interface State {
  readonly distribution: Distribution
  /** Connected nodes that are ours. */
  readonly own: Set<string>
  /** Timers of lost nodes that are to be tried again, by node. */
  readonly retries: Map<string, Ref>
}

interface Retry {
  readonly tag: 'retry'
  readonly node: string
  readonly retries: number
}

// biome-ignore lint/complexity/noBannedTypes: no requests at all
type None = {}

/** The server; started by `startDistribution` on visible nodes. */
export const mesh: GenServer<State, None, None, undefined> = genServer<State, None, None, undefined>({
  label: MESH,
  init: (_arg, self) => {
    self.processFlag('trap_exit', true)
    monitorNodes(self)
    const distribution = distributionOf(self.runtime)!
    const state: State = { distribution, own: new Set(), retries: new Map() }
    for (const node of distribution.nodes()) tell(self, state, node)
    return ok(state)
  },
  info: ({ state, self }, message) => {
    if (message instanceof Tuple) heard(self, state, message)
    else if (isNodeEvent(message)) changed(self, state, message)
    else if (isRetry(message)) retry(self, state, message)
  },
})

function changed(self: ProcessContext, state: State, event: NodeupMessage | NodedownMessage): void {
  if (event.tag === 'nodeup') {
    tell(self, state, event.node)
    forgetRetry(self, state, event.node)
  } else if (state.own.delete(event.node) && event.reason !== 'disconnect') {
    retryLater(self, state, event.node, 0)
  }
}

function forgetRetry(self: ProcessContext, { retries }: State, node: string): void {
  const timer = retries.get(node)
  if (timer === undefined) return
  retries.delete(node)
  self.cancelTimer(timer)
}

function retryLater(self: ProcessContext, state: State, node: string, retries: number): void {
  forgetRetry(self, state, node)
  const pauseMs = Math.min(FIRST_RETRY_MS * 2 ** retries, LAST_RETRY_MS)
  // Spread, so that the nodes that lost the same one do not all come at once.
  const inMs = pauseMs * (0.5 + self.runtime.random() / 2)
  state.retries.set(node, self.sendAfter(inMs, self.pid, { tag: 'retry', node, retries } satisfies Retry))
}

function retry(self: ProcessContext, state: State, { node, retries }: Retry): void {
  const { distribution } = state
  state.retries.delete(node)
  if (distribution.isConnected(node)) return
  void distribution.connect(node).then((isUp) => {
    if (!isUp && retries < MAX_RETRIES && self.runtime.whereis(MESH)?.equals(self.pid)) {
      retryLater(self, state, node, retries + 1)
    }
  })
}

function heard(self: ProcessContext, state: State, message: Tuple): void {
  const [tag, sender, peers] = message.elements
  if (tag === BYE && sender instanceof Atom) state.own.delete(sender.name)
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
  self.send({ name: MESH, node }, peersMessage(self.runtime.node.name, others), NOCONNECT)
}

function isRetry(message: unknown): message is Retry {
  const { tag, node, retries } = (typeof message === 'object' && message !== null ? message : {}) as Partial<Retry>
  return tag === 'retry' && typeof node === 'string' && typeof retries === 'number'
}

function isNodeEvent(message: unknown): message is NodeupMessage | NodedownMessage {
  const { tag, node } = (typeof message === 'object' && message !== null ? message : {}) as Partial<NodeupMessage>
  return ((tag as string) === 'nodeup' || (tag as string) === 'nodedown') && typeof node === 'string'
}
