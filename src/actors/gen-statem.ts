/**
 * gen_statem: a process that is a state machine [OTP gen_statem].
 *
 * A machine is declared once, as data, like a gen_server, and is then both the thing to start and the client to call it with.
 * With `states` it has a function for each state (callback mode `state_functions`); with `handleEvent` one function for all
 * (`handle_event_function`), and a state may then be any data. Callbacks are given the event and the data and return what the
 * functions of statem-results.ts make; they may be async. With `stateEnter` they are called with an `enter` event, too.
 *
 * The machine itself is in statem-behaviour.ts.
 */
import type { ExitReason } from './errors.ts'
import { CALL_TIMEOUT_MS, type Caller, call, callerProcess, cast, type ServerRef, type Timeout } from './gen.ts'
import type { Signatures } from './gen-server.ts'
import type { Pid } from './pid.ts'
import { pidOf, type StartOptions, type StartResult, start } from './proc-lib.ts'
import type { Process, ProcessContext } from './process.ts'
import { StatemBehaviour } from './statem-behaviour.ts'
import type { EnterEvent, StatemEvent, StatemInit, StatemResult } from './statem-results.ts'

export * from './statem-results.ts'

// A callback that returns nothing keeps state and data.
// biome-ignore lint/suspicious/noConfusingVoidType: callbacks without a return statement are typed void
type CallbackResult<State, Data> = StatemResult<State, Data> | undefined | void
type MaybePromise<T> = T | Promise<T>

interface CommonDefinition<State, Data, Arg> {
  /** Names the machine in reports and observers. */
  readonly label?: string
  readonly init: (arg: Arg, self: ProcessContext) => MaybePromise<StatemInit<State, Data>>
  /** Calls the callbacks with an `enter` event whenever a state is entered; such a call can neither postpone, insert events nor change the state. */
  readonly stateEnter?: boolean
  readonly terminate?: (reason: ExitReason, state: State, data: Data, self: ProcessContext) => unknown
  /** What `sys` and crash reports show; hides secrets. */
  readonly formatStatus?: (state: State, data: Data) => unknown
}

/** The event of a callback; `enter` events come only with `stateEnter`. */
type EventFor<State, Calls extends Signatures, Casts extends Signatures> = StatemEvent<Calls, Casts> | EnterEvent<State>

/** A machine with a function for each state. */
export interface StateFunctions<State extends string, Data, Calls extends Signatures, Casts extends Signatures, Arg>
  extends CommonDefinition<State, Data, Arg> {
  readonly states: {
    readonly [S in State]: (
      event: EventFor<State, Calls, Casts>,
      data: Data,
      self: ProcessContext,
    ) => MaybePromise<CallbackResult<State, Data>>
  }
}

/** A machine with one function for all states. */
export interface HandleEventFunction<State, Data, Calls extends Signatures, Casts extends Signatures, Arg>
  extends CommonDefinition<State, Data, Arg> {
  readonly handleEvent: (
    event: EventFor<State, Calls, Casts>,
    state: State,
    data: Data,
    self: ProcessContext,
  ) => MaybePromise<CallbackResult<State, Data>>
}

export type StatemDefinition<State, Data, Calls extends Signatures, Casts extends Signatures, Arg> =
  | StateFunctions<State & string, Data, Calls, Casts, Arg>
  | HandleEventFunction<State, Data, Calls, Casts, Arg>

/** A declared machine: start it, call it. */
export interface GenStatem<Calls extends Signatures, Casts extends Signatures, Arg> {
  /** Starts a machine linked to the caller. Rejects with `Exit` when `init` fails. */
  startLink(parent: Caller, arg: Arg, options?: StartOptions): Promise<Pid>
  /** As `startLink`, without the link. */
  start(parent: Caller, arg: Arg, options?: StartOptions): Promise<Pid>
  /** How a supervisor starts it. */
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

/** Declares a state machine. */
export function genStatem<
  State,
  Data,
  Calls extends Signatures = None,
  Casts extends Signatures = None,
  Arg = undefined,
>(definition: StatemDefinition<State, Data, Calls, Casts, Arg>): GenStatem<Calls, Casts, Arg> {
  const untyped = definition as unknown as ConstructorParameters<typeof StatemBehaviour>[1]
  const begin = (parent: Process, arg: Arg, options: StartOptions): StartResult | Promise<StartResult> =>
    start(parent, (self) => new StatemBehaviour(self, untyped, arg), {
      label: definition.label ?? 'gen_statem',
      ...options,
    })
  return {
    startLink: (parent, arg, options) => pidOf(begin(callerProcess(parent), arg, { ...options, link: true })),
    start: (parent, arg, options = {}) => pidOf(begin(callerProcess(parent), arg, options)),
    starter: (arg, options) => (parent) => begin(parent as Process, arg, { ...options, link: true }),
    call: (caller, to, name, ...args) => call(caller, to, [name, ...args], CALL_TIMEOUT_MS) as Promise<never>,
    callWithin: (caller, timeoutMs, to, name, ...args) =>
      call(caller, to, [name, ...args], timeoutMs) as Promise<never>,
    cast: (caller, to, name, ...args) => cast(caller, to, [name, ...args]),
  }
}
