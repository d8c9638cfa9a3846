/**
 * System messages: looking into and steering a running process of any behaviour [OTP sys].
 *
 * Every behaviour holds a `SystemState` and hands it the messages tagged `$system`; they are answered even while a callback
 * of the process waits for a promise. A suspended process answers system messages only; the others wait, in order.
 */
import { BadArgError, type ExitReason } from './errors.ts'
import { type Caller, type CallMessage, call, reply, type ServerRef, type Timeout } from './gen.ts'
import type { Pid } from './pid.ts'
import type { Process } from './process.ts'

/** What a behaviour offers to `sys`. */
export interface SystemCallbacks {
  getState(): unknown
  replaceState(state: unknown): void
  /** Module or file of the callbacks, as in OTP's `{module, Mod}`. */
  readonly module: string
  /** The behaviour's name: `gen_server`. */
  readonly behaviour: string
  /** Ends the process with the reason, its `terminate` callback included. */
  systemTerminate(reason: ExitReason): unknown
}

/** OTP's answer to `sys:get_status`, with the state where OTP has the formatted status. */
export interface Status {
  readonly pid: Pid
  readonly module: string
  readonly behaviour: string
  readonly status: 'running' | 'suspended'
  readonly parent: Pid | undefined
  readonly name: string | undefined
  readonly state: unknown
}

export interface Statistics {
  readonly startTimeMs: number
  readonly currentTimeMs: number
  readonly reductions: number
  readonly messagesIn: number
  readonly messagesOut: number
}

/** An event that `trace` prints and `install`ed functions see. */
export type SystemEvent =
  | { readonly in: unknown }
  | { readonly out: unknown; readonly to: Pid }
  | { readonly noreply: unknown }

/** Sees every event of a process; returning false removes it. */
export type DebugFunction = (event: SystemEvent, process: Pid) => boolean | undefined

/** Returns the state of a process: plain data, or the live object when the process is in this runtime. */
export function getState(caller: Caller, server: ServerRef, timeoutMs?: Timeout): Promise<unknown> {
  return call(caller, server, ['get_state'], timeoutMs, '$system')
}

export function getStatus(caller: Caller, server: ServerRef, timeoutMs?: Timeout): Promise<Status> {
  return call(caller, server, ['get_status'], timeoutMs, '$system') as Promise<Status>
}

/** Replaces the state by what `change` makes of it, and returns that; the state stays when `change` throws. */
export function replaceState(
  caller: Caller,
  server: ServerRef,
  change: (state: unknown) => unknown,
  timeoutMs?: Timeout,
): Promise<unknown> {
  return call(caller, server, ['replace_state', change], timeoutMs, '$system')
}

/** From now on the process takes system messages only. */
export async function suspend(caller: Caller, server: ServerRef, timeoutMs?: Timeout): Promise<void> {
  await call(caller, server, ['suspend'], timeoutMs, '$system')
}

export async function resume(caller: Caller, server: ServerRef, timeoutMs?: Timeout): Promise<void> {
  await call(caller, server, ['resume'], timeoutMs, '$system')
}

/** Ends the process with a reason, through its `terminate` callback. */
export async function terminate(
  caller: Caller,
  server: ServerRef,
  reason: ExitReason,
  timeoutMs?: Timeout,
): Promise<void> {
  await call(caller, server, ['terminate', reason], timeoutMs, '$system')
}

/** Logs every event of the process, or no longer. */
export async function trace(caller: Caller, server: ServerRef, on: boolean, timeoutMs?: Timeout): Promise<void> {
  await call(caller, server, ['trace', on], timeoutMs, '$system')
}

/** Switches the counting of events on or off, or gets what was counted; undefined while it is off. */
export function statistics(
  caller: Caller,
  server: ServerRef,
  what: boolean | 'get',
  timeoutMs?: Timeout,
): Promise<Statistics | undefined> {
  return call(caller, server, ['statistics', what], timeoutMs, '$system') as Promise<Statistics | undefined>
}

/** Installs a function that sees every event of the process; only for processes of this runtime. */
export async function install(
  caller: Caller,
  server: ServerRef,
  name: string,
  fn: DebugFunction,
  timeoutMs?: Timeout,
): Promise<void> {
  await call(caller, server, ['install', name, fn], timeoutMs, '$system')
}

export async function remove(caller: Caller, server: ServerRef, name: string, timeoutMs?: Timeout): Promise<void> {
  await call(caller, server, ['remove', name], timeoutMs, '$system')
}

/** True for a message that belongs to `SystemState.handle`. */
export function isSystemCall(message: unknown): message is CallMessage {
  return typeof message === 'object' && message !== null && (message as CallMessage).tag === '$system'
}

/** The part of a behaviour that answers system messages. */
export class SystemState {
  suspended = false
  /** True when somebody wants to see events. */
  observed = false
  readonly #process: Process
  readonly #callbacks: SystemCallbacks
  readonly #debug = new Map<string, DebugFunction>()
  #waiting: unknown[] = []
  #counts: { startTimeMs: number; reductions: number; messagesIn: number; messagesOut: number } | undefined

  constructor(process: Process, callbacks: SystemCallbacks) {
    this.#process = process
    this.#callbacks = callbacks
  }

  /** Messages that wait for `resume`. */
  get waiting(): readonly unknown[] {
    return this.#waiting
  }

  /** Keeps a message until `resume`. */
  postpone(message: unknown): void {
    this.#waiting.push(message)
  }

  /** Counts an event and shows it to those who asked. */
  event(event: SystemEvent): void {
    if (this.#counts !== undefined) {
      if ('in' in event) this.#counts.messagesIn++
      else if ('out' in event) this.#counts.messagesOut++
    }
    for (const [name, fn] of this.#debug) {
      let keep: boolean | undefined
      try {
        keep = fn(event, this.#process.pid)
      } catch {
        keep = false
      }
      if (keep === false) this.#debug.delete(name)
    }
    this.#updateObserved()
  }

  /** Answers a system message. A returned promise is that of the process's end. */
  handle({ from, request }: CallMessage): unknown {
    const [name, argument, extra] = request
    if (name === 'terminate') {
      this.#answer(from, 'ok')
      return this.#callbacks.systemTerminate(argument)
    }
    let answer: unknown
    try {
      answer = this.#perform(name, argument, extra)
    } catch (error) {
      answer = { error: error instanceof Error ? error.message : String(error) }
    }
    this.#answer(from, answer)
    return undefined
  }

  #perform(name: string, argument: unknown, extra: unknown): unknown {
    switch (name) {
      case 'get_state':
        return this.#callbacks.getState()
      case 'replace_state':
        this.#callbacks.replaceState((argument as (state: unknown) => unknown)(this.#callbacks.getState()))
        return this.#callbacks.getState()
      case 'get_status':
        return this.#status()
      case 'suspend':
        this.suspended = true
        return 'ok'
      case 'resume':
        this.#resume()
        return 'ok'
      case 'trace':
        return this.#trace(argument === true)
      case 'statistics':
        return this.#statistics(argument)
      case 'install':
        this.#debug.set(String(argument), extra as DebugFunction)
        this.#updateObserved()
        return 'ok'
      case 'remove':
        this.#debug.delete(String(argument))
        this.#updateObserved()
        return 'ok'
      default:
        throw new BadArgError(`unknown system request ${name}`)
    }
  }

  #status(): Status {
    const { pid, parent, name } = this.#process
    const { module, behaviour } = this.#callbacks
    const status = this.suspended ? 'suspended' : 'running'
    return { pid, module, behaviour, status, parent, name, state: this.#callbacks.getState() }
  }

  #resume(): void {
    this.suspended = false
    const waiting = this.#waiting
    this.#waiting = []
    this.#process.putBack(waiting)
  }

  #trace(on: boolean): string {
    if (on) {
      const { logger } = this.#process.runtime
      this.#debug.set('trace', (event, process) => {
        logger.info({ report: 'trace', process, ...event }, 'sys trace')
        return true
      })
    } else {
      this.#debug.delete('trace')
    }
    this.#updateObserved()
    return 'ok'
  }

  #statistics(what: unknown): Statistics | 'ok' | undefined {
    const currentTimeMs = this.#process.runtime.clock.now()
    if (what === 'get') {
      if (this.#counts === undefined) return undefined
      return { ...this.#counts, reductions: this.#process.reductions - this.#counts.reductions, currentTimeMs }
    }
    this.#counts =
      what === true
        ? { startTimeMs: currentTimeMs, reductions: this.#process.reductions, messagesIn: 0, messagesOut: 0 }
        : undefined
    this.#updateObserved()
    return 'ok'
  }

  #updateObserved(): void {
    this.observed = this.#debug.size > 0 || this.#counts !== undefined
  }

  #answer(from: CallMessage['from'], value: unknown): void {
    reply(this.#process, from, value)
  }
}
