/**
 * rpc: calls a function of another node; whatever goes wrong is one kind of result, `badrpc` [OTP rpc].
 *
 * As in OTP it stands on erpc, and what a function throws counts as its value. Arguments and values are terms.
 */
import { type Caller, callerProcess, type Timeout } from '../actors/gen.ts'
import * as erpc from './erpc.ts'
import { reasonFromTerm } from './exit-reason.ts'
import { atomName, type Tuple, tuple } from './term.ts'

/**
 * What a call gave; when it failed, OTP's reason of `{badrpc, Reason}`: `nodedown`, `timeout`, or how the function or its process
 * ended, `{ undef: … }` for one that is not there.
 */
export type RpcResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly reason: 'nodedown' | 'timeout' | { readonly EXIT: unknown } }

/** Outcome of `multicall`. */
export interface MulticallResult {
  /** Of the nodes that answered, in the order of the nodes. */
  readonly results: RpcResult[]
  /** Those that are down or did not answer in time. */
  readonly badNodes: string[]
}

/** Calls `module:name(...args)` on a node [OTP rpc:call/5]. Rejects only for misuse. */
export async function call(
  caller: Caller,
  node: string,
  module: string,
  name: string,
  args: readonly unknown[] = [],
  timeoutMs: Timeout = 'infinity',
): Promise<RpcResult> {
  try {
    return { ok: true, value: await erpc.call(caller, node, module, name, args, timeoutMs) }
  } catch (error) {
    if (error instanceof erpc.ErpcError) return badrpc(error)
    throw error
  }
}

/** A call that is under way: OTP's `async_call`. */
export interface AsyncCall {
  /** Waits for the result [OTP rpc:yield/1]. */
  yield(): Promise<RpcResult>
  /** The result if it is there within the time, else undefined; 0 looks once [OTP rpc:nb_yield/2]. */
  nbYield(timeoutMs: number): Promise<RpcResult | undefined>
}

/** Begins a call whose result is wanted later [OTP rpc:async_call/4]. */
export function asyncCall(
  caller: Caller,
  node: string,
  module: string,
  name: string,
  args: readonly unknown[] = [],
): AsyncCall {
  const { timers } = callerProcess(caller).runtime
  const result = call(caller, node, module, name, args)
  // Misuse is told to who asks for the result; nobody may ask.
  result.catch(() => {})
  return {
    yield: () => result,
    nbYield: (timeoutMs) =>
      new Promise((resolve, reject) => {
        const timer = timers.set(timeoutMs, () => resolve(undefined))
        result.then(resolve, reject).finally(() => timers.clear(timer))
      }),
  }
}

/** Calls a function on a node without waiting for anything; fails in silence [OTP rpc:cast/4]. */
export const cast = erpc.cast

/** Calls a function on several nodes at once [OTP rpc:multicall/5]. */
export async function multicall(
  caller: Caller,
  nodes: readonly string[],
  module: string,
  name: string,
  args: readonly unknown[] = [],
  timeoutMs: Timeout = 'infinity',
): Promise<MulticallResult> {
  const all = await Promise.all(nodes.map((node) => call(caller, node, module, name, args, timeoutMs)))
  const isBad = (result: RpcResult): boolean => !result.ok && typeof result.reason === 'string'
  return {
    results: all.filter((result) => !isBad(result)),
    badNodes: nodes.filter((_node, at) => isBad(all[at]!)),
  }
}

/** OTP's `rpc:rpcify_exception`. */
function badrpc({ class: exceptionClass, reason }: erpc.ErpcError): RpcResult {
  if (exceptionClass === 'throw') return { ok: true, value: reason }
  const [kind, detail, stack] = (reason as Tuple).elements
  if (exceptionClass === 'exit') return { ok: false, reason: { EXIT: reasonFromTerm(detail) } }
  if (atomName(kind) === 'exception') return { ok: false, reason: { EXIT: reasonFromTerm(tuple(detail, stack)) } }
  switch (atomName(detail)) {
    case 'noconnection':
      return { ok: false, reason: 'nodedown' }
    case 'timeout':
      return { ok: false, reason: 'timeout' }
    default:
      return { ok: false, reason: { EXIT: reasonFromTerm(detail) } }
  }
}
