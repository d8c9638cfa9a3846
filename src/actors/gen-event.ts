/**
 * gen_event: an event manager, a process that hands each event to any number of handlers [OTP gen_event].
 *
 * A handler is declared as data, as a callback module of OTP, and is added with an argument; the same can be added several
 * times under different ids. Handlers are called one after the other, the one added last first. A handler that throws, rejects or
 * returns what it must not is taken out and reported; the manager and the other handlers go on. With `addSupHandler` a handler
 * belongs to a process: it goes when the process ends, and the process is told, by `{ tag: 'gen_event_EXIT' }`, when it goes.
 *
 * The handlers themselves are kept by event-handlers.ts.
 */

import type { ExitReason } from './errors.ts'
import { type AnyHandler, type EventHandler, EventHandlers, type HandlerRef } from './event-handlers.ts'
import { type Caller, call, callerProcess, type Request, type ServerRef, type Timeout } from './gen.ts'
import { type GenServer, genServer, noreply, ok, reply } from './gen-server.ts'
import type { Pid } from './pid.ts'
import type { Process } from './process.ts'
import { isExitMessage } from './signal.ts'
import { runSteps, type Steps } from './supervisor/steps.ts'
import { terminate } from './sys.ts'

export { keepHandler, removeHandler, swapHandler } from './event-handlers.ts'
export type { EventHandler, HandlerRef }

/** What the process of `addSupHandler` receives when its handler is gone: `normal`, `shutdown`, `{ swapped }` or why it failed. */
export interface GenEventExit {
  readonly tag: 'gen_event_EXIT'
  readonly handler: string
  readonly reason: ExitReason
}

export type EventResult = { readonly ok: true } | { readonly ok: false; readonly reason: ExitReason }
export type EventCallResult<R = unknown> =
  | { readonly ok: true; readonly value: R }
  | { readonly ok: false; readonly reason: ExitReason }

/** A declared event manager. */
export interface GenEvent<Event>
  extends Pick<GenServer<EventHandlers, never, never, undefined>, 'startLink' | 'start' | 'starter'> {
  /** Sends an event and goes on. */
  notify(caller: Caller, manager: ServerRef, event: Event): void
  /** Sends an event and resolves when every handler has had it. */
  syncNotify(caller: Caller, manager: ServerRef, event: Event): Promise<void>
  /** Adds a handler; fails with what its `init` threw, or `already_present`. `id` tells several of one kind apart. */
  addHandler<Arg, State>(
    caller: Caller,
    manager: ServerRef,
    handler: EventHandler<Event, State, Arg>,
    arg: Arg,
    id?: string,
  ): Promise<EventResult>
  /** As `addHandler`, and ties the handler to the caller, which is linked to the manager. */
  addSupHandler<Arg, State>(
    caller: Caller,
    manager: ServerRef,
    handler: EventHandler<Event, State, Arg>,
    arg: Arg,
    id?: string,
  ): Promise<EventResult>
  /** Takes a handler out and resolves with what its `terminate` returned. Fails with `module_not_found`. */
  deleteHandler(caller: Caller, manager: ServerRef, handler: HandlerRef, arg: unknown): Promise<EventCallResult>
  /** Replaces a handler: the new one's `init` gets `{ arg, from }`, `from` being what the old one's `terminate` returned, or `'error'`. */
  swapHandler<Arg, State>(
    caller: Caller,
    manager: ServerRef,
    old: { readonly handler: HandlerRef; readonly arg: unknown },
    next: {
      readonly handler: EventHandler<Event, State, { arg: Arg; from: unknown }>
      readonly arg: Arg
      readonly id?: string
    },
  ): Promise<EventResult>
  /** Calls one handler. Fails with `bad_module` when it is not there, or with what it threw, which takes it out. */
  call(
    caller: Caller,
    manager: ServerRef,
    handler: HandlerRef,
    request: unknown,
    timeoutMs?: Timeout,
  ): Promise<EventCallResult>
  /** The handlers, the one added last first, as `name` or `name/id`. */
  whichHandlers(caller: Caller, manager: ServerRef): Promise<string[]>
  /** Ends the manager, each handler through its `terminate`. */
  stop(caller: Caller, manager: ServerRef): Promise<void>
}

type Calls = {
  add_handler: (handler: AnyHandler, arg: unknown, id: string | undefined, owner: Pid | undefined) => EventResult
  delete_handler: (handler: string, arg: unknown) => EventCallResult
  swap_handler: (old: string, arg: unknown, next: AnyHandler, nextArg: unknown, id: string | undefined) => EventResult
  call: (handler: string, request: unknown) => EventCallResult
  sync_notify: (event: unknown) => 'ok'
  which_handlers: () => string[]
}

/** An event on its way to a manager: Erlang's `{notify, Event}`. */
export interface NotifyMessage {
  readonly tag: '$gen_notify'
  readonly event: unknown
}

/** Declares an event manager for events of a type. */
export function genEvent<Event>(definition: { readonly label?: string } = {}): GenEvent<Event> {
  const server = managerOf(definition.label ?? 'gen_event')
  const add = (
    caller: Caller,
    manager: ServerRef,
    handler: unknown,
    arg: unknown,
    id: string | undefined,
    owner?: Pid,
  ) => ask(caller, manager, ['add_handler', handler, arg, id, owner]) as Promise<EventResult>
  return {
    startLink: server.startLink,
    start: server.start,
    starter: server.starter,
    notify,
    syncNotify: async (caller, manager, event) => {
      await ask(caller, manager, ['sync_notify', event])
    },
    addHandler: (caller, manager, handler, arg, id) => add(caller, manager, handler, arg, id),
    addSupHandler: (caller, manager, handler, arg, id) =>
      add(caller, manager, handler, arg, id, callerProcess(caller).pid),
    deleteHandler: (caller, manager, handler, arg) =>
      ask(caller, manager, ['delete_handler', nameOf(handler), arg]) as Promise<EventCallResult>,
    swapHandler: (caller, manager, old, { handler, arg, id }) =>
      ask(caller, manager, ['swap_handler', nameOf(old.handler), old.arg, handler, arg, id]) as Promise<EventResult>,
    call: (caller, manager, handler, request, timeoutMs) =>
      call(caller, manager, ['call', nameOf(handler), request], timeoutMs, '$gen_event') as Promise<EventCallResult>,
    whichHandlers: (caller, manager) => ask(caller, manager, ['which_handlers']) as Promise<string[]>,
    stop: (caller, manager) => terminate(caller, manager, 'normal', 'infinity'),
  }
}

function ask(caller: Caller, manager: ServerRef, request: Request): Promise<unknown> {
  return call(caller, manager, request, 'infinity', '$gen_event')
}

function notify(caller: Caller, manager: ServerRef, event: unknown): void {
  const { runtime, pid } = callerProcess(caller)
  const message: NotifyMessage = { tag: '$gen_notify', event }
  runtime.sendFrom(pid, typeof manager === 'string' ? { name: manager, node: runtime.node.name } : manager, message)
}

function isNotify(message: unknown): message is NotifyMessage {
  return typeof message === 'object' && message !== null && (message as NotifyMessage).tag === '$gen_notify'
}

function nameOf(handler: HandlerRef): string {
  if (typeof handler === 'string') return handler
  return handler.id === undefined ? handler.name : `${handler.name}/${handler.id}`
}

// biome-ignore lint/complexity/noBannedTypes: no casts at all
type Casts = {}

function managerOf(label: string): GenServer<EventHandlers, Calls, Casts, undefined> {
  return genServer<EventHandlers, Calls, Casts, undefined>({
    label,
    behaviour: 'gen_event',
    init: (_, self) => {
      self.processFlag('trap_exit', true)
      return ok(new EventHandlers(self as Process))
    },
    calls: {
      add_handler: ({ state }, handler, arg, id, owner) =>
        isHandler(handler) ? answer(state, state.add(handler, arg, id, owner)) : reply(notHere(handler), state),
      delete_handler: ({ state }, handler, arg) => answer(state, state.remove(handler, arg)),
      swap_handler: ({ state }, old, arg, next, nextArg, id) =>
        isHandler(next) ? answer(state, state.swap(old, arg, next, nextArg, id)) : reply(notHere(next), state),
      call: ({ state }, handler, request) => answer(state, state.call(handler, request)),
      sync_notify: ({ state }, event) => answer(state, told(state, event)),
      which_handlers: ({ state }) => reply(state.names(), state),
    },
    info: ({ state }, message) => goOn(state, heard(state, message)),
    terminate: ({ state }, reason) => runSteps(state.terminate(reason === 'normal' ? 'stop' : { stop: reason })),
    formatState: (state) => state.states(),
  })
}

function heard(state: EventHandlers, message: unknown): Steps<void> {
  if (isNotify(message)) return state.notify(message.event)
  return isExitMessage(message) ? state.exited(message) : state.info(message)
}

/** Another node can name a handler, and cannot send its code. */
function isHandler(handler: unknown): handler is AnyHandler {
  return typeof handler === 'object' && handler !== null && typeof (handler as AnyHandler).init === 'function'
}

function notHere(handler: unknown): EventResult {
  return { ok: false, reason: { undef: handler } }
}

function* told(state: EventHandlers, event: unknown): Steps<'ok'> {
  yield* state.notify(event)
  return 'ok'
}

type Reply<R> = ReturnType<typeof reply<R, EventHandlers>>
type NoReply = ReturnType<typeof noreply<EventHandlers>>

function answer<R>(state: EventHandlers, steps: Steps<R>): Reply<R> | Promise<Reply<R>> {
  const result = runSteps(steps)
  return result instanceof Promise ? result.then((value) => reply(value, state)) : reply(result as R, state)
}

function goOn(state: EventHandlers, steps: Steps<void>): NoReply | Promise<NoReply> {
  const result = runSteps(steps)
  return result instanceof Promise ? result.then(() => noreply(state)) : noreply(state)
}
