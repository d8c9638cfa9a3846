/**
 * One node as an observer asks it: calls with a deadline each, whose failures are one sentence each.
 *
 * Whatever goes wrong is an `ObserverError`: the node is gone or late, the process is not there, the function is not exported.
 * Its message is what the user reads; its `reason` is the data, for code typed at the prompt.
 */
import { Exit } from '../actors/errors.ts'
import { type Caller, call, callerProcess, type Request, type ServerRef } from '../actors/gen.ts'
import { Pid } from '../actors/pid.ts'
import type { Runtime } from '../actors/runtime.ts'
import * as erpc from '../dist/erpc.ts'
import { Atom, atom, atomName, isTuple, Tuple, text } from '../dist/term.ts'
import { inline } from './print/print.ts'

/** A failure that the user reads as one line. */
export class ObserverError extends Error {
  override readonly name = 'ObserverError'
  readonly reason: unknown

  constructor(message: string, reason: unknown) {
    super(message)
    this.reason = reason
  }
}

/** How long a node may take to answer. */
export const DEADLINE_MS = 5000

/** A process as users name it: by pid, by a name on the node that is observed, or by a name elsewhere. */
export type ProcessRef = Pid | string | { readonly name: string; readonly node: string }

export class Target {
  readonly node: string
  readonly caller: Caller
  readonly deadlineMs: number

  constructor(node: string, caller: Caller, deadlineMs: number = DEADLINE_MS) {
    this.node = node
    this.caller = caller
    this.deadlineMs = deadlineMs
  }

  /** The observer's own. */
  get runtime(): Runtime {
    return callerProcess(this.caller).runtime
  }

  /** Calls an exported function; rejects with `ObserverError`. */
  async rpc(
    module: string,
    name: string,
    args: readonly unknown[] = [],
    deadlineMs = this.deadlineMs,
  ): Promise<unknown> {
    try {
      return await erpc.call(this.caller, this.node, module, name, args, deadlineMs)
    } catch (error) {
      if (!(error instanceof erpc.ErpcError)) throw error
      throw this.#failure(error, `${module}:${name}/${args.length}`, deadlineMs)
    }
  }

  /** Calls a server; rejects with `ObserverError`. */
  async call(to: ProcessRef, request: Request, deadlineMs = this.deadlineMs, tag?: '$system'): Promise<unknown> {
    try {
      return await call(this.caller, this.serverRef(to), request, deadlineMs, tag)
    } catch (error) {
      if (!(error instanceof Exit)) throw error
      throw this.#exit(error.reason, to, deadlineMs)
    }
  }

  /** The pid of a process, asked by its name if need be; rejects when there is none. */
  async pidOf(ref: ProcessRef): Promise<Pid> {
    if (ref instanceof Pid) return ref
    const { name, node } = typeof ref === 'string' ? { name: ref, node: this.node } : ref
    const pid = await new Target(node, this.caller, this.deadlineMs).rpc('erlang', 'whereis', [atom(name)])
    if (pid instanceof Pid) return pid
    throw new ObserverError(`there is no process ${name} on ${node}`, 'noproc')
  }

  /** Where to send what is for a process: names are of the node that is observed. */
  serverRef(ref: ProcessRef): ServerRef {
    return typeof ref === 'string' ? { name: ref, node: this.node } : ref
  }

  #failure({ class: kind, reason }: erpc.ErpcError, what: string, deadlineMs: number): ObserverError {
    const [first, detail, stack] = reason instanceof Tuple ? reason.elements : []
    if (kind === 'error' && atomName(first) === 'erpc') return this.#noCall(atomName(detail), what, deadlineMs)
    if (kind === 'error' && atomName(detail) === 'undef' && isOf(stack, what)) {
      return new ObserverError(`${this.node} does not export ${what}`, 'undef')
    }
    const raw = kind === 'throw' ? reason : detail
    const said = raw instanceof Atom ? raw.name : inline(raw)
    return new ObserverError(`${what} on ${this.node}: ${said}`, raw instanceof Atom ? raw.name : raw)
  }

  #noCall(why: string | undefined, what: string, deadlineMs: number): ObserverError {
    if (why === 'noconnection') return new ObserverError(`${this.node} cannot be reached`, 'nodedown')
    if (why === 'timeout') return new ObserverError(this.#late(deadlineMs), 'timeout')
    return new ObserverError(`${what} on ${this.node}: ${why ?? 'no call'}`, why)
  }

  #exit(reason: unknown, to: ProcessRef, deadlineMs: number): ObserverError {
    const who = typeof to === 'string' ? to : to instanceof Pid ? 'the process' : to.name
    switch (reason) {
      case 'noproc':
        return new ObserverError(
          `there is no process ${to instanceof Pid ? 'with this pid' : who} on ${this.node}`,
          reason,
        )
      case 'nodedown':
        return new ObserverError(`${this.node} cannot be reached`, reason)
      case 'timeout':
        return new ObserverError(`${who} did not answer within ${seconds(deadlineMs)}`, reason)
      default:
        return new ObserverError(`${who} has ended: ${typeof reason === 'string' ? reason : inline(reason)}`, reason)
    }
  }

  #late(deadlineMs: number): string {
    return `${this.node} did not answer within ${seconds(deadlineMs)}`
  }
}

/** Whether the function of a stack trace is the one that was called. */
function isOf(stack: unknown, what: string): boolean {
  const [call] = Array.isArray(stack) ? (stack as unknown[]) : []
  if (!isTuple(call, 4)) return false
  const [module, name, args] = call.elements
  const arity = Array.isArray(args) ? args.length : args
  return `${atomName(module)}:${atomName(name)}/${arity}` === what
}

function seconds(ms: number): string {
  return `${ms / 1000} s`
}

/** Text of Erlang, or the name of an atom. */
export function textOf(term: unknown): string {
  return text(term) ?? atomName(term) ?? inline(term)
}
