/**
 * Calls and replies, common to all behaviours [OTP gen].
 *
 * A call monitors the callee, and the monitor's reference is an alias of the caller: the reply goes to the alias, and one
 * that comes after the caller gave up vanishes. Replies are found by their reference, never by a scan of the mailbox. A
 * request is its name and arguments, `['add', 2]`, which other nodes see as `{add, 2}`; one without arguments is an atom there.
 */
import { BadArgError, Exit, type ExitReason } from './errors.ts'
import { Pid } from './pid.ts'
import type { Process, ProcessContext } from './process.ts'
import type { Ref } from './ref.ts'
import { Runtime } from './runtime.ts'
import type { RemoteName, SendOptions } from './signal.ts'

/** Milliseconds, or for ever. */
export type Timeout = number | 'infinity'

/** A server: a pid, a name on this node, or a name on a node. */
export type ServerRef = Pid | string | RemoteName

/** Name and arguments of a call or cast. */
export type Request = readonly [name: string, ...args: unknown[]]

/** Who called; given back with the reply. */
export interface From {
  readonly pid: Pid
  /** Comes back untouched in the reply: any term when the caller is an Erlang process. */
  readonly tag: unknown
  /** Where the reply goes; to the pid when the caller has no alias. */
  readonly alias: Ref | undefined
}

/**
 * What a call is of: a server, a supervisor, an event manager, or a system message. Here they differ by name only; Erlang writes each in
 * its own way.
 */
type CallTag = '$gen_call' | '$supervisor' | '$gen_event' | '$system'

export interface CallMessage {
  readonly tag: CallTag
  readonly from: From
  readonly request: Request
}

export interface CastMessage {
  readonly tag: '$gen_cast'
  readonly request: Request
}

export interface ReplyMessage {
  readonly tag: '$gen_reply'
  readonly to: unknown
  readonly reply: unknown
}

/** Code that calls: a process by its context, or anything outside of processes by the runtime. */
export type Caller = ProcessContext | Runtime

/** Default for calls, ms [OTP gen_server:call/2]. */
export const CALL_TIMEOUT_MS = 5000

/** The process in whose name a caller acts. */
export function callerProcess(caller: Caller): Process {
  return caller instanceof Runtime ? caller.init : (caller as Process)
}

/**
 * Sends a request and resolves with the reply. Rejects with `Exit`: `noproc` when there is no such process, `nodedown` when
 * its node is unreachable, `timeout`, or the reason of which the callee died. The promise needs no handler.
 */
export function call(
  caller: Caller,
  to: ServerRef,
  request: Request,
  timeoutMs: Timeout = CALL_TIMEOUT_MS,
  tag: CallTag = '$gen_call',
): Promise<unknown> {
  const process = callerProcess(caller)
  const { runtime } = process
  if (!process.alive) return rejected(new Exit('noproc'))
  if (!(timeoutMs === 'infinity' || timeoutMs >= 0)) throw new BadArgError(`${timeoutMs} is no timeout`)
  if (isSelf(process, to)) return rejected(new Exit('calling_self'))
  const promise = new Promise<unknown>((resolve, reject) => {
    let timer: object | undefined
    let settled = false
    let ref: Ref | undefined
    const settle = (): boolean => {
      if (settled) return false
      settled = true
      if (timer !== undefined) runtime.timers.clear(timer)
      if (ref !== undefined) {
        runtime.demonitor(process, ref)
        runtime.unalias(process, ref)
      }
      return true
    }
    ref = runtime.monitor(process, to, (reason) => {
      if (settle()) reject(new Exit(reason === 'noconnection' ? 'nodedown' : reason))
    })
    if (settled) return
    runtime.activateAlias(process, ref, (message) => {
      if (settle()) resolve((message as ReplyMessage).reply)
    })
    if (timeoutMs !== 'infinity') {
      timer = runtime.timers.set(timeoutMs, () => {
        if (settle()) reject(new Exit('timeout'))
      })
    }
    const message: CallMessage = { tag, from: { pid: process.pid, tag: ref, alias: ref }, request }
    // A name may have been unregistered since the monitor found it; the DOWN then tells.
    runtime.sendFrom(process.pid, typeof to === 'string' ? { name: to, node: runtime.node.name } : to, message)
  })
  // Code that does not wait for its call must not bring down the OS process by an unhandled rejection.
  promise.catch(ignore)
  return promise
}

/** Sends a request without waiting for anything; never fails. */
export function cast(caller: Caller, to: ServerRef, request: Request): void {
  const process = callerProcess(caller)
  const message: CastMessage = { tag: '$gen_cast', request }
  const address = typeof to === 'string' ? { name: to, node: process.runtime.node.name } : to
  process.runtime.sendFrom(process.pid, address, message)
}

/** Answers a call, now or later, from any process or from outside; the caller may have given up meanwhile. */
export function reply(caller: Caller, from: From, value: unknown, options?: SendOptions): void {
  const process = callerProcess(caller)
  const message: ReplyMessage = { tag: '$gen_reply', to: from.tag, reply: value }
  process.runtime.sendFrom(process.pid, from.alias ?? from.pid, message, options)
}

function isSelf(process: Process, to: ServerRef): boolean {
  if (process === process.runtime.init) return false
  return to instanceof Pid ? to.equals(process.pid) : to === process.name
}

function rejected(reason: Error): Promise<never> {
  const promise = Promise.reject(reason)
  promise.catch(ignore)
  return promise
}

function ignore(_reason: ExitReason): void {}
