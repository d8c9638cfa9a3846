/**
 * One node: its processes, names, aliases, timers and tables, and the way of a message.
 *
 * Nothing is global: several runtimes can live in one OS process, and code reaches its own through the process context.
 * What happens between processes apart from messages (links, monitors, exit signals, death) is in signals.ts; how signals leave
 * the node is in remote.ts.
 */
import pino, { type Logger } from 'pino'
import { Aliases, type OnMessage } from './alias.ts'
import { BadArgError, type ExitReason } from './errors.ts'
import { EtsRegistry } from './ets.ts'
import { type NodeIdentity, Pid } from './pid.ts'
import {
  type Behaviour,
  type BehaviourFactory,
  type Monitor,
  Process,
  type Script,
  type SpawnOptions,
} from './process.ts'
import { ProcessTable } from './process-table.ts'
import { Ref } from './ref.ts'
import { Registry } from './registry.ts'
import { type Incoming, noDistribution, type Remote } from './remote.ts'
import type { Scheduler } from './scheduler.ts'
import { ScriptBehaviour, START } from './script.ts'
import type { Destination, RemoteName, SendOptions } from './signal.ts'
import { Signals } from './signals.ts'
import { realSystem, type System } from './system.ts'
import { MessageTimers } from './timer.ts'

export interface RuntimeOptions {
  /** Node name, `name@host`; without one the runtime is `nonode@nohost`. */
  readonly name?: string
  readonly creation?: number
  readonly logger: Logger
  /** Clock, timers, randomness and scheduler; the real ones unless told otherwise. */
  readonly system?: System
}

/** Starts a runtime; errors are logged to stderr as JSON lines unless another logger is given. Stop it with `stop()`. */
export function startRuntime(options: Partial<RuntimeOptions> = {}): Runtime {
  return new Runtime({ logger: pino({ level: 'warn' }, pino.destination({ dest: 2, sync: true })), ...options })
}

export class Runtime {
  readonly node: NodeIdentity
  readonly system: System
  readonly scheduler: Scheduler
  readonly logger: Logger
  readonly processes: ProcessTable<Process>
  readonly registry = new Registry()
  readonly ets: EtsRegistry
  readonly startedAtMs: number
  /** Signals to other nodes; `dist` replaces it. */
  remote: Remote
  /** Signals from other nodes. */
  readonly incoming: Incoming
  /** The process on whose behalf code outside of any process acts: `init`. It traps exits and ignores what it is sent. */
  readonly init: Process
  stopped = false
  /** Messages handled by processes that have ended. */
  reductionsOfEnded = 0
  readonly #signals: Signals
  readonly #aliases = new Aliases()
  readonly #messageTimers: MessageTimers
  #lastRef = 0

  constructor(options: RuntimeOptions) {
    this.node = { name: options.name ?? 'nonode@nohost', creation: options.creation ?? 0 }
    this.system = options.system ?? realSystem()
    this.logger = options.logger
    this.startedAtMs = this.system.clock.now()
    this.scheduler = this.system.createScheduler((error) => this.logger.error({ err: error }, 'scheduler error'))
    this.processes = new ProcessTable(this.node)
    this.ets = new EtsRegistry(this)
    this.#signals = new Signals(this)
    this.#messageTimers = new MessageTimers(this)
    this.incoming = this.#signals.incoming()
    this.remote = noDistribution(this.incoming)
    this.init = this.spawnFrom(undefined, { receive: () => {} }, { name: 'init', label: 'init', trapExit: true })
  }

  get clock(): System['clock'] {
    return this.system.clock
  }

  get timers(): System['timers'] {
    return this.system.timers
  }

  random(): number {
    return this.system.random()
  }

  /** Ends all processes with `killed` and the scheduler; applications are stopped before, by application.ts. */
  stop(): void {
    if (this.stopped) return
    this.stopped = true
    for (const process of this.processes) this.terminate(process, 'killed')
    this.#messageTimers.cancelAll()
    this.scheduler.stop()
  }

  // Processes

  /** Starts a process that is nobody's child. */
  spawn(code: Behaviour | Script | BehaviourFactory, options: SpawnOptions = {}): Pid {
    return this.spawnFrom(this.init, code, options).pid
  }

  /** Starts a process as a child of `parent`, linked to it when the options say so. */
  spawnFrom(parent: Process | undefined, code: Behaviour | Script | BehaviourFactory, options: SpawnOptions): Process {
    if (this.stopped) throw new BadArgError('the runtime has stopped')
    if (options.name !== undefined) this.registry.assertFree(options.name)
    const { id, serial } = this.processes.allocate()
    const process = new Process(this, new Pid(this.node, id, serial), parent?.pid, UNBORN, options)
    this.processes.set(process)
    if (options.name !== undefined) this.registry.register(options.name, process)
    if (options.link && parent !== undefined) this.link(parent, process.pid)
    if (typeof code === 'function') {
      process.behaviour = new ScriptBehaviour(process, code)
      process.deliver(START)
    } else if ('create' in code) {
      process.behaviour = new Newborn(process, code)
      process.deliver(START)
    } else {
      process.behaviour = code
    }
    return process
  }

  /** The living local process that a pid names. */
  process(pid: Pid): Process | undefined {
    return this.processes.get(pid)
  }

  /** True for a living process of this node; throws `BadArgError` for a pid of another node, as Erlang does. */
  isAlive(pid: Pid): boolean {
    if (this.processes.isForeign(pid)) throw new BadArgError(`${pid} is not a process of this node`)
    return this.processes.get(pid) !== undefined
  }

  /** True for a pid of another node. */
  isForeign(pid: Pid): boolean {
    return this.processes.isForeign(pid)
  }

  makeRef(): Ref {
    return new Ref(this.node, ++this.#lastRef)
  }

  // Names

  /** Throws `BadArgError` when the name is taken, the process is not alive here or already has a name. */
  register(name: string, pid: Pid): void {
    this.registry.register(name, this.processes.get(pid))
  }

  unregister(name: string): void {
    this.registry.unregister(name)
  }

  whereis(name: string): Pid | undefined {
    return this.registry.whereis(name)
  }

  registered(): string[] {
    return this.registry.names()
  }

  // Messages

  /** Sends from outside of any process. */
  send(to: Destination, message: unknown): void {
    this.sendFrom(this.init.pid, to, message)
  }

  sendFrom(from: Pid, to: Destination, message: unknown, options?: SendOptions): void {
    if (to instanceof Pid) {
      const process = this.processes.get(to)
      if (process !== undefined) process.deliver(message)
      else if (this.processes.isForeign(to)) this.remote.send(from, to, message, options)
    } else if (typeof to === 'string') {
      const process = this.registry.find(to)
      if (process === undefined) throw new BadArgError(`no process is registered as ${to}`)
      process.deliver(message)
    } else if (to instanceof Ref) {
      if (this.isLocalRef(to)) this.#aliases.deliver(to, message)
      else this.remote.send(from, to, message, options)
    } else if (to.node === this.node.name) {
      this.registry.find(to.name)?.deliver(message)
    } else {
      this.remote.send(from, to, message, options)
    }
  }

  /** Delivers to a process, a registered name or an alias of this node; the message is dropped when there is none. */
  deliverLocally(to: Pid | string | Ref, message: unknown): void {
    if (to instanceof Pid) this.processes.get(to)?.deliver(message)
    else if (to instanceof Ref) this.#deliverToAlias(to, message)
    else this.registry.find(to)?.deliver(message)
  }

  #deliverToAlias(to: Ref, message: unknown): void {
    // A reference of a former incarnation may have the number of one of ours.
    if (this.isLocalRef(to)) this.#aliases.deliver(to, message)
  }

  /** Makes an alias of a process; with `onMessage` it takes one message, outside of the mailbox, and is gone. */
  alias(process: Process, onMessage: OnMessage | undefined): Ref {
    const ref = this.makeRef()
    this.activateAlias(process, ref, onMessage)
    return ref
  }

  /** Makes a reference, for instance that of a monitor, an alias as well. */
  activateAlias(process: Process, ref: Ref, onMessage: OnMessage | undefined): void {
    this.#aliases.activate(process, ref, onMessage)
  }

  /** Returns whether it was an active alias of the process. */
  unalias(process: Process, ref: Ref): boolean {
    return this.isLocalRef(ref) && this.#aliases.remove(process, ref)
  }

  /** True for a reference that this incarnation of this node made. */
  isLocalRef(ref: Ref): boolean {
    return (
      typeof ref.id === 'number' &&
      (ref.owner === this.node || (ref.creation === this.node.creation && ref.node === this.node.name))
    )
  }

  // Signals

  link(process: Process, to: Pid): void {
    this.#signals.link(process, to)
  }

  unlink(process: Process, to: Pid): void {
    this.#signals.unlink(process, to)
  }

  /** Sends an exit signal from outside of any process. */
  exit(to: Pid, reason: ExitReason): void {
    this.#signals.exit(this.init.pid, to, reason)
  }

  exitFrom(from: Pid, to: Pid, reason: ExitReason): void {
    this.#signals.exit(from, to, reason)
  }

  /** Monitors for a process; with `onDown` the DOWN goes there instead of the mailbox. */
  monitor(watcher: Process, to: Pid | string | RemoteName, onDown: Monitor['onDown']): Ref {
    return this.#signals.monitor(watcher, to, onDown)
  }

  demonitor(watcher: Process, ref: Ref): void {
    this.#signals.demonitor(watcher, ref)
  }

  /** Ends a process: what it owns is released, and those linked to it or watching it are told. */
  terminate(process: Process, reason: ExitReason): void {
    this.#signals.terminate(process, reason)
  }

  /** Takes a process that ends out of everything that finds it; called by signals.ts. */
  release(process: Process): void {
    this.processes.delete(process.pid)
    this.reductionsOfEnded += process.reductions
    this.registry.release(process)
    this.#aliases.release(process)
    this.#messageTimers.release(process)
  }

  /** Called before a process ends with what its code threw. */
  reportCrash(process: Process, thrown: unknown, reason: ExitReason): void {
    if (!(thrown instanceof Error) || thrown.name === 'Exit' || thrown.name === 'ProcessExitedError') return
    this.logger.error({ process: process.pid, name: process.name, label: process.label, reason }, 'process crashed')
  }

  /** What processes hold of the runtime beside themselves, so that a test can see that all of it is given back. */
  footprint(): { timers: number; activeAliases: number; foreignMonitors: number; names: number } {
    return {
      timers: this.#messageTimers.size,
      activeAliases: this.#aliases.size,
      foreignMonitors: this.#signals.foreignMonitorCount,
      names: this.registry.names().length,
    }
  }

  // Timers

  sendAfter(ms: number, to: Destination, message: unknown): Ref {
    return this.#messageTimers.start(ms, to, message, false)
  }

  /** As `sendAfter`, delivering `{ tag: 'timeout', ref, message }`. */
  startTimer(ms: number, to: Destination, message: unknown): Ref {
    return this.#messageTimers.start(ms, to, message, true)
  }

  /** Returns the milliseconds that were left, or false when the timer has fired or never was. */
  cancelTimer(ref: Ref): number | false {
    return this.#messageTimers.cancel(ref)
  }
}

const UNBORN: Behaviour = { receive: () => {} }

/** Makes the behaviour on the process's first turn, in the process itself. */
class Newborn implements Behaviour {
  readonly #process: Process
  readonly #factory: BehaviourFactory

  constructor(process: Process, factory: BehaviourFactory) {
    this.#process = process
    this.#factory = factory
  }

  receive(): void {
    this.#process.behaviour = this.#factory.create(this.#process)
  }
}
