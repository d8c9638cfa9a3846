/**
 * The handlers of an event manager: what they are made of, and the manager's dealings with them [OTP gen_event, callbacks].
 */
import { type ExitReason, exitReasonOf, isOrderly } from './errors.ts'
import type { Pid } from './pid.ts'
import type { Process, ProcessContext } from './process.ts'
import type { ExitMessage } from './signal.ts'
import { type Steps, settled } from './supervisor/steps.ts'

/** Names a handler: its name, or name and id. */
export type HandlerRef = string | { readonly name: string; readonly id?: string | undefined }

/** What a handler's callbacks return; nothing at all keeps the state. */
export type HandlerResult<State> =
  | { readonly tag: 'keep_handler'; readonly state: State }
  | { readonly tag: 'remove_handler' }
  | {
      readonly tag: 'swap_handler'
      readonly arg: unknown
      readonly next: AnyHandler
      readonly nextArg: unknown
      readonly id: string | undefined
    }

/** Why `terminate` is called: with the argument of `deleteHandler` or `swapHandler`, or one of these. */
export type TerminateArg =
  | 'remove_handler'
  | 'stop'
  | { readonly stop: ExitReason }
  | { readonly error: ExitReason }
  | { readonly arg: unknown }

// A callback that returns nothing keeps the state.
// biome-ignore lint/suspicious/noConfusingVoidType: callbacks without a return statement are typed void
type Result<State> = HandlerResult<State> | undefined | void
type MaybePromise<T> = T | Promise<T>

/** An event handler: a callback module of OTP. */
export interface EventHandler<Event, State, Arg> {
  readonly name: string
  /** Returns the state; a throw refuses to be added. */
  readonly init: (arg: Arg, self: ProcessContext) => MaybePromise<State>
  readonly handleEvent: (event: Event, state: State, self: ProcessContext) => MaybePromise<Result<State>>
  /** Answers a call: the reply, and how to go on. */
  readonly handleCall?: (
    request: unknown,
    state: State,
    self: ProcessContext,
  ) => MaybePromise<{ readonly reply: unknown; readonly next?: HandlerResult<State> }>
  /** Messages that are no events. */
  readonly handleInfo?: (message: unknown, state: State, self: ProcessContext) => MaybePromise<Result<State>>
  readonly terminate?: (arg: TerminateArg, state: State, self: ProcessContext) => unknown
}

/** A handler without its types. */
export type AnyHandler = EventHandler<unknown, unknown, unknown>

/** Goes on with a state. */
export function keepHandler<State>(state: State): HandlerResult<State> {
  return { tag: 'keep_handler', state }
}

/** Takes the handler out, through its `terminate` with `remove_handler`. */
export function removeHandler(): HandlerResult<never> {
  return { tag: 'remove_handler' }
}

/** Puts another handler in the place of this one; its `init` gets `{ arg, from }` as with the manager's `swapHandler`. */
export function swapHandler<Event, State, Arg>(
  arg: unknown,
  next: EventHandler<Event, State, { arg: Arg; from: unknown }>,
  nextArg: Arg,
  id?: string,
): HandlerResult<never> {
  return { tag: 'swap_handler', arg, next: next as unknown as AnyHandler, nextArg, id }
}

interface Entry {
  readonly key: string
  readonly handler: AnyHandler
  /** The process that the handler is tied to. */
  readonly owner: Pid | undefined
  state: unknown
}

type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: ExitReason }

export class EventHandlers {
  readonly #self: Process
  /** By key, in the order in which they were added. */
  readonly #entries = new Map<string, Entry>()

  constructor(self: Process) {
    this.#self = self
  }

  names(): string[] {
    return [...this.#entries.keys()].reverse()
  }

  states(): Record<string, unknown> {
    return Object.fromEntries(Array.from(this.#entries.values(), ({ key, state }) => [key, state]))
  }

  *add(
    handler: AnyHandler,
    arg: unknown,
    id: string | undefined,
    owner: Pid | undefined,
  ): Steps<{ ok: true } | { ok: false; reason: ExitReason }> {
    const key = id === undefined ? handler.name : `${handler.name}/${id}`
    if (this.#entries.has(key)) return { ok: false, reason: 'already_present' }
    const started = yield* this.#attempt(() => handler.init(arg, this.#self))
    if (!started.ok) return started
    if (owner !== undefined) this.#self.link(owner)
    this.#entries.set(key, { key, handler, owner, state: started.value })
    return { ok: true }
  }

  *remove(key: string, arg: unknown): Steps<Outcome<unknown>> {
    const entry = this.#entries.get(key)
    if (entry === undefined) return { ok: false, reason: 'module_not_found' }
    const value = yield* this.#takeOut(entry, { arg }, 'normal')
    return { ok: true, value }
  }

  *swap(
    key: string,
    arg: unknown,
    next: AnyHandler,
    nextArg: unknown,
    id: string | undefined,
  ): Steps<{ ok: true } | { ok: false; reason: ExitReason }> {
    const entry = this.#entries.get(key)
    const nextKey = id === undefined ? next.name : `${next.name}/${id}`
    const from = entry === undefined ? 'error' : yield* this.#takeOut(entry, { arg }, { swapped: nextKey })
    return yield* this.add(next, { arg: nextArg, from }, id, entry?.owner)
  }

  *call(key: string, request: unknown): Steps<Outcome<unknown>> {
    const entry = this.#entries.get(key)
    if (entry?.handler.handleCall === undefined) return { ok: false, reason: 'bad_module' }
    const { handleCall } = entry.handler
    const answered = yield* this.#attempt(() => handleCall(request, entry.state, this.#self))
    const isAnswer = answered.ok && typeof answered.value === 'object' && answered.value !== null
    const result: typeof answered =
      answered.ok && !isAnswer ? { ok: false, reason: { bad_return_value: answered.value } } : answered
    if (!result.ok) {
      yield* this.#failed(entry, result.reason, request)
      return result
    }
    yield* this.#apply(entry, result.value.next, request)
    return { ok: true, value: result.value.reply }
  }

  *notify(event: unknown): Steps<void> {
    for (const entry of this.#newestFirst()) {
      const result = yield* this.#attempt(() => entry.handler.handleEvent(event, entry.state, this.#self))
      if (result.ok) yield* this.#apply(entry, result.value, event)
      else yield* this.#failed(entry, result.reason, event)
    }
  }

  *info(message: unknown): Steps<void> {
    for (const entry of this.#newestFirst()) {
      const { handleInfo } = entry.handler
      if (handleInfo === undefined) continue
      const result = yield* this.#attempt(() => handleInfo(message, entry.state, this.#self))
      if (result.ok) yield* this.#apply(entry, result.value, message)
      else yield* this.#failed(entry, result.reason, message)
    }
  }

  /** A linked process has ended: its handlers go with it. The others take the exit for a message. */
  *exited(message: ExitMessage): Steps<void> {
    const own = this.#newestFirst().filter(({ owner }) => owner?.equals(message.from))
    for (const entry of own) yield* this.#takeOut(entry, { stop: message.reason }, undefined)
    if (own.length === 0) yield* this.info(message)
  }

  *terminate(arg: TerminateArg): Steps<void> {
    for (const entry of this.#newestFirst()) yield* this.#takeOut(entry, arg, 'shutdown')
  }

  #newestFirst(): Entry[] {
    return [...this.#entries.values()].reverse()
  }

  *#apply(entry: Entry, result: unknown, event: unknown): Steps<void> {
    if (result === undefined) return
    const known = result as HandlerResult<unknown>
    switch (known?.tag) {
      case 'keep_handler':
        entry.state = known.state
        return
      case 'remove_handler':
        yield* this.#takeOut(entry, 'remove_handler', 'normal')
        return
      case 'swap_handler': {
        const { arg, next, nextArg, id } = known
        yield* this.swap(entry.key, arg, next, nextArg, id)
        return
      }
      default:
        yield* this.#failed(entry, { bad_return_value: result }, event)
    }
  }

  *#failed(entry: Entry, reason: ExitReason, event: unknown): Steps<void> {
    this.#self.runtime.logger.error(
      { report: 'gen_event', manager: this.#self.name ?? this.#self.pid, handler: entry.key, reason, lastEvent: event },
      `event handler ${entry.key} crashed and was removed`,
    )
    yield* this.#takeOut(entry, { error: reason }, reason)
  }

  /** Takes a handler out through its `terminate`, returns what that returned, and tells its owner, unless it is that who has ended. */
  *#takeOut(entry: Entry, arg: TerminateArg, tell: ExitReason): Steps<unknown> {
    const { key, handler, owner, state } = entry
    if (!this.#entries.delete(key)) return undefined
    const { terminate } = handler
    const result = terminate === undefined ? undefined : yield* this.#attempt(() => terminate(arg, state, this.#self))
    if (result !== undefined && !result.ok && !isOrderly(result.reason)) {
      this.#self.runtime.logger.error(
        { report: 'gen_event', manager: this.#self.name ?? this.#self.pid, handler: key, reason: result.reason },
        `terminate of event handler ${key} failed`,
      )
    }
    if (owner !== undefined && tell !== undefined) {
      const isLast = ![...this.#entries.values()].some((other) => other.owner?.equals(owner))
      if (isLast) this.#self.unlink(owner)
      this.#self.send(owner, { tag: 'gen_event_EXIT', handler: key, reason: tell })
    }
    return result?.ok ? result.value : undefined
  }

  /** Runs a callback; what it throws or rejects with is its outcome. */
  *#attempt<T>(callback: () => T | Promise<T>): Steps<Outcome<T>> {
    try {
      return { ok: true, value: yield* settled(callback()) }
    } catch (thrown) {
      return { ok: false, reason: exitReasonOf(thrown) }
    }
  }
}
