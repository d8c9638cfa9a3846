/**
 * The process `rex`, which answers the calls of OTP's `rpc` that do not come as spawn requests [OTP rpc].
 *
 * In: the gen_server calls `{call | block_call, M, F, A, GroupLeader}`, the cast `{cast, M, F, A, GroupLeader}`, and raw messages
 * `{From, {call, M, F, A, GroupLeader}}` of C nodes, answered by `{rex, Result}` (`erl_call` sends those),
 * `{From, features_request}`, `{From, {sbcast, Name, Msg}}` and `{From, {send, Name, Msg}}`. Only exported functions run; each in a
 * process of its own (remote-calls.ts). Started by the distribution, under the name by which peers know it.
 */
import { type From, reply } from '../actors/gen.ts'
import { genServer, noreply, ok } from '../actors/gen-server.ts'
import { Pid } from '../actors/pid.ts'
import type { ProcessContext } from '../actors/process.ts'
import { messageFromTerm } from './envelope.ts'
import { reasonToTerm } from './exit-reason.ts'
import { NOCONNECT } from './noconnect.ts'
import type { CallOutcome, RemoteCalls } from './remote-calls.ts'
import { atom, atomName, isTuple, type Tuple, tuple } from './term.ts'

/** The name of the process, as peers know it. */
export const REX = 'rex'

type Calls = {
  call: (module: unknown, name: unknown, args: unknown, groupLeader: unknown) => unknown
  block_call: (module: unknown, name: unknown, args: unknown, groupLeader: unknown) => unknown
}

type Casts = { cast: (module: unknown, name: unknown, args: unknown, groupLeader: unknown) => void }

/** The server; its argument runs the functions. */
export const rpcServer = genServer<RemoteCalls, Calls, Casts, RemoteCalls>({
  label: 'rpc',
  init: (calls, self) => {
    self.processFlag('trap_exit', true)
    return ok(calls)
  },
  calls: {
    call: ({ state, self, from }, ...request) => {
      void answerLater(state, self, from, request)
      return noreply(state)
    },
    // No other call is taken until this one has ended.
    block_call: ({ state, self, from }, ...request) =>
      answerLater(state, self, from, request).then(() => noreply(state)),
  },
  casts: {
    cast: ({ state }, module, name, args, groupLeader) => state.call(module, name, args, groupLeader, () => {}),
  },
  info: ({ state, self }, message) => {
    if (!isTuple(message, 2)) return
    const [from, request] = message.elements
    if (from instanceof Pid) answerRaw(state, self, from, request)
  },
  formatState: (calls) => ({ running: calls.running }),
})

/** What `rpc:call` returns for an outcome: the value, what was thrown, or `{badrpc, {'EXIT', Reason}}`. */
function rpcResult(outcome: CallOutcome): unknown {
  if (outcome.ok) return outcome.value
  if ('signal' in outcome) return badrpc(reasonToTerm(outcome.signal))
  const { class: exceptionClass, reason } = outcome.error
  switch (exceptionClass) {
    case 'throw':
      return reason
    case 'exit':
      return badrpc(reason)
    case 'error':
      return badrpc(tuple(reason, outcome.stack))
  }
}

function badrpc(reason: unknown): Tuple {
  return tuple(atom('badrpc'), tuple(atom('EXIT'), reason))
}

function answerLater(
  calls: RemoteCalls,
  self: ProcessContext,
  from: From,
  [module, name, args, groupLeader]: Parameters<Calls['call']>,
): Promise<void> {
  const { runtime } = self
  return new Promise((resolve) => {
    calls.call(module, name, args, groupLeader, (outcome) => {
      if (runtime.process(self.pid) !== undefined) reply(self, from, rpcResult(outcome), NOCONNECT)
      resolve()
    })
  })
}

function answerRaw(calls: RemoteCalls, self: ProcessContext, from: Pid, request: unknown): void {
  const node = atom(self.runtime.node.name)
  if (atomName(request) === 'features_request') {
    self.send(from, tuple(atom('features_reply'), node, [atom('erpc')]), NOCONNECT)
  } else if (isTuple(request, 5) && atomName(request.elements[0]) === 'call') {
    const [, module, name, args, groupLeader] = request.elements
    const { runtime } = self
    calls.call(module, name, args, groupLeader, (outcome) => {
      if (runtime.process(self.pid) !== undefined) self.send(from, tuple(atom(REX), rpcResult(outcome)), NOCONNECT)
    })
  } else if (isTuple(request, 3)) {
    const [what, name, message] = request.elements
    const to = atomName(name)
    const isBroadcast = atomName(what) === 'sbcast'
    if (to === undefined || !(isBroadcast || atomName(what) === 'send')) return
    const isKnown = self.runtime.whereis(to) !== undefined
    if (isKnown) self.send(to, messageFromTerm(isBroadcast ? message : tuple(from, message)))
    if (!isKnown) self.send(from, tuple(atom(REX), node, tuple(atom('nonexisting_name'), name)), NOCONNECT)
    else if (isBroadcast) self.send(from, tuple(atom(REX), node, node), NOCONNECT)
  }
}
