/**
 * `--join NODE`: this node connects to NODE when it starts, and whenever it is not connected to it, until it stops. The mesh
 * (src/dist/mesh.ts) then brings the nodes that NODE knows. It is all that joining means as long as nodes share no tables;
 * the membership of a cluster replaces this process.
 *
 * A connection that NODE ends on purpose, because it stops, is tried again too: it may be restarted. The log tells once that
 * NODE cannot be reached, and the distribution tells when it is up.
 */
import { type GenServer, genServer, ok } from '../actors/gen-server.ts'
import type { ProcessContext } from '../actors/process.ts'
import { connectNode, monitorNodes, type NodedownMessage, type NodeupMessage } from '../dist/net-kernel.ts'

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 10_000

interface State {
  readonly node: string
  /** Attempts that have failed since the node was last connected. */
  failures: number
}

type Own = { readonly tag: 'tried'; readonly isUp: boolean } | { readonly tag: 'try' }

// biome-ignore lint/complexity/noBannedTypes: no requests at all
type None = {}

/** The server; started with the name of the node to join. */
export const join: GenServer<State, None, None, string> = genServer<State, None, None, string>({
  label: 'join',
  init: (node, self) => {
    monitorNodes(self, 'all')
    attempt(self, node)
    return ok({ node, failures: 0 })
  },
  info: ({ state, self }, message) => {
    const known = message as Own | NodeupMessage | NodedownMessage
    if (known.tag === 'try') attempt(self, state.node)
    else if (known.tag === 'tried') tried(self, state, known.isUp)
    else if (known.tag === 'nodedown' && known.node === state.node) retryLater(self, state)
  },
})

function attempt(self: ProcessContext, node: string): void {
  const { pid, runtime } = self
  void connectNode(runtime, node).then((isUp) => runtime.send(pid, { tag: 'tried', isUp } satisfies Own))
}

function tried(self: ProcessContext, state: State, isUp: boolean): void {
  if (isUp) {
    state.failures = 0
    return
  }
  if (state.failures === 0) {
    self.runtime.logger.warn({ node: state.node }, `${state.node} cannot be reached; trying until it can`)
  }
  state.failures += 1
  retryLater(self, state)
}

function retryLater(self: ProcessContext, { failures }: State): void {
  const pauseMs = Math.min(FIRST_RETRY_MS * 2 ** Math.max(failures - 1, 0), LAST_RETRY_MS)
  // Spread, so that many nodes that join one do not all come at once.
  self.sendAfter(pauseMs * (0.5 + self.runtime.random() / 2), self.pid, { tag: 'try' } satisfies Own)
}
