/**
 * A process: a pid, one ordered mailbox, links, monitors, and a behaviour that takes its messages one by one.
 *
 * The scheduler runs it when it has mail; a behaviour is therefore never entered while it is already running. A behaviour
 * whose `receive` returns a promise suspends its process until the promise settles: it takes no other message meanwhile,
 * system messages excepted. Whatever a behaviour throws or rejects with ends its process with that reason and goes no
 * further.
 *
 * Differs from OTP: JavaScript cannot be stopped in the middle. Code of a process that was killed while it awaited runs on
 * until it next uses its own context, which then throws `ProcessExitedError`; its result is ignored.
 */
import { BadArgError, Exit, type ExitReason, exitReasonOf, ProcessExitedError } from './errors.ts'
import { type KeyedSet, withMember } from './keyed-set.ts'
import type { Pid } from './pid.ts'
import type { PidSet } from './pid-set.ts'
import { Queue } from './queue.ts'
import type { Ref } from './ref.ts'
import type { Runtime } from './runtime.ts'
import type { Flushable, Runnable } from './scheduler.ts'
import type { Destination, RemoteName, SendOptions } from './signal.ts'

/** What a process does with its messages. */
export interface Behaviour {
  /** Takes one message. A returned promise suspends the process until it settles; any other result is ignored. */
  receive(message: unknown): unknown
  /** A message taken even while `receive` is suspended; returns false for one that is not a system message. */
  receiveSystem?(message: unknown): boolean
  /** Selective receive, of plain processes only. */
  next?(timeoutMs: number | undefined, match: ((message: unknown) => boolean) | undefined): Promise<unknown>
  /** Messages that have left the mailbox without being handled: they count as queued. */
  readonly saved?: readonly unknown[]
  /** Plain data for `sys.getState` and observers, when the behaviour has no better answer. */
  readonly state?: unknown
}

export interface SpawnOptions {
  readonly link?: boolean
  readonly monitor?: boolean
  /** Registers the process under this name before it runs; throws `BadArgError` when the name is taken. */
  readonly name?: string
  /** What the process is, for reports and observers: `module:function/arity` or any words. */
  readonly label?: string
  /** The process ends with `mailbox_overflow` when more messages than this wait for it. */
  readonly maxMailbox?: number
  readonly trapExit?: boolean
}

/** A monitor that a process holds: removed when it fires, at `demonitor`, and when either process dies. */
export interface Monitor {
  readonly ref: Ref
  readonly watcher: Pid
  /** The monitored process when it lives on this node. */
  readonly target: Process | undefined
  /** What DOWN names. */
  readonly object: Pid | RemoteName
  /** Called instead of sending DOWN to the mailbox. */
  readonly onDown: ((reason: ExitReason) => void) | undefined
}

/** What a process can do: the context that its code is given. All times are milliseconds. */
export interface ProcessContext {
  readonly pid: Pid
  readonly runtime: Runtime
  /** Sends a message. Throws `BadArgError` for a local name that is not registered, as Erlang does; else never fails. */
  send(to: Destination, message: unknown, options?: SendOptions): void
  spawn(code: Behaviour | Script | BehaviourFactory, options?: SpawnOptions): Pid
  spawnLink(code: Behaviour | Script | BehaviourFactory, options?: SpawnOptions): Pid
  /** Links both ways; a dead `to` sends back an exit signal `noproc`. */
  link(to: Pid): void
  unlink(to: Pid): void
  /** Returns the reference that the one DOWN message will carry; at once, with `noproc`, when there is no such process. */
  monitor(to: Pid | string | RemoteName): Ref
  /** Removes a monitor. With `flush`, a DOWN that already waits in the mailbox is taken out. */
  demonitor(ref: Ref, options?: { flush?: boolean }): void
  /** Sends an exit signal: `exit/2`. */
  exit(to: Pid, reason: ExitReason): void
  /** Ends this process with `reason` by throwing: `exit/1`. */
  stop(reason: ExitReason): never
  sendAfter(ms: number, to: Destination, message: unknown): Ref
  /** As `sendAfter`, delivering `{ tag: 'timeout', ref, message }`. */
  startTimer(ms: number, to: Destination, message: unknown): Ref
  /** Returns the milliseconds that were left, or false when the timer has fired or never was. */
  cancelTimer(ref: Ref): number | false
  processFlag(flag: 'trap_exit', value: boolean): boolean
  processFlag(flag: 'max_mailbox', value: number): number
  /**
   * With `async_dist` what the process sends to a node whose link is full waits there, and the process goes on: it has to bound what
   * it sends by other means [OTP erlang:process_flag/2, async_dist].
   */
  processFlag(flag: 'async_dist', value: boolean): boolean
  register(name: string): void
  unregister(name: string): void
  /** Calls `flush` once at the end of the scheduler's turn. */
  atTurnEnd(flushable: Flushable): void
  /** Calls `cleanUp` when this process ends, however it ends: for what Erlang ties to its owner, such as a port. */
  onExit(cleanUp: (reason: ExitReason) => void): void
  /** An alias of this process, active until `unalias`: messages sent to it after that vanish. */
  alias(): Ref
  unalias(ref: Ref): boolean
  makeRef(): Ref
}

/** Context of a plain process, which receives selectively. */
export interface ScriptContext extends ProcessContext {
  /** Resolves with the oldest message for which `match` holds, the oldest of all without one. Others stay queued, in order. */
  receive<T = unknown>(match?: (message: unknown) => message is T): Promise<T>
  /** As `receive`, resolving with undefined when nothing matched within `timeoutMs` (0: looks once). */
  receiveWithin<T = unknown>(timeoutMs: number, match?: (message: unknown) => message is T): Promise<T | undefined>
}

/** Code of a plain process; it ends `normal` when the function has returned, and the promise that it may return has resolved. */
export type Script = (self: ScriptContext) => unknown

/** Makes the behaviour of a new process from its context, on its first turn. */
export interface BehaviourFactory {
  create(self: ProcessContext): Behaviour
}

export type ProcessStatus = 'running' | 'runnable' | 'waiting' | 'suspended' | 'exiting'

/** The process object; what user code sees of it is `ProcessContext`. */
export class Process implements ScriptContext, Runnable {
  readonly pid: Pid
  readonly runtime: Runtime
  readonly parent: Pid | undefined
  behaviour: Behaviour
  name: string | undefined = undefined
  label: string | undefined
  alive = true
  trapExit = false
  /** Never blocked by a full link to another node. */
  asyncDist = false
  reductions = 0
  maxMailbox: number
  readonly mailbox = new Queue<unknown>()
  /** All below are undefined until first used, to keep idle processes small. */
  links: PidSet | undefined = undefined
  monitors: KeyedSet<number, Monitor> | undefined = undefined
  monitoredBy: KeyedSet<Monitor, Monitor> | undefined = undefined
  aliases: Set<Ref> | undefined = undefined
  timers: KeyedSet<Ref, Ref> | undefined = undefined
  cleanUps: readonly ((reason: ExitReason) => void)[] | undefined = undefined
  dictionary: Map<string, unknown> | undefined = undefined
  #queued = false
  #running = false
  #suspended = false
  #blocked = false
  #urgent: unknown[] | undefined = undefined

  constructor(runtime: Runtime, pid: Pid, parent: Pid | undefined, behaviour: Behaviour, options: SpawnOptions) {
    this.runtime = runtime
    this.pid = pid
    this.parent = parent
    this.behaviour = behaviour
    this.label = options.label
    this.trapExit = options.trapExit ?? false
    this.maxMailbox = options.maxMailbox ?? Number.POSITIVE_INFINITY
  }

  get status(): ProcessStatus {
    if (!this.alive) return 'exiting'
    if (this.#running) return 'running'
    if (this.#suspended || this.#blocked) return 'suspended'
    return this.#queued ? 'runnable' : 'waiting'
  }

  /** Puts a message into the mailbox; only the runtime calls this. */
  deliver(message: unknown): void {
    if (!this.alive) return
    if ((this.#suspended || this.#blocked) && this.behaviour.receiveSystem !== undefined && isSystemMessage(message)) {
      this.#urgent ??= []
      this.#urgent.push(message)
      this.runtime.scheduler.ready(this)
      return
    }
    const mailbox = this.mailbox
    mailbox.push(message)
    if (mailbox.length > this.maxMailbox) {
      this.runtime.terminate(this, 'mailbox_overflow')
    } else if (!this.#queued) {
      this.#queued = true
      this.runtime.scheduler.ready(this)
    }
  }

  run(reductions: number): boolean {
    if (this.#urgent !== undefined) this.#runUrgent()
    if (this.#suspended || this.#blocked || !this.alive || this.#running) return false
    const mailbox = this.mailbox
    this.#running = true
    let handled = 0
    try {
      while (mailbox.length > 0 && handled < reductions) {
        handled++
        const result = this.behaviour.receive(mailbox.shift())
        if (result !== undefined && isThenable(result)) {
          this.#suspend(result)
          break
        }
        if (!this.alive || this.#blocked) break
      }
    } catch (thrown) {
      this.crash(thrown)
    }
    this.#running = false
    this.reductions += handled
    if (this.#suspended || this.#blocked || !this.alive) return false
    this.#queued = mailbox.length > 0
    return this.#queued
  }

  /** Ends the process with what its code threw. */
  crash(thrown: unknown): void {
    if (!this.alive) return
    const reason = exitReasonOf(thrown)
    this.runtime.reportCrash(this, thrown, reason)
    this.runtime.terminate(this, reason)
  }

  /** Puts messages that were taken before back in front of the mailbox, in order. */
  putBack(messages: readonly unknown[]): void {
    if (messages.length === 0 || !this.alive) return
    this.mailbox.prepend(messages)
    if (this.#queued || this.#running || this.#suspended) return
    this.#queued = true
    this.runtime.scheduler.ready(this)
  }

  /** Takes no message until the promise settles, however it does: for a start that waits for `init`. */
  hold(promise: Promise<unknown>): void {
    this.#suspended = true
    const release = () => this.#resume()
    promise.then(release, release)
  }

  /**
   * Takes no further message until `unblock`: what it sent does not fit into the link to another node. Erlang stops a sender in
   * the middle of its send; here the message at hand is handled to its end.
   */
  block(): void {
    this.#blocked = true
  }

  unblock(): void {
    if (!this.#blocked) return
    this.#blocked = false
    if (!this.#suspended && !this.#running) this.#resume()
  }

  #suspend(promise: PromiseLike<unknown>): void {
    // A foreign thenable may throw, or settle twice: a promise made of it does not.
    const settled = promise instanceof Promise ? promise : Promise.resolve(promise)
    this.#suspended = true
    settled.then(
      () => this.#resume(),
      (thrown: unknown) => {
        this.#suspended = false
        this.crash(thrown)
      },
    )
  }

  #resume(): void {
    this.#suspended = false
    if (!this.alive || this.#blocked) return
    this.#queued = this.mailbox.length > 0
    if (this.#queued) this.runtime.scheduler.ready(this)
  }

  #runUrgent(): void {
    const urgent = this.#urgent!
    this.#urgent = undefined
    for (const message of urgent) {
      if (!this.alive) return
      try {
        if (!this.behaviour.receiveSystem!(message)) this.mailbox.push(message)
      } catch (thrown) {
        this.crash(thrown)
      }
    }
  }

  #assertAlive(): void {
    if (!this.alive) throw new ProcessExitedError(`process ${this.pid} has exited`)
  }

  send(to: Destination, message: unknown, options?: SendOptions): void {
    this.#assertAlive()
    this.runtime.sendFrom(this.pid, to, message, options)
  }

  spawn(code: Behaviour | Script | BehaviourFactory, options: SpawnOptions = {}): Pid {
    this.#assertAlive()
    return this.runtime.spawnFrom(this, code, options).pid
  }

  spawnLink(code: Behaviour | Script | BehaviourFactory, options: SpawnOptions = {}): Pid {
    return this.spawn(code, { ...options, link: true })
  }

  link(to: Pid): void {
    this.#assertAlive()
    this.runtime.link(this, to)
  }

  unlink(to: Pid): void {
    this.#assertAlive()
    this.runtime.unlink(this, to)
  }

  monitor(to: Pid | string | RemoteName): Ref {
    this.#assertAlive()
    return this.runtime.monitor(this, to, undefined)
  }

  demonitor(ref: Ref, options: { flush?: boolean } = {}): void {
    this.runtime.demonitor(this, ref)
    if (options.flush) {
      this.mailbox.removeFirst(
        (message) => typeof message === 'object' && message !== null && 'ref' in message && ref.equals(message.ref),
      )
    }
  }

  exit(to: Pid, reason: ExitReason): void {
    this.#assertAlive()
    this.runtime.exitFrom(this.pid, to, reason)
    // A signal to oneself takes effect before exit/2 returns.
    if (!this.alive) throw new ProcessExitedError(`process ${this.pid} has exited`)
  }

  stop(reason: ExitReason): never {
    throw new Exit(reason)
  }

  sendAfter(ms: number, to: Destination, message: unknown): Ref {
    this.#assertAlive()
    return this.runtime.sendAfter(ms, to, message)
  }

  startTimer(ms: number, to: Destination, message: unknown): Ref {
    this.#assertAlive()
    return this.runtime.startTimer(ms, to, message)
  }

  cancelTimer(ref: Ref): number | false {
    return this.runtime.cancelTimer(ref)
  }

  processFlag(flag: 'trap_exit', value: boolean): boolean
  processFlag(flag: 'max_mailbox', value: number): number
  processFlag(flag: 'async_dist', value: boolean): boolean
  processFlag(flag: 'trap_exit' | 'max_mailbox' | 'async_dist', value: boolean | number): boolean | number {
    this.#assertAlive()
    if (flag === 'trap_exit') {
      const before = this.trapExit
      this.trapExit = value as boolean
      return before
    }
    if (flag === 'async_dist') {
      const before = this.asyncDist
      this.asyncDist = value as boolean
      return before
    }
    const before = this.maxMailbox
    this.maxMailbox = value as number
    return before
  }

  register(name: string): void {
    this.#assertAlive()
    this.runtime.register(name, this.pid)
  }

  unregister(name: string): void {
    this.runtime.unregister(name)
  }

  atTurnEnd(flushable: Flushable): void {
    this.runtime.scheduler.atTurnEnd(flushable)
  }

  onExit(cleanUp: (reason: ExitReason) => void): void {
    this.#assertAlive()
    this.cleanUps = withMember(this.cleanUps ?? [], cleanUp)
  }

  alias(): Ref {
    this.#assertAlive()
    return this.runtime.alias(this, undefined)
  }

  unalias(ref: Ref): boolean {
    return this.runtime.unalias(this, ref)
  }

  makeRef(): Ref {
    return this.runtime.makeRef()
  }

  receive<T = unknown>(match?: (message: unknown) => message is T): Promise<T> {
    return this.#next(undefined, match) as Promise<T>
  }

  receiveWithin<T = unknown>(timeoutMs: number, match?: (message: unknown) => message is T): Promise<T | undefined> {
    return this.#next(timeoutMs, match) as Promise<T | undefined>
  }

  #next(timeoutMs: number | undefined, match: ((message: unknown) => boolean) | undefined): Promise<unknown> {
    this.#assertAlive()
    if (this.behaviour.next === undefined) throw new BadArgError('only a plain process receives selectively')
    return this.behaviour.next(timeoutMs, match)
  }
}

/** True for a promise, of whatever making. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** System messages are those of sys.ts; behaviours answer them even while suspended. */
function isSystemMessage(message: unknown): boolean {
  return typeof message === 'object' && message !== null && (message as { tag?: unknown }).tag === '$system'
}
