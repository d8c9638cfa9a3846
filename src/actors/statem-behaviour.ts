/**
 * The machine behind gen_statem: its event queue, postponed events, timeouts and state transitions [OTP gen_statem, "Transition Actions"].
 *
 * A message becomes an event at the end of the queue, and events are handled until the queue is empty. Events that a callback
 * inserts come first; when the state changes, the postponed ones come before all others, oldest first. Timeouts of 0 ms are
 * no timers but events at the end of the queue.
 */
import { isDeepStrictEqual } from 'node:util'
import { type ExitReason, exitReasonOf } from './errors.ts'
import { type CallMessage, type CastMessage, type From, reply as sendReply, type Timeout } from './gen.ts'
import { type InitAnswer, reportCrash, type StartableBehaviour } from './proc-lib.ts'
import type { Process, ProcessContext } from './process.ts'
import type { ExitMessage } from './signal.ts'
import type { Action, AnyEvent, StatemInit, StatemResult, TimerName } from './statem-results.ts'
import { isPromiseLike, runSteps, type Steps, settled } from './supervisor/steps.ts'
import { isSystemCall, type SystemCallbacks, SystemState } from './sys.ts'

type Callback = (...args: unknown[]) => unknown
type Result = StatemResult<unknown, unknown>

/** A definition without its types. */
export interface UntypedStatem {
  readonly label?: string
  readonly init: (
    arg: unknown,
    self: ProcessContext,
  ) => StatemInit<unknown, unknown> | Promise<StatemInit<unknown, unknown>>
  readonly states?: Readonly<Record<string, Callback>>
  readonly handleEvent?: Callback
  readonly stateEnter?: boolean
  readonly terminate?: (reason: ExitReason, state: unknown, data: unknown, self: ProcessContext) => unknown
  readonly formatStatus?: (state: unknown, data: unknown) => unknown
}

interface Timer {
  /** Undefined for 0 ms: it is due at once. */
  handle: object | undefined
  content: unknown
}

/** A timeout is due, in the mailbox or, for 0 ms, in the queue. It counts only while its timer has not been replaced. */
class TimeoutDue {
  readonly name: TimerName
  readonly timer: Timer

  constructor(name: TimerName, timer: Timer) {
    this.name = name
    this.timer = timer
  }
}

/** In the mailbox, before all messages: enter the initial state. */
const BEGIN = Symbol('begin')

export class StatemBehaviour implements StartableBehaviour, SystemCallbacks {
  readonly behaviour = 'gen_statem'
  readonly #self: Process
  readonly #definition: UntypedStatem
  readonly #arg: unknown
  #state: unknown = undefined
  #data: unknown = undefined
  #initialActions: readonly Action[] = []
  /** Events to be handled, the next one first. */
  #queue: (AnyEvent | TimeoutDue)[] = []
  /** Oldest first. */
  #postponed: AnyEvent[] = []
  readonly #timers = new Map<TimerName, Timer>()
  #system: SystemState | undefined = undefined
  #ended = false
  /** The event that is being handled, for the crash report. */
  #current: unknown = undefined

  constructor(self: Process, definition: UntypedStatem, arg: unknown) {
    this.#self = self
    this.#definition = definition
    this.#arg = arg
  }

  get module(): string {
    return this.#definition.label ?? 'gen_statem'
  }

  get state(): unknown {
    return this.getState()
  }

  get saved(): readonly unknown[] {
    return [...this.#postponed, ...(this.#system?.waiting ?? [])]
  }

  init(): InitAnswer | Promise<InitAnswer> {
    const result = this.#definition.init(this.#arg, this.#self)
    return result instanceof Promise ? result.then((value) => this.#initialised(value)) : this.#initialised(result)
  }

  receive(message: unknown): unknown {
    if (isSystemCall(message)) return this.#systemState().handle(message)
    const system = this.#system
    if (system?.suspended) return system.postpone(message)
    if (system?.observed) system.event({ in: message })
    if (this.#isParentExit(message)) return this.#end(message.reason)
    if (message !== BEGIN) this.#queue.push(this.#eventOf(message))
    return this.#guarded(runStepsOf(() => (message === BEGIN ? this.#begin() : this.#drain())))
  }

  receiveSystem(message: unknown): boolean {
    if (!isSystemCall(message) || message.request[0] === 'terminate') return false
    this.#systemState().handle(message)
    return true
  }

  getState(): unknown {
    const { formatStatus } = this.#definition
    return formatStatus === undefined ? { state: this.#state, data: this.#data } : formatStatus(this.#state, this.#data)
  }

  replaceState(replacement: unknown): void {
    const { state, data } = replacement as { state: unknown; data: unknown }
    this.#state = state
    this.#data = data
  }

  systemTerminate(reason: ExitReason): unknown {
    return this.#end(reason)
  }

  #initialised(result: StatemInit<unknown, unknown>): InitAnswer {
    if (result.tag === 'ignore') return 'ignore'
    if (result.tag === 'init_stop') return { error: result.reason }
    this.#state = result.state
    this.#data = result.data
    this.#initialActions = result.actions
    this.#self.putBack([BEGIN])
    return undefined
  }

  *#begin(): Steps<void> {
    const actions = this.#initialActions
    this.#initialActions = []
    const inserted = this.#insertedBy(actions)
    const due = this.#perform(actions)
    if (!(yield* this.#enter(this.#state, due))) return
    this.#queue = [...inserted, ...this.#queue, ...due]
    yield* this.#drain()
  }

  *#drain(): Steps<void> {
    while (this.#queue.length > 0) {
      const entry = this.#queue.shift()!
      const event = entry instanceof TimeoutDue ? this.#takeTimeout(entry) : entry
      if (event === undefined) continue
      if (event.type !== 'timeout') this.#cancel('timeout')
      this.#current = event
      const result = yield* this.#invoke(event)
      if (!(yield* this.#transition(event, result))) return
    }
    this.#current = undefined
  }

  /** Applies the result of a callback; returns false when the machine has ended. */
  *#transition(event: AnyEvent, result: Result | undefined): Steps<boolean> {
    if (!this.#self.alive) return false
    if (result === undefined) return true
    if (!isResult(result)) throw new StatemError('bad_return_from_state_function', result)
    if (result.tag === 'stop' || result.tag === 'stop_and_reply') {
      yield* settled(this.#stop(result))
      return false
    }
    const { actions } = result
    const before = this.#state
    if ('data' in result) this.#data = result.data
    if (result.tag === 'next_state') this.#state = result.state
    const changed = !isSame(before, this.#state)
    if (changed) this.#cancel('state_timeout')
    const isPostponed = actions.some(({ action }) => action === 'postpone')
    if (isPostponed) this.#postponed.push(event)
    const inserted = this.#insertedBy(actions)
    const due = this.#perform(actions)
    const repeats = result.tag === 'repeat_state' || result.tag === 'repeat_state_and_data'
    if ((changed || repeats) && !(yield* this.#enter(before, due))) return false
    const retried = changed ? this.#postponed.splice(0) : []
    if (inserted.length + retried.length + due.length > 0) {
      this.#queue = [...inserted, ...retried, ...this.#queue, ...due]
    }
    return true
  }

  /** The state enter call; returns false when the machine has ended. */
  *#enter(oldState: unknown, due: TimeoutDue[]): Steps<boolean> {
    if (!this.#definition.stateEnter) return true
    for (;;) {
      const result = yield* this.#invoke({ type: 'enter', oldState } as AnyEvent)
      if (!this.#self.alive) return false
      if (result === undefined) return true
      if (!isResult(result)) throw new StatemError('bad_state_enter_return_from_state_function', result)
      if (result.tag === 'stop' || result.tag === 'stop_and_reply') {
        yield* settled(this.#stop(result))
        return false
      }
      const isMove = result.tag === 'next_state' && !isSame(result.state, this.#state)
      if (isMove || result.actions.some(({ action }) => action === 'postpone' || action === 'next_event')) {
        throw new StatemError('bad_state_enter_return_from_state_function', result)
      }
      if ('data' in result) this.#data = result.data
      due.push(...this.#perform(result.actions))
      if (result.tag !== 'repeat_state' && result.tag !== 'repeat_state_and_data') return true
    }
  }

  *#invoke(event: AnyEvent): Steps<Result | undefined> {
    const { states, handleEvent } = this.#definition
    if (states === undefined) {
      return (yield* settled(handleEvent!(event, this.#state, this.#data, this.#self))) as Result | undefined
    }
    const callback = Object.hasOwn(states, String(this.#state)) ? states[String(this.#state)] : undefined
    if (callback === undefined) throw new StatemError('undef', this.#state)
    return (yield* settled(callback(event, this.#data, this.#self))) as Result | undefined
  }

  /** Sends replies and sets timeouts; returns the timeouts of 0 ms, which are due. */
  #perform(actions: readonly Action[]): TimeoutDue[] {
    const due: TimeoutDue[] = []
    for (const action of actions) {
      if (action.action === 'reply') this.#reply(action.from, action.value)
      else if (action.action === 'timeout') this.#setTimeout(action.timer, action.ms, action.content, due)
    }
    return due
  }

  #insertedBy(actions: readonly Action[]): AnyEvent[] {
    const events: AnyEvent[] = []
    for (const action of actions) if (action.action === 'next_event') events.push(action.event)
    return events
  }

  #setTimeout(name: TimerName, ms: Timeout | 'update', content: unknown, due: TimeoutDue[]): void {
    const running = this.#timers.get(name)
    if (ms === 'update' && running !== undefined) {
      running.content = content
      return
    }
    this.#cancel(name)
    if (ms === 'infinity') return
    const timer: Timer = { handle: undefined, content }
    const entry = new TimeoutDue(name, timer)
    this.#timers.set(name, timer)
    if (ms === 0 || ms === 'update') due.push(entry)
    else timer.handle = this.#self.runtime.timers.set(ms, () => this.#self.deliver(entry))
  }

  #cancel(name: TimerName): void {
    const timer = this.#timers.get(name)
    if (timer === undefined) return
    if (timer.handle !== undefined) this.#self.runtime.timers.clear(timer.handle)
    this.#timers.delete(name)
  }

  #takeTimeout({ name, timer }: TimeoutDue): AnyEvent | undefined {
    if (this.#timers.get(name) !== timer) return undefined
    this.#timers.delete(name)
    return timeoutEvent(name, timer.content)
  }

  #eventOf(message: unknown): AnyEvent | TimeoutDue {
    if (message instanceof TimeoutDue) return message
    const tag = typeof message === 'object' && message !== null ? (message as { tag?: unknown }).tag : undefined
    if (tag === '$gen_call' || tag === '$gen_cast') {
      const { request } = message as CallMessage | CastMessage
      const [name, ...args] = request
      if (tag === '$gen_cast') return { type: 'cast', name, args } as AnyEvent
      return { type: 'call', from: (message as CallMessage).from, name, args } as AnyEvent
    }
    return { type: 'info', content: message }
  }

  #isParentExit(message: unknown): message is ExitMessage {
    const exit = message as ExitMessage | null
    return typeof exit === 'object' && exit?.tag === 'EXIT' && this.#self.parent?.equals(exit.from) === true
  }

  #reply(from: From, value: unknown): void {
    sendReply(this.#self, from, value)
    if (this.#system?.observed) this.#system.event({ out: value, to: from.pid })
  }

  #stop(result: Result & { tag: 'stop' | 'stop_and_reply' }): unknown {
    if ('data' in result) this.#data = result.data
    if (result.tag === 'stop_and_reply') this.#perform(result.replies)
    return this.#end(result.reason)
  }

  /** Ends the machine with what its callbacks throw or reject with. */
  #guarded(run: { thrown: unknown } | { value: unknown }): unknown {
    if ('thrown' in run) return this.#end(reasonOf(run.thrown))
    if (!isPromiseLike(run.value)) return undefined
    return run.value.then(undefined, (thrown: unknown) => this.#end(reasonOf(thrown)))
  }

  #end(reason: ExitReason): unknown {
    if (this.#ended || !this.#self.alive) return undefined
    this.#ended = true
    for (const name of [...this.#timers.keys()]) this.#cancel(name)
    let pending: unknown
    try {
      pending = this.#definition.terminate?.(reason, this.#state, this.#data, this.#self)
    } catch (thrown) {
      return this.#exit(exitReasonOf(thrown))
    }
    if (!isPromiseLike(pending)) return this.#exit(reason)
    return pending.then(
      () => this.#exit(reason),
      (thrown: unknown) => this.#exit(exitReasonOf(thrown)),
    )
  }

  #exit(reason: ExitReason): void {
    if (!this.#self.alive) return
    reportCrash(this.#self, reason, {
      lastEvent: this.#current,
      state: this.#readable(),
      postponed: this.#postponed.length,
    })
    this.#self.runtime.terminate(this.#self, reason)
  }

  #readable(): unknown {
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

/** A result that the rules of gen_statem do not allow. */
class StatemError extends Error {
  readonly reason: ExitReason

  constructor(name: string, term: unknown) {
    super(name)
    this.reason = { [name]: term }
  }
}

function reasonOf(thrown: unknown): ExitReason {
  return thrown instanceof StatemError ? thrown.reason : exitReasonOf(thrown)
}

function timeoutEvent(name: TimerName, content: unknown): AnyEvent {
  if (name === 'timeout' || name === 'state_timeout') return { type: name, content }
  return { type: 'generic_timeout', name: name.slice('generic:'.length), content } as AnyEvent
}

/** False for what only code that the compiler did not see returns. */
function isResult(result: unknown): boolean {
  if (typeof result !== 'object' || result === null) return false
  const { tag, actions } = result as { tag?: unknown; actions?: unknown }
  return tag === 'stop' || tag === 'stop_and_reply' || Array.isArray(actions)
}

/** States are compared by value, as Erlang's `=:=` does. */
function isSame(a: unknown, b: unknown): boolean {
  return Object.is(a, b) || (typeof a === 'object' && isDeepStrictEqual(a, b))
}

function runStepsOf(steps: () => Steps<void>): { value: unknown } | { thrown: unknown } {
  try {
    return { value: runSteps(steps()) }
  } catch (thrown) {
    return { thrown }
  }
}
