/**
 * gen_server: a process that serves typed calls and casts from a state [OTP gen_server].
 *
 * A server is declared once, as data, and is then both the thing to start and the client to call it with, so that requests
 * and replies are checked where the call is made, wherever the process lives. A callback is given `{ state, self, from }` and
 * the arguments of the request; it returns what `reply`, `noreply` or `stop` make, or nothing at all when the state is
 * the same (or was changed in place). It may be async: the process then takes no other message until it has settled.
 *
 * `terminate` runs when a callback stops or crashes the server, when its parent ends it and it traps exits, and at
 * `sys.terminate`; not when an exit signal ends a server that does not trap exits.
 */
import { type ExitReason, exitReasonOf } from './errors.ts'
import {
  CALL_TIMEOUT_MS,
  type Caller,
  type CallMessage,
  type CastMessage,
  call,
  callerProcess,
  cast,
  type From,
  type ServerRef,
  reply as sendReply,
  type Timeout,
} from './gen.ts'
import type { Pid } from './pid.ts'
import {
  type InitAnswer,
  pidOf,
  reportCrash,
  type StartableBehaviour,
  type StartOptions,
  type StartResult,
  start,
} from './proc-lib.ts'
import type { Process, ProcessContext } from './process.ts'
import type { ExitMessage } from './signal.ts'
import { isSystemCall, type SystemCallbacks, SystemState } from './sys.ts'

/** What callbacks are given. `from` is set in `calls` only. */
export interface ServerContext<S> {
  readonly state: S
  readonly self: ProcessContext
  readonly from: From
}

/** Request names with the arguments and the result of each. */
// biome-ignore lint/suspicious/noExplicitAny: the constraint has to admit every argument list
export type Signatures = Record<string, (...args: any[]) => unknown>

/** After a callback: `continue` runs the `continue` callback before any message; `timeoutMs` sends `'timeout'` to `info` when no message comes. */
export interface Next {
  readonly continue?: unknown
  readonly timeoutMs?: number
}

type Reply<R, S> = { readonly tag: 'reply'; readonly value: R; readonly state: S; readonly next: Next | undefined }
type NoReply<S> = { readonly tag: 'noreply'; readonly state: S; readonly next: Next | undefined }
type Stop<S> = { readonly tag: 'stop'; readonly reason: ExitReason; readonly state: S }
type StopReply<R, S> = { readonly tag: 'stop_reply'; readonly reason: ExitReason; readonly value: R; readonly state: S }

/** Results of `init`. */
export type InitResult<S> =
  | { readonly tag: 'ok'; readonly state: S; readonly next: Next | undefined }
  | { readonly tag: 'ignore' }
  | { readonly tag: 'init_stop'; readonly reason: ExitReason }

export type CallResult<R, S> = Reply<R, S> | NoReply<S> | Stop<S> | StopReply<R, S> | undefined
export type CastResult<S> = NoReply<S> | Stop<S> | undefined

type MaybePromise<T> = T | Promise<T>
// A callback that returns nothing keeps the state.
// biome-ignore lint/suspicious/noConfusingVoidType: callbacks without a return statement are typed void
type Nothing = void

export interface ServerDefinition<S, Calls extends Signatures, Casts extends Signatures, Arg> {
  /** Names the server in reports and observers. */
  readonly label?: string
  /** The behaviour that `sys` and observers tell of, when it is built upon this one; defaults to `gen_server`. */
  readonly behaviour?: string
  readonly init: (arg: Arg, self: ProcessContext) => MaybePromise<InitResult<S>>
  readonly calls?: {
    readonly [K in keyof Calls]: (
      context: ServerContext<S>,
      ...args: Parameters<Calls[K]>
    ) => MaybePromise<CallResult<Awaited<ReturnType<Calls[K]>>, S>>
  }
  readonly casts?: {
    readonly [K in keyof Casts]: (
      context: ServerContext<S>,
      ...args: Parameters<Casts[K]>
    ) => MaybePromise<CastResult<S>> | Nothing
  }
  /** All other messages: DOWN, EXIT when exits are trapped, timers, plain sends. */
  readonly info?: (
    context: ServerContext<S>,
    message: unknown,
  ) => MaybePromise<CastResult<S>> | Promise<Nothing> | Nothing
  readonly continue?: (context: ServerContext<S>, term: unknown) => MaybePromise<CastResult<S>> | Nothing
  readonly terminate?: (context: ServerContext<S>, reason: ExitReason) => MaybePromise<unknown>
  /** What `sys` and crash reports show of the state; hides secrets. */
  readonly formatState?: (state: S) => unknown
}

/** A declared server: start it, call it. */
export interface GenServer<S, Calls extends Signatures, Casts extends Signatures, Arg> {
  readonly definition: ServerDefinition<S, Calls, Casts, Arg>
  /** Starts a server linked to the caller. Rejects with `Exit` when `init` fails; reason `{ already_started: pid }` when the name is taken. */
  startLink(parent: Caller, arg: Arg, options?: StartOptions): Promise<Pid>
  /** As `startLink`, without the link. */
  start(parent: Caller, arg: Arg, options?: StartOptions): Promise<Pid>
  /** How a supervisor starts it: the outcome as data, without a promise when `init` is synchronous. */
  starter(arg: Arg, options?: StartOptions): (parent: ProcessContext) => StartResult | Promise<StartResult>
  /** Calls with the default timeout of 5000 ms. */
  call<K extends keyof Calls & string>(
    caller: Caller,
    to: ServerRef,
    name: K,
    ...args: Parameters<Calls[K]>
  ): Promise<Awaited<ReturnType<Calls[K]>>>
  callWithin<K extends keyof Calls & string>(
    caller: Caller,
    timeoutMs: Timeout,
    to: ServerRef,
    name: K,
    ...args: Parameters<Calls[K]>
  ): Promise<Awaited<ReturnType<Calls[K]>>>
  cast<K extends keyof Casts & string>(caller: Caller, to: ServerRef, name: K, ...args: Parameters<Casts[K]>): void
}

// biome-ignore lint/complexity/noBannedTypes: no requests at all
type None = {}

/** Declares a server. `Arg` is what `init` takes, as the one argument of OTP's `init/1`. */
export function genServer<S, Calls extends Signatures = None, Casts extends Signatures = None, Arg = undefined>(
  definition: ServerDefinition<S, Calls, Casts, Arg>,
): GenServer<S, Calls, Casts, Arg> {
  const begin = (parent: Process, arg: Arg, options: StartOptions): StartResult | Promise<StartResult> =>
    start(parent, (self) => new GenServerBehaviour(self, definition as unknown as UntypedDefinition, arg), {
      label: definition.label ?? 'gen_server',
      ...options,
    })
  return {
    definition,
    startLink: (parent, arg, options) => pidOf(begin(callerProcess(parent), arg, { ...options, link: true })),
    start: (parent, arg, options = {}) => pidOf(begin(callerProcess(parent), arg, options)),
    starter: (arg, options) => (parent) => begin(parent as Process, arg, { ...options, link: true }),
    call: (caller, to, name, ...args) => call(caller, to, [name, ...args], CALL_TIMEOUT_MS) as Promise<never>,
    callWithin: (caller, timeoutMs, to, name, ...args) =>
      call(caller, to, [name, ...args], timeoutMs) as Promise<never>,
    cast: (caller, to, name, ...args) => cast(caller, to, [name, ...args]),
  }
}

/** `init` went well. */
export function ok<S>(state: S, next?: Next): InitResult<S> {
  return { tag: 'ok', state, next }
}

/** `init` declines: the start answers `ignore`. */
export function ignore(): { readonly tag: 'ignore' } {
  return { tag: 'ignore' }
}

/** `init` fails: the start answers the reason, and the process ends with it. */
export function initStop(reason: ExitReason): { readonly tag: 'init_stop'; readonly reason: ExitReason } {
  return { tag: 'init_stop', reason }
}

/** Answers the call. */
export function reply<R, S>(value: R, state: S, next?: Next): Reply<R, S> {
  return { tag: 'reply', value, state, next }
}

/** Goes on with the state; a call is then answered later, by `replyTo`. */
export function noreply<S>(state: S, next?: Next): NoReply<S> {
  return { tag: 'noreply', state, next }
}

/** Ends the server through `terminate`. */
export function stop<S>(reason: ExitReason, state: S): Stop<S> {
  return { tag: 'stop', reason, state }
}

/** Answers the call, then ends the server through `terminate`. */
export function stopReply<R, S>(reason: ExitReason, value: R, state: S): StopReply<R, S> {
  return { tag: 'stop_reply', reason, value, state }
}

/** Answers a call from anywhere, at any time [OTP gen_server:reply/2]. */
export function replyTo(caller: Caller, from: From, value: unknown): void {
  sendReply(caller, from, value)
}

type AnyResult = CallResult<unknown, unknown> | InitResult<unknown>
type Callback = (context: ServerContext<unknown>, ...args: unknown[]) => MaybePromise<AnyResult>

interface UntypedDefinition {
  readonly label?: string
  readonly behaviour?: string
  readonly init: (arg: unknown, self: ProcessContext) => MaybePromise<InitResult<unknown>>
  readonly calls?: Readonly<Record<string, Callback>>
  readonly casts?: Readonly<Record<string, Callback>>
  readonly info?: Callback
  readonly continue?: Callback
  readonly terminate?: (context: ServerContext<unknown>, reason: ExitReason) => unknown
  readonly formatState?: (state: unknown) => unknown
}

const NOBODY: From = { pid: undefined as unknown as Pid, tag: undefined, alias: undefined }

class GenServerBehaviour implements StartableBehaviour, SystemCallbacks {
  readonly #self: Process
  readonly #definition: UntypedDefinition
  readonly #arg: unknown
  readonly #context: { state: unknown; self: ProcessContext; from: From }
  #system: SystemState | undefined = undefined
  #timeout: object | undefined = undefined
  #ended = false

  constructor(self: Process, definition: UntypedDefinition, arg: unknown) {
    this.#self = self
    this.#definition = definition
    this.#arg = arg
    this.#context = { state: undefined, self, from: NOBODY }
  }

  get behaviour(): string {
    return this.#definition.behaviour ?? 'gen_server'
  }

  get module(): string {
    return this.#definition.label ?? 'gen_server'
  }

  get state(): unknown {
    return this.getState()
  }

  get saved(): readonly unknown[] {
    return this.#system?.waiting ?? []
  }

  init(): InitAnswer | Promise<InitAnswer> {
    const result = this.#definition.init(this.#arg, this.#self)
    return result instanceof Promise ? result.then((settled) => this.#initialised(settled)) : this.#initialised(result)
  }

  receive(message: unknown): unknown {
    if (this.#timeout !== undefined) this.#cancelTimeout()
    const tag = typeof message === 'object' && message !== null ? (message as { tag?: unknown }).tag : undefined
    if (tag === '$system') return this.#systemState().handle(message as CallMessage)
    const system = this.#system
    if (system?.suspended) return system.postpone(message)
    if (system?.observed) system.event({ in: message })
    if (tag === '$gen_call') return this.#call(message as CallMessage)
    if (tag === '$gen_cast') return this.#cast(message as CastMessage)
    if (tag === '$supervisor' || tag === '$gen_event') return this.#call(message as CallMessage)
    if (tag === 'EXIT' && this.#self.parent?.equals((message as ExitMessage).from)) {
      return this.#end((message as ExitMessage).reason, undefined)
    }
    return this.#info(message)
  }

  receiveSystem(message: unknown): boolean {
    // The process is in the middle of a callback: ending it has to wait for that, all else is answered at once.
    if (!isSystemCall(message) || message.request[0] === 'terminate') return false
    this.#systemState().handle(message)
    return true
  }

  getState(): unknown {
    const { formatState } = this.#definition
    return formatState === undefined ? this.#context.state : formatState(this.#context.state)
  }

  replaceState(state: unknown): void {
    this.#context.state = state
  }

  systemTerminate(reason: ExitReason): unknown {
    return this.#end(reason, undefined)
  }

  #initialised(result: InitResult<unknown>): InitAnswer {
    if (result.tag === 'ignore') return 'ignore'
    if (result.tag === 'init_stop') return { error: result.reason }
    this.#context.state = result.state
    if (result.next !== undefined) this.#self.putBack([new Continuation(result.next)])
    return undefined
  }

  #call(message: CallMessage): unknown {
    const { from, request } = message
    const callback = lookUp(this.#definition.calls, request[0])
    if (callback === undefined) {
      // OTP's server would crash of a missing clause; here only a foreign caller can ask what is not declared.
      sendReply(this.#self, from, { error: 'unknown_call', name: request[0] })
      return this.#unexpected(message)
    }
    this.#context.from = from
    return this.#invoke(callback, request, from, message)
  }

  #cast(message: CastMessage): unknown {
    const callback = lookUp(this.#definition.casts, message.request[0])
    return callback === undefined
      ? this.#unexpected(message)
      : this.#invoke(callback, message.request, undefined, message)
  }

  #info(message: unknown): unknown {
    if (message instanceof Continuation) return this.#goOn(message.next)
    const { info } = this.#definition
    return info === undefined ? this.#unexpected(message) : this.#invoke(info, undefined, undefined, message)
  }

  #unexpected(message: unknown): undefined {
    this.#self.runtime.logger.warn({ process: this.#self.pid, label: this.module, message }, 'unexpected message')
  }

  /** Runs a callback with the arguments of the request, or with the message itself when there is none. */
  #invoke(
    callback: Callback,
    request: CallMessage['request'] | undefined,
    from: From | undefined,
    message: unknown,
  ): unknown {
    const context = this.#context
    let result: MaybePromise<AnyResult>
    try {
      if (request === undefined) result = callback(context, message)
      else if (request.length === 1) result = callback(context)
      else if (request.length === 2) result = callback(context, request[1])
      else result = callback(context, ...request.slice(1))
    } catch (thrown) {
      return this.#end(exitReasonOf(thrown), message)
    }
    if (result === undefined) return undefined
    if (isPromise(result)) {
      return result.then(
        (settled) => this.#apply(settled, from, message),
        (thrown: unknown) => this.#end(exitReasonOf(thrown), message),
      )
    }
    return this.#apply(result, from, message)
  }

  #apply(result: AnyResult, from: From | undefined, message: unknown): unknown {
    if (result === undefined || !this.#self.alive) return undefined
    switch (result.tag) {
      case 'reply':
        this.#context.state = result.state
        this.#reply(from, result.value)
        return this.#goOn(result.next)
      case 'noreply':
        this.#context.state = result.state
        if (this.#system?.observed) this.#system.event({ noreply: message })
        return this.#goOn(result.next)
      case 'stop':
        this.#context.state = result.state
        return this.#end(result.reason, message)
      case 'stop_reply':
        this.#context.state = result.state
        this.#reply(from, result.value)
        return this.#end(result.reason, message)
      default:
        return this.#end({ bad_return_value: result }, message)
    }
  }

  #reply(from: From | undefined, value: unknown): void {
    if (from === undefined) return
    sendReply(this.#self, from, value)
    if (this.#system?.observed) this.#system.event({ out: value, to: from.pid })
  }

  #goOn(next: Next | undefined): unknown {
    if (next === undefined) return undefined
    if ('continue' in next) {
      const callback = this.#definition.continue
      if (callback === undefined) return this.#end({ undef: 'continue' }, next)
      return this.#invoke(callback, undefined, undefined, next.continue)
    }
    if (next.timeoutMs !== undefined) this.#armTimeout(next.timeoutMs)
    return undefined
  }

  #armTimeout(ms: number): void {
    const { runtime } = this.#self
    this.#timeout = runtime.timers.set(ms, () => this.#self.deliver(TIMED_OUT))
  }

  #cancelTimeout(): void {
    this.#self.runtime.timers.clear(this.#timeout!)
    this.#timeout = undefined
  }

  /** Runs `terminate`, reports a crash and ends the process; returns a promise while `terminate` is pending. */
  #end(reason: ExitReason, message: unknown): unknown {
    if (this.#ended || !this.#self.alive) return undefined
    this.#ended = true
    let pending: unknown
    try {
      pending = this.#definition.terminate?.(this.#context, reason)
    } catch (thrown) {
      return this.#exit(exitReasonOf(thrown), message)
    }
    if (!isPromise(pending)) return this.#exit(reason, message)
    return pending.then(
      () => this.#exit(reason, message),
      (thrown: unknown) => this.#exit(exitReasonOf(thrown), message),
    )
  }

  #exit(reason: ExitReason, lastMessage: unknown): undefined {
    if (!this.#self.alive) return
    reportCrash(this.#self, reason, { lastMessage, state: this.#readableState() })
    this.#self.runtime.terminate(this.#self, reason)
  }

  #readableState(): unknown {
    try {
      return this.getState()
    } catch {
      return 'unreadable'
    }
  }

  #systemState(): SystemState {
    this.#system ??= new SystemState(this.#self, this)
    return this.#system
  }
}

/** What `info` gets when no message came within the `timeoutMs` of the last callback [OTP gen_server, "timeout"]. */
const TIMED_OUT = 'timeout'

/** Stands in the mailbox, in front of all messages, for what `init` wants to happen next. */
class Continuation {
  readonly next: Next

  constructor(next: Next) {
    this.next = next
  }
}

function lookUp(callbacks: Readonly<Record<string, Callback>> | undefined, name: unknown): Callback | undefined {
  return callbacks !== undefined && typeof name === 'string' && Object.hasOwn(callbacks, name)
    ? callbacks[name]
    : undefined
}

function isPromise(value: unknown): value is Promise<AnyResult> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
