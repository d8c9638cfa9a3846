/**
 * Runs exported functions on behalf of other nodes, each in a process of its own [OTP erpc, spawn_request].
 *
 * A peer starts a process here by a SPAWN_REQUEST. `rpc:call`, `erpc:call` and `multicall` of Erlang start `erpc:execute_call`, whose
 * answer is the exit reason of the process, and casts start `erpc:execute_cast`; any other function must be exported itself, such as
 * those that observers start. A function that is not exported ends its process with `undef`, as in Erlang.
 *
 * A function runs in a process so that it can be monitored, linked and killed like one. Calls have a time limit, since who asked may
 * be gone; what is started by itself runs until it ends, and both are bounded in number.
 */
import { Exit } from '../actors/errors.ts'
import type { Timeout } from '../actors/gen.ts'
import type { Process, Script } from '../actors/process.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { SpawnRequest } from './control.ts'
import { type ErlangError, type Exports, erlangErrorOf, stackOf } from './exports.ts'
import { atom, atomName, type Tuple, tuple } from './term.ts'

export interface RemoteCallLimits {
  /** Processes that peers have started and that run, calls included. @default 10_000 */
  readonly maxProcesses?: number
  /** A call that takes longer is ended with `timeout`, ms. @default 600_000 */
  readonly maxCallMs?: number
}

/** A function and its arguments: terms, of which nothing is known. */
interface Call {
  readonly module: unknown
  readonly name: unknown
  readonly args: unknown
  /** Where its output goes. */
  readonly groupLeader: unknown
}

/** What a function gave: a term, or an exception with its stack trace. */
type Ended =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: ErlangError; readonly stack: readonly Tuple[] }

/** How a call went. */
export type CallOutcome =
  | Ended
  /** The process was ended from outside. */
  | { readonly ok: false; readonly signal: unknown }

const RETURN = atom('return')
const ERPC = atom('erpc')
const SYSTEM_LIMIT = atom('system_limit')

export class RemoteCalls {
  readonly #runtime: Runtime
  readonly #exports: Exports
  readonly #maxProcesses: number
  readonly #maxCallMs: number
  #running = 0

  constructor(runtime: Runtime, exports: Exports, limits: RemoteCallLimits = {}) {
    this.#runtime = runtime
    this.#exports = exports
    this.#maxProcesses = limits.maxProcesses ?? 10_000
    this.#maxCallMs = limits.maxCallMs ?? 600_000
  }

  /** Processes that run for peers. */
  get running(): number {
    return this.#running
  }

  /** Starts the process of a SPAWN_REQUEST. Never throws: a process that has nothing to do ends with the reason. */
  spawn({ module, function: name, args, groupLeader }: SpawnRequest): Process {
    if (module === 'erpc' && name === 'execute_call' && args.length === 4) return this.#executeCall(args, groupLeader)
    if (module === 'erpc' && name === 'execute_cast' && args.length === 3) return this.#executeCast(args, groupLeader)
    return this.#start({ module: atom(module), name: atom(name), args, groupLeader }, 'infinity', (outcome) => {
      return outcome.ok ? 'normal' : exitTerm(outcome.error, outcome.stack)
    })
  }

  /** Runs `apply(Module, Function, Args)` in a process and tells how it went, once. */
  call(
    module: unknown,
    name: unknown,
    args: unknown,
    groupLeader: unknown,
    tell: (outcome: CallOutcome) => void,
  ): void {
    let ended: CallOutcome | undefined
    const process = this.#start({ module, name, args, groupLeader }, this.#maxCallMs, (outcome) => {
      ended = outcome
      return 'normal'
    })
    process.onExit((reason) => tell(ended ?? { ok: false, signal: reason }))
  }

  /** `erpc:execute_call(Res, M, F, A)`: ends with `{Res, return, Value}` and the like. */
  #executeCall([res, module, name, args]: readonly unknown[], groupLeader: unknown): Process {
    if (this.#isFull()) return this.#fail(tuple(res, atom('error'), tuple(ERPC, SYSTEM_LIMIT)))
    return this.#start({ module, name, args, groupLeader }, this.#maxCallMs, (outcome) => {
      if (outcome.ok) return tuple(res, RETURN, outcome.value)
      const { class: exceptionClass, reason } = outcome.error
      return exceptionClass === 'error'
        ? tuple(res, atom('error'), reason, outcome.stack)
        : tuple(res, atom(exceptionClass), reason)
    })
  }

  /** `erpc:execute_cast(M, F, A)`. */
  #executeCast([module, name, args]: readonly unknown[], groupLeader: unknown): Process {
    return this.#start({ module, name, args, groupLeader }, this.#maxCallMs, (outcome) => {
      if (outcome.ok) return 'normal'
      const { error, stack } = outcome
      return error.class === 'error'
        ? tuple(tuple(atom('exception'), tuple(error.reason, stack)), [tuple(ERPC, atom('execute_cast'), 3, [])])
        : exitTerm(error, stack)
    })
  }

  #isFull(): boolean {
    return this.#running >= this.#maxProcesses
  }

  #fail(reason: unknown): Process {
    return this.#runtime.spawnFrom(undefined, () => Promise.reject(new Exit(reason)), { label: 'system_limit' })
  }

  /**
   * Starts a process that runs a function and ends with the reason that `reasonOf` gives; one whose function has not returned
   * within `limitMs` ends with `timeout`.
   */
  #start({ module, name, args, groupLeader }: Call, limitMs: Timeout, reasonOf: (outcome: Ended) => unknown): Process {
    if (this.#isFull()) return this.#fail('system_limit')
    const runtime = this.#runtime
    const end = (outcome: Ended): void => runtime.terminate(process, reasonOf(outcome))
    const failed = (thrown: unknown): void => {
      const error = erlangErrorOf(thrown)
      end({ ok: false, error, stack: stackOf(module, name, args, error.reason) })
    }
    const script: Script = (self) => {
      let value: unknown
      try {
        value = this.#exports.apply(self, module, name, args, groupLeader)
      } catch (thrown) {
        return failed(thrown)
      }
      // What is there at once is answered in the turn in which it was asked for, and needs no time limit.
      if (!(value instanceof Promise)) return end({ ok: true, value })
      this.#limitTime(process, limitMs)
      return value.then((settled: unknown) => end({ ok: true, value: settled }), failed)
    }
    const process = runtime.spawnFrom(undefined, script, { label: labelOf(module, name, args) })
    this.#running++
    process.onExit(() => {
      this.#running--
    })
    return process
  }

  #limitTime(process: Process, limitMs: Timeout): void {
    // The function may have ended its own process.
    if (limitMs === 'infinity' || !process.alive) return
    const { timers } = this.#runtime
    const timer = timers.set(limitMs, () => this.#runtime.terminate(process, 'timeout'))
    process.onExit(() => timers.clear(timer))
  }
}

/** The reason with which an uncaught exception ends a process. */
function exitTerm({ class: exceptionClass, reason }: ErlangError, stack: readonly Tuple[]): unknown {
  switch (exceptionClass) {
    case 'error':
      return tuple(reason, stack)
    case 'throw':
      return tuple(tuple(atom('nocatch'), reason), stack)
    case 'exit':
      return reason
  }
}

function labelOf(module: unknown, name: unknown, args: unknown): string {
  return `${atomName(module) ?? '?'}:${atomName(name) ?? '?'}/${Array.isArray(args) ? args.length : 0}`
}
