/**
 * What callbacks of a gen_statem are given and what they return: events, actions, results [OTP gen_statem].
 *
 * Everything is plain data; the functions here only make it readable. Times are milliseconds; `infinity` cancels a timeout.
 */
import type { ExitReason } from './errors.ts'
import type { From, Timeout } from './gen.ts'
import type { Signatures } from './gen-server.ts'

type CallEvents<Calls extends Signatures> = {
  [K in keyof Calls & string]: {
    readonly type: 'call'
    readonly from: From
    readonly name: K
    readonly args: Parameters<Calls[K]>
  }
}[keyof Calls & string]

type CastEvents<Casts extends Signatures> = {
  [K in keyof Casts & string]: { readonly type: 'cast'; readonly name: K; readonly args: Parameters<Casts[K]> }
}[keyof Casts & string]

/** An event that is not a request: timeouts, other messages, events that the machine gave itself. */
export type CommonEvent =
  /** Any other message: DOWN, EXIT when exits are trapped, plain sends. */
  | { readonly type: 'info'; readonly content: unknown }
  /** No other event came within the time. */
  | { readonly type: 'timeout'; readonly content: unknown }
  /** The state was not left within the time. */
  | { readonly type: 'state_timeout'; readonly content: unknown }
  | { readonly type: 'generic_timeout'; readonly name: string; readonly content: unknown }
  /** Inserted by `nextEvent`. */
  | { readonly type: 'internal'; readonly content: unknown }

/** An event: a request with its arguments, or a common one. */
export type StatemEvent<Calls extends Signatures, Casts extends Signatures> =
  | CallEvents<Calls>
  | CastEvents<Casts>
  | CommonEvent

/** The state was entered, with state enter calls; `oldState` is the state itself for the initial one. */
export interface EnterEvent<State> {
  readonly type: 'enter'
  readonly oldState: State
}

/** What is done after a callback, in order. */
export type Action =
  | { readonly action: 'postpone' }
  | { readonly action: 'next_event'; readonly event: AnyEvent }
  | { readonly action: 'reply'; readonly from: From; readonly value: unknown }
  | {
      readonly action: 'timeout'
      readonly timer: TimerName
      readonly ms: Timeout | 'update'
      readonly content: unknown
    }

/** An event as the machine handles it inside. */
export type AnyEvent = { readonly type: string; readonly content?: unknown }

/** `timeout` and `state_timeout` are the machine's own; generic ones have the prefix `generic:`. */
export type TimerName = 'timeout' | 'state_timeout' | `generic:${string}`

/** What a state callback returns. Without a result the state and the data stay. */
export type StatemResult<State, Data> =
  | { readonly tag: 'next_state'; readonly state: State; readonly data: Data; readonly actions: readonly Action[] }
  | { readonly tag: 'keep_state'; readonly data: Data; readonly actions: readonly Action[] }
  | { readonly tag: 'keep_state_and_data'; readonly actions: readonly Action[] }
  | { readonly tag: 'repeat_state'; readonly data: Data; readonly actions: readonly Action[] }
  | { readonly tag: 'repeat_state_and_data'; readonly actions: readonly Action[] }
  | { readonly tag: 'stop'; readonly reason: ExitReason; readonly data?: Data }
  | {
      readonly tag: 'stop_and_reply'
      readonly reason: ExitReason
      readonly replies: readonly Action[]
      readonly data?: Data
    }

/** Results of `init`. */
export type StatemInit<State, Data> =
  | { readonly tag: 'ok'; readonly state: State; readonly data: Data; readonly actions: readonly Action[] }
  | { readonly tag: 'ignore' }
  | { readonly tag: 'init_stop'; readonly reason: ExitReason }

/** `init` went well: the initial state and data. `ignore` and `initStop` are those of gen_server. */
export function started<State, Data>(state: State, data: Data, ...actions: Action[]): StatemInit<State, Data> {
  return { tag: 'ok', state, data, actions }
}

/** Goes to a state, which may be the same; a change retries postponed events and cancels the state timeout. */
export function nextState<State, Data>(state: State, data: Data, ...actions: Action[]): StatemResult<State, Data> {
  return { tag: 'next_state', state, data, actions }
}

/** Stays in the state with new data. */
export function keepState<Data>(data: Data, ...actions: Action[]): StatemResult<never, Data> {
  return { tag: 'keep_state', data, actions }
}

/** Stays as it is. */
export function keepStateAndData(...actions: Action[]): StatemResult<never, never> {
  return { tag: 'keep_state_and_data', actions }
}

/** As `keepState`, and makes the state enter call again. */
export function repeatState<Data>(data: Data, ...actions: Action[]): StatemResult<never, Data> {
  return { tag: 'repeat_state', data, actions }
}

/** As `keepStateAndData`, and makes the state enter call again. */
export function repeatStateAndData(...actions: Action[]): StatemResult<never, never> {
  return { tag: 'repeat_state_and_data', actions }
}

/** Ends the machine through `terminate`. */
export function stopStatem<Data = never>(reason: ExitReason, ...data: [data?: Data]): StatemResult<never, Data> {
  return data.length === 0 ? { tag: 'stop', reason } : { tag: 'stop', reason, data: data[0] as Data }
}

/** Sends replies, then ends the machine through `terminate`. */
export function stopStatemAndReply<Data = never>(
  reason: ExitReason,
  replies: readonly Action[],
  ...data: [data?: Data]
): StatemResult<never, Data> {
  const result = { tag: 'stop_and_reply', reason, replies } as const
  return data.length === 0 ? result : { ...result, data: data[0] as Data }
}

/** Keeps the event until the state changes, when it comes again, before later ones. */
export function postpone(): Action {
  return { action: 'postpone' }
}

/** Inserts an `internal` event, handled before all that wait; several keep their order. */
export function nextEvent(content: unknown): Action {
  return { action: 'next_event', event: { type: 'internal', content } }
}

/** Answers a call, this one or an earlier one. */
export function replyAction(from: From, value: unknown): Action {
  return { action: 'reply', from, value }
}

/** A timeout for leaving the state. 0: handled after the events that the machine has by now, before any not yet received. */
export function stateTimeout(ms: Timeout, content?: unknown): Action {
  return { action: 'timeout', timer: 'state_timeout', ms, content }
}

/** A timeout that any event cancels. */
export function eventTimeout(ms: Timeout, content?: unknown): Action {
  return { action: 'timeout', timer: 'timeout', ms, content }
}

/** A timeout of a name, which only its own name cancels or starts anew. */
export function genericTimeout(name: string, ms: Timeout, content?: unknown): Action {
  return { action: 'timeout', timer: `generic:${name}`, ms, content }
}

/** Changes what a running timeout will deliver; 0 ms when it does not run. `name`: of a generic one. */
export function updateTimeout(name: 'timeout' | 'state_timeout' | { generic: string }, content: unknown): Action {
  return { action: 'timeout', timer: timerName(name), ms: 'update', content }
}

/** Cancels a timeout; nothing happens when it does not run. */
export function cancelTimeout(name: 'timeout' | 'state_timeout' | { generic: string }): Action {
  return { action: 'timeout', timer: timerName(name), ms: 'infinity', content: undefined }
}

function timerName(name: 'timeout' | 'state_timeout' | { generic: string }): TimerName {
  return typeof name === 'string' ? name : `generic:${name.generic}`
}
