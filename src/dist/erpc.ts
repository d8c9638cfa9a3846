/**
 * erpc: calls a function of another node, and tells apart what it returned, what it threw and what became of the call [OTP erpc].
 *
 * The function runs there in a process of its own, started by a spawn request of `erpc:execute_call` that is monitored: the
 * exit reason of the process is the answer. Our own nodes and Erlang's answer alike; this node can be called, too. Arguments and
 * values are terms: an atom is `atom('ok')`, text from Erlang is a Buffer or a list (see term.ts).
 */
import { BadArgError } from '../actors/errors.ts'
import { type Caller, callerProcess, type Timeout } from '../actors/gen.ts'
import { type Distribution, distributionOf } from './distribution.ts'
import type { ExceptionClass } from './exports.ts'
import type { SpawnEnd } from './peer.ts'
import { atom, atomName, isTuple, Tuple, tuple } from './term.ts'

/**
 * Why a call did not return a value.
 *
 * | class | `reason` |
 * |---|---|
 * | `throw` | what the function threw |
 * | `exit` | `{exception, Reason}` when the function exited, `{signal, Reason}` when its process was ended |
 * | `error` | `{exception, Reason, Stack}`, or `{erpc, noconnection | timeout | system_limit | notsup}` when there was no call |
 */
export class ErpcError extends Error {
  override readonly name = 'ErpcError'
  readonly code = 'erpc'
  readonly class: ExceptionClass
  /** A term. */
  readonly reason: unknown

  constructor(exceptionClass: ExceptionClass, reason: unknown, what: string) {
    super(`${what}: ${exceptionClass}`)
    this.class = exceptionClass
    this.reason = reason
  }
}

/** Outcome of a call to one of several nodes. */
export type ErpcResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: ErpcError }

/**
 * Calls `module:name(...args)` on a node and resolves with its value; rejects with `ErpcError`. Throws `UnsendableError` when an
 * argument is no term. After `timeoutMs` the function may still be running [OTP erpc:call/5].
 */
export async function call(
  caller: Caller,
  node: string,
  module: string,
  name: string,
  args: readonly unknown[] = [],
  timeoutMs: Timeout = 'infinity',
): Promise<unknown> {
  const process = callerProcess(caller)
  const { runtime } = process
  const distribution = distributed(caller)
  if (!(timeoutMs === 'infinity' || timeoutMs >= 0)) throw new BadArgError(`${timeoutMs} is no timeout`)
  const res = runtime.makeRef()
  const what = `${module}:${name}/${args.length} on ${node}`
  const request = [res, atom(module), atom(name), args]
  const end = await new Promise<SpawnEnd>((resolve) => {
    let timer: object | undefined
    const abandon = distribution.spawnRequest(process, node, 'erpc', 'execute_call', request, (ended) => {
      if (timer !== undefined) runtime.timers.clear(timer)
      timer = undefined
      resolve(ended)
    })
    if (timeoutMs === 'infinity') return
    timer = runtime.timers.set(timeoutMs, () => {
      abandon()
      resolve({ tag: 'error', reason: 'timeout' })
    })
  })
  return resultOf(end, res, what)
}

/** Calls a function on a node without waiting for anything; fails in silence [OTP erpc:cast/4]. */
export function cast(caller: Caller, node: string, module: string, name: string, args: readonly unknown[] = []): void {
  const request = [atom(module), atom(name), args]
  distributed(caller).spawnRequest(callerProcess(caller), node, 'erpc', 'execute_cast', request, undefined)
}

/** Calls a function on several nodes at once; the results are in the order of the nodes [OTP erpc:multicall/5]. */
export function multicall(
  caller: Caller,
  nodes: readonly string[],
  module: string,
  name: string,
  args: readonly unknown[] = [],
  timeoutMs: Timeout = 'infinity',
): Promise<ErpcResult[]> {
  return Promise.all(
    nodes.map(async (node): Promise<ErpcResult> => {
      try {
        return { ok: true, value: await call(caller, node, module, name, args, timeoutMs) }
      } catch (error) {
        if (error instanceof ErpcError) return { ok: false, error }
        throw error
      }
    }),
  )
}

function distributed(caller: Caller): Distribution {
  const distribution = distributionOf(callerProcess(caller).runtime)
  if (distribution === undefined) throw new BadArgError('the runtime is not distributed')
  return distribution
}

/** The value of the call, or the exception of OTP's `erpc:call`. */
function resultOf(end: SpawnEnd, res: { equals(other: unknown): boolean }, what: string): unknown {
  if (end.tag === 'error') throw new ErpcError('error', tuple(atom('erpc'), atom(end.reason)), what)
  const { reason } = end
  if (reason instanceof Tuple && res.equals(reason.elements[0])) {
    const [, outcome, value, stack] = reason.elements
    switch (atomName(outcome)) {
      case 'return':
        return value
      case 'throw':
        throw new ErpcError('throw', value, what)
      case 'exit':
        throw new ErpcError('exit', tuple(atom('exception'), value), what)
      case 'error':
        // With three elements it is `{erpc, Why}`: the function was not called.
        throw new ErpcError('error', isTuple(reason, 4) ? tuple(atom('exception'), value, stack) : value, what)
    }
  }
  if (atomName(reason) === 'noconnection') throw new ErpcError('error', tuple(atom('erpc'), reason), what)
  throw new ErpcError('exit', tuple(atom('signal'), reason), what)
}
