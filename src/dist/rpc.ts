/**
 * rpc: calls of functions on other nodes, and the process `rex` that answers theirs [OTP rpc].
 *
 * Callers of Erlang since OTP 23 do not ask `rex` but spawn `erpc:execute_call/4` (spawn-for-peer.ts); older ones, `erl_call` and
 * our own ask here. A call that waits holds nobody up: the answer is given when it is there.
 */
import { Exit } from '../actors/errors.ts'
import { CALL_TIMEOUT_MS, call as genCall, cast as genCast, type Timeout } from '../actors/gen.ts'
import { type GenServer, genServer, noreply, ok, replyTo } from '../actors/gen-server.ts'
import { Pid } from '../actors/pid.ts'
import type { ProcessContext } from '../actors/process.ts'
import type { Runtime } from '../actors/runtime.ts'
import { apply, type Outcome } from './apply.ts'
import { reasonFromTerm } from './exit-reason.ts'
import type { Exports } from './exports.ts'
import { atom, atomName, Tuple, tuple } from './term.ts'

/** Registered name of the process, by which other nodes find it. */
export const REX = 'rex'

type Calls = {
  call: (module: unknown, name: unknown, args: unknown, groupLeader: unknown) => unknown
  block_call: (module: unknown, name: unknown, args: unknown, groupLeader: unknown) => unknown
}

type Casts = { cast: (module: unknown, name: unknown, args: unknown, groupLeader: unknown) => void }

/** The server; started by `startDistribution`. */
export const rex: GenServer<Exports, Calls, Casts, Exports> = genServer<Exports, Calls, Casts, Exports>({
  label: REX,
  init: (exported) => ok(exported),
  calls: {
    call: ({ state, self, from }, module, name, args) => {
      void answer(self.runtime, state, [module, name, args], (result) => replyTo(self.runtime, from, result))
      return noreply(state)
    },
    block_call: ({ state, self, from }, module, name, args) => {
      void answer(self.runtime, state, [module, name, args], (result) => replyTo(self.runtime, from, result))
      return noreply(state)
    },
  },
  casts: {
    cast: ({ state, self }, module, name, args) => {
      void apply(self.runtime, state, module, name, args)
      return noreply(state)
    },
  },
  info: ({ state, self }, message) => {
    if (message instanceof Tuple && message.length === 2) raw(self, state, message.elements[0], message.elements[1])
  },
  formatState: () => undefined,
})

/** What `erl_call` and old nodes send past gen_server. */
function raw(self: ProcessContext, state: Exports, from: unknown, request: unknown): void {
  if (!(from instanceof Pid)) return
  const { runtime } = self
  if (atomName(request) === 'features_request') {
    runtime.send(from, tuple(atom('features_reply'), atom(runtime.node.name), [atom('erpc')]))
  } else if (request instanceof Tuple && request.length === 5 && atomName(request.elements[0]) === 'call') {
    const [, module, name, args] = request.elements
    void answer(runtime, state, [module, name, args], (result) => runtime.send(from, tuple(atom(REX), result)))
  }
}

async function answer(
  runtime: Runtime,
  exported: Exports,
  [module, name, args]: readonly [unknown, unknown, unknown],
  send: (result: unknown) => void,
): Promise<void> {
  const outcome = await apply(runtime, exported, module, name, args)
  if (!runtime.stopped) send(outcome.tag === 'return' ? outcome.value : tuple(atom('badrpc'), exitOf(outcome)))
}

function exitOf(outcome: Exclude<Outcome, { tag: 'return' }>): Tuple {
  return tuple(atom('EXIT'), outcome.tag === 'exit' ? outcome.reason : tuple(outcome.reason, outcome.stack))
}

/**
 * Calls a function on a node; resolves with its result, a term. Rejects with `Exit`, reason `{ badrpc: … }`: `nodedown`, `timeout`,
 * or how the function ended [OTP rpc:call/5].
 */
export async function call(
  runtime: Runtime,
  node: string,
  module: string,
  name: string,
  args: readonly unknown[] = [],
  timeoutMs: Timeout = CALL_TIMEOUT_MS,
): Promise<unknown> {
  let result: unknown
  try {
    const request = ['call', atom(module), atom(name), args, atom('user')] as const
    result = await genCall(runtime, { name: REX, node }, request, timeoutMs)
  } catch (error) {
    throw error instanceof Exit ? new Exit({ badrpc: error.reason }) : error
  }
  if (result instanceof Tuple && result.length === 2 && atomName(result.elements[0]) === 'badrpc') {
    throw new Exit({ badrpc: badrpcReason(result.elements[1]) })
  }
  return result
}

/** `{'EXIT', Reason}` of a function that failed is `{ EXIT: reason }`. */
function badrpcReason(term: unknown): unknown {
  const isExit = term instanceof Tuple && term.length === 2 && atomName(term.elements[0]) === 'EXIT'
  return isExit ? { EXIT: reasonFromTerm(term.elements[1]) } : reasonFromTerm(term)
}

/** Has a function called on a node; nothing is heard of it [OTP rpc:cast/4]. */
export function cast(
  runtime: Runtime,
  node: string,
  module: string,
  name: string,
  args: readonly unknown[] = [],
): void {
  genCast(runtime, { name: REX, node }, ['cast', atom(module), atom(name), args, atom('user')])
}

/** What a call gave on one node. */
export type MulticallResult =
  | { readonly node: string; readonly ok: true; readonly value: unknown }
  | { readonly node: string; readonly ok: false; readonly reason: unknown }

/** Calls a function on several nodes at once; resolves with a result for each, in their order [OTP erpc:multicall/5]. */
export function multicall(
  runtime: Runtime,
  nodes: readonly string[],
  module: string,
  name: string,
  args: readonly unknown[] = [],
  timeoutMs: Timeout = CALL_TIMEOUT_MS,
): Promise<MulticallResult[]> {
  return Promise.all(
    nodes.map(async (node): Promise<MulticallResult> => {
      try {
        return { node, ok: true, value: await call(runtime, node, module, name, args, timeoutMs) }
      } catch (error) {
        return { node, ok: false, reason: error instanceof Exit ? error.reason : error }
      }
    }),
  )
}
