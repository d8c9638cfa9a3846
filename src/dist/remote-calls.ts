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
import type { Process, Script } from '../actors/process.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { SpawnRequest } from './control.ts'
import { ErlangError, type Exports, erlangErrorOf, stackOf } from './exports.ts'
import { atom, atomName, type Tuple, tuple } from './term.ts'

export interface RemoteCallLimits {
  /** Processes that peers have started and that run, calls included. @default 10_000 */
  readonly maxProcesses?: number
  /** A call that takes longer is ended with `timeout`, ms. @default 600_000 */
  readonly maxCallMs?: number
}

/** How a call went: a term, or an exception with its stack trace. */
export type CallOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: ErlangError; readonly stack: readonly Tuple[] }
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
    return this.#start(labelOf(module, name, args.length), async (self) => {
      try {
        await this.#exports.apply(self, atom(module), atom(name), args, groupLeader)
      } catch (thrown) {
        const error = erlangErrorOf(thrown)
        self.stop(exitTerm(error, stackOf(atom(module), atom(name), args, error.reason)))
      }
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
    let outcome: CallOutcome | undefined
    const process = this.#start(labelOfTerms(module, name, args), async (self) => {
      try {
        outcome = { ok: true, value: await this.#exports.apply(self, module, name, args, groupLeader) }
      } catch (thrown) {
        const error = erlangErrorOf(thrown)
        outcome = { ok: false, error, stack: stackOf(module, name, args, error.reason) }
      }
    })
    process.onExit((reason) => tell(outcome ?? { ok: false, signal: reason }))
    this.#limitTime(process)
  }

  /** `erpc:execute_call(Res, M, F, A)`: ends with `{Res, return, Value}` and the like. */
  #executeCall([res, module, name, args]: readonly unknown[], groupLeader: unknown): Process {
    if (this.#isFull()) return this.#fail(tuple(res, atom('error'), tuple(ERPC, SYSTEM_LIMIT)))
    const process = this.#start(labelOfTerms(module, name, args), async (self) => {
      let result: Tuple
      try {
        result = tuple(res, RETURN, await this.#exports.apply(self, module, name, args, groupLeader))
      } catch (thrown) {
        const { class: exceptionClass, reason } = erlangErrorOf(thrown)
        result =
          exceptionClass === 'error'
            ? tuple(res, atom('error'), reason, stackOf(module, name, args, reason))
            : tuple(res, atom(exceptionClass), reason)
      }
      self.stop(result)
    })
    this.#limitTime(process)
    return process
  }

  /** `erpc:execute_cast(M, F, A)`. */
  #executeCast([module, name, args]: readonly unknown[], groupLeader: unknown): Process {
    const process = this.#start(labelOfTerms(module, name, args), async (self) => {
      try {
        await this.#exports.apply(self, module, name, args, groupLeader)
      } catch (thrown) {
        const { class: exceptionClass, reason } = erlangErrorOf(thrown)
        const stack = stackOf(module, name, args, reason)
        self.stop(
          exceptionClass === 'error'
            ? tuple(tuple(atom('exception'), tuple(reason, stack)), [tuple(ERPC, atom('execute_cast'), 3, [])])
            : exitTerm(new ErlangError(exceptionClass, reason), stack),
        )
      }
    })
    this.#limitTime(process)
    return process
  }

  #isFull(): boolean {
    return this.#running >= this.#maxProcesses
  }

  #fail(reason: unknown): Process {
    return this.#runtime.spawnFrom(undefined, () => Promise.reject(new Exit(reason)), { label: 'system_limit' })
  }

  #start(label: string, script: Script): Process {
    if (this.#isFull()) return this.#fail('system_limit')
    const process = this.#runtime.spawnFrom(undefined, script, { label })
    this.#running++
    process.onExit(() => {
      this.#running--
    })
    return process
  }

  #limitTime(process: Process): void {
    const { timers } = this.#runtime
    const timer = timers.set(this.#maxCallMs, () => this.#runtime.terminate(process, 'timeout'))
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

function labelOfTerms(module: unknown, name: unknown, args: unknown): string {
  return labelOf(atomName(module) ?? '?', atomName(name) ?? '?', Array.isArray(args) ? args.length : 0)
}

function labelOf(module: string, name: string, arity: number): string {
  return `${module}:${name}/${arity}`
}
