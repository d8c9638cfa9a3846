/**
 * One node: its process table, names, aliases and timers, and the delivery of signals between processes.
 *
 * Nothing is global: several runtimes can live in one OS process, and code reaches its own through the process context.
 * Signals between local processes act at once, in the order in which they are sent; those that become messages enter the
 * receiver's mailbox, which the scheduler drains. A process that dies is dealt with from a list, not by recursion, so a
 * chain of a hundred thousand links ends without depth. Semantics are those of the chapter "Processes" of the Erlang
 * reference manual and of the `erlang` module.
 */
import pino, { type Logger } from 'pino'
import { BadArgError, type ExitReason } from './errors.ts'
import { EtsRegistry } from './ets.ts'
import { type NodeIdentity, Pid } from './pid.ts'
import { PidSet } from './pid-set.ts'
import {
  type Behaviour,
  type BehaviourFactory,
  type Monitor,
  Process,
  type Script,
  type SpawnOptions,
} from './process.ts'
import { ProcessTable } from './process-table.ts'
import { Queue } from './queue.ts'
import { Ref } from './ref.ts'
import { type Incoming, noDistribution, type Remote } from './remote.ts'
import type { Scheduler } from './scheduler.ts'
import { ScriptBehaviour, START } from './script.ts'
import type { Destination, DownMessage, ExitMessage, RemoteName } from './signal.ts'
import { realSystem, type System, type TimerHandle } from './system.ts'

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

interface Alias {
  readonly process: Process
  /** Takes what is sent to the alias, once, instead of the mailbox. */
  readonly onMessage: ((message: unknown) => void) | undefined
}

interface Timer {
  readonly handle: TimerHandle
  readonly dueAtMs: number
  readonly process: Process | undefined
}

export class Runtime {
  readonly node: NodeIdentity
  readonly system: System
  readonly scheduler: Scheduler
  readonly logger: Logger
  readonly processes: ProcessTable<Process>
  readonly ets: EtsRegistry
  readonly startedAtMs: number
  /** Signals to other nodes; `dist` replaces it. */
  remote: Remote
  /** Signals from other nodes. */
  readonly incoming: Incoming
  /** The process on whose behalf code outside of any process acts: `init`. It traps exits and ignores what it is sent. */
  readonly init: Process
  stopped = false
  readonly #names = new Map<string, Process>()
  readonly #aliases = new Map<number, Alias>()
  readonly #timers = new Map<number, Timer>()
  /** Monitors that processes of other nodes hold on ours, by watcher and reference. */
  readonly #foreignMonitors = new Map<string, Monitor>()
  readonly #dead = new Queue<{ process: Process; reason: ExitReason }>()
  #burying = false
  #lastRef = 0

  constructor(options: RuntimeOptions) {
    this.node = { name: options.name ?? 'nonode@nohost', creation: options.creation ?? 0 }
    this.system = options.system ?? realSystem()
    this.logger = options.logger
    this.startedAtMs = this.system.clock.now()
    this.scheduler = this.system.createScheduler((error) => this.logger.error({ err: error }, 'scheduler error'))
    this.processes = new ProcessTable(this.node)
    this.ets = new EtsRegistry(this)
    this.incoming = this.#createIncoming()
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
    for (const timer of this.#timers.values()) this.system.timers.clear(timer.handle)
    this.#timers.clear()
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
    if (options.name !== undefined) this.#assertNameFree(options.name)
    const { id, serial } = this.processes.allocate()
    const process = new Process(this, new Pid(this.node, id, serial), parent?.pid, UNBORN, options)
    this.processes.set(process)
    if (options.name !== undefined) this.register(options.name, process.pid)
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
    this.#assertNameFree(name)
    const process = this.processes.get(pid)
    if (process === undefined) throw new BadArgError(`cannot register ${name}: ${pid} is not alive on this node`)
    if (process.name !== undefined) throw new BadArgError(`${pid} is already registered as ${process.name}`)
    process.name = name
    this.#names.set(name, process)
  }

  unregister(name: string): void {
    const process = this.#names.get(name)
    if (process === undefined) throw new BadArgError(`no process is registered as ${name}`)
    process.name = undefined
    this.#names.delete(name)
  }

  whereis(name: string): Pid | undefined {
    return this.#names.get(name)?.pid
  }

  registered(): string[] {
    return [...this.#names.keys()]
  }

  #assertNameFree(name: string): void {
    if (name === '' || name === 'undefined') throw new BadArgError(`'${name}' cannot be a registered name`)
    if (this.#names.has(name)) throw new BadArgError(`the name ${name} is taken`)
  }

  // Messages

  /** Sends from outside of any process. */
  send(to: Destination, message: unknown): void {
    this.sendFrom(this.init.pid, to, message)
  }

  sendFrom(from: Pid, to: Destination, message: unknown): void {
    if (to instanceof Pid) {
      const process = this.processes.get(to)
      if (process !== undefined) process.deliver(message)
      else if (this.processes.isForeign(to)) this.remote.send(from, to, message)
    } else if (typeof to === 'string') {
      const process = this.#names.get(to)
      if (process === undefined) throw new BadArgError(`no process is registered as ${to}`)
      process.deliver(message)
    } else if (to instanceof Ref) {
      if (this.#isLocalRef(to)) this.#deliverToAlias(to, message)
      else this.remote.send(from, to, message)
    } else if (to.node === this.node.name) {
      this.#names.get(to.name)?.deliver(message)
    } else {
      this.remote.send(from, to, message)
    }
  }

  /** Makes an alias of a process; with `onMessage` it takes one message, outside of the mailbox, and is gone. */
  alias(process: Process, onMessage: ((message: unknown) => void) | undefined): Ref {
    const ref = this.makeRef()
    this.activateAlias(process, ref, onMessage)
    return ref
  }

  /** Makes a reference, for instance that of a monitor, an alias as well. */
  activateAlias(process: Process, ref: Ref, onMessage: ((message: unknown) => void) | undefined): void {
    process.aliases ??= new Set()
    process.aliases.add(ref)
    this.#aliases.set(ref.id as number, { process, onMessage })
  }

  /** Returns whether it was an active alias of the process. */
  unalias(process: Process, ref: Ref): boolean {
    if (!this.#isLocalRef(ref) || this.#aliases.get(ref.id as number)?.process !== process) return false
    this.#aliases.delete(ref.id as number)
    return process.aliases?.delete(ref) ?? false
  }

  #deliverToAlias(ref: Ref, message: unknown): void {
    const alias = this.#aliases.get(ref.id as number)
    if (alias === undefined) return
    if (alias.onMessage === undefined) {
      alias.process.deliver(message)
    } else {
      this.unalias(alias.process, ref)
      alias.onMessage(message)
    }
  }

  #isLocalRef(ref: Ref): boolean {
    return (
      typeof ref.id === 'number' &&
      (ref.owner === this.node || (ref.creation === this.node.creation && ref.node === this.node.name))
    )
  }

  // Links and exit signals

  link(process: Process, to: Pid): void {
    if (to.equals(process.pid)) return
    if (process.links?.has(to)) return
    if (this.processes.isForeign(to)) {
      this.#addLink(process, to)
      this.remote.link(process.pid, to)
      return
    }
    const other = this.processes.get(to)
    if (other === undefined) {
      this.#exitSignal(to, process, 'noproc', true)
      return
    }
    this.#addLink(process, to)
    this.#addLink(other, process.pid)
  }

  unlink(process: Process, to: Pid): void {
    if (!process.links?.delete(to)) return
    if (this.processes.isForeign(to)) this.remote.unlink(process.pid, to)
    else this.processes.get(to)?.links?.delete(process.pid)
  }

  /** Sends an exit signal from outside of any process. */
  exit(to: Pid, reason: ExitReason): void {
    this.exitFrom(this.init.pid, to, reason)
  }

  exitFrom(from: Pid, to: Pid, reason: ExitReason): void {
    if (this.processes.isForeign(to)) {
      this.remote.exit(from, to, reason)
      return
    }
    const process = this.processes.get(to)
    if (process !== undefined) this.#exitSignal(from, process, reason, false)
  }

  #addLink(process: Process, to: Pid): void {
    process.links ??= new PidSet()
    process.links.add(to)
  }

  /** The receiver's side of an exit signal; `linked` when a link carries it: `kill` is then an ordinary reason. */
  #exitSignal(from: Pid, to: Process, reason: ExitReason, linked: boolean): void {
    if (!to.alive) return
    if (reason === 'kill' && !linked) {
      this.terminate(to, 'killed')
    } else if (to.trapExit) {
      const message: ExitMessage = { tag: 'EXIT', from, reason }
      to.deliver(message)
    } else if (reason !== 'normal' || (!linked && from.equals(to.pid))) {
      this.terminate(to, reason)
    }
  }

  // Monitors

  /** Monitors for a process; with `onDown` the DOWN goes there instead of the mailbox. */
  monitor(watcher: Process, to: Pid | string | RemoteName, onDown: ((reason: ExitReason) => void) | undefined): Ref {
    const ref = this.makeRef()
    const { object, target, isRemote } = this.#resolve(to)
    const monitor: Monitor = { ref, watcher: watcher.pid, target, object, onDown }
    watcher.monitors ??= new Map()
    watcher.monitors.set(ref.id as number, monitor)
    if (isRemote) {
      this.remote.monitor(watcher.pid, object, ref)
    } else if (target === undefined) {
      this.#fireDown(watcher, monitor, 'noproc')
    } else {
      target.monitoredBy ??= new Set()
      target.monitoredBy.add(monitor)
    }
    return ref
  }

  demonitor(watcher: Process, ref: Ref): void {
    const monitor = watcher.monitors?.get(ref.id as number)
    if (monitor === undefined || !monitor.ref.equals(ref)) return
    watcher.monitors!.delete(ref.id as number)
    this.#removeFromTarget(monitor)
  }

  #resolve(to: Pid | string | RemoteName): {
    object: Pid | RemoteName
    target: Process | undefined
    isRemote: boolean
  } {
    if (to instanceof Pid) {
      return {
        object: to,
        target: this.processes.get(to),
        isRemote: this.processes.isForeign(to) && to.node !== this.node.name,
      }
    }
    const object = typeof to === 'string' ? { name: to, node: this.node.name } : to
    const isRemote = object.node !== this.node.name
    return { object, target: isRemote ? undefined : this.#names.get(object.name), isRemote }
  }

  #removeFromTarget(monitor: Monitor): void {
    if (monitor.target !== undefined) monitor.target.monitoredBy?.delete(monitor)
    else if (
      monitor.object instanceof Pid ? this.processes.isForeign(monitor.object) : monitor.object.node !== this.node.name
    ) {
      this.remote.demonitor(monitor.watcher, monitor.object, monitor.ref)
    }
  }

  #fireDown(watcher: Process, monitor: Monitor, reason: ExitReason): void {
    watcher.monitors?.delete(monitor.ref.id as number)
    if (monitor.onDown !== undefined) {
      monitor.onDown(reason)
    } else {
      const message: DownMessage = { tag: 'DOWN', ref: monitor.ref, type: 'process', pid: monitor.object, reason }
      watcher.deliver(message)
    }
  }

  // Timers

  sendAfter(ms: number, to: Destination, message: unknown): Ref {
    return this.#timer(ms, to, () => message)
  }

  startTimer(ms: number, to: Destination, message: unknown): Ref {
    return this.#timer(ms, to, (ref) => ({ tag: 'timeout', ref, message }))
  }

  /** Returns the milliseconds that were left, or false when the timer has fired or never was. */
  cancelTimer(ref: Ref): number | false {
    const timer = this.#takeTimer(ref)
    if (timer === undefined) return false
    this.system.timers.clear(timer.handle)
    return Math.max(0, Math.ceil(timer.dueAtMs - this.system.clock.monotonic()))
  }

  #timer(ms: number, to: Destination, message: (ref: Ref) => unknown): Ref {
    if (!(ms >= 0)) throw new BadArgError(`${ms} is no time in milliseconds`)
    const ref = this.makeRef()
    // A timer to a process is cancelled when the process dies; one to a name finds whoever has the name then.
    const process = to instanceof Pid ? this.processes.get(to) : undefined
    if (to instanceof Pid && process === undefined && !this.processes.isForeign(to)) return ref
    const handle = this.system.timers.set(ms, () => {
      this.#takeTimer(ref)
      if (typeof to !== 'string') this.send(to, message(ref))
      else this.#names.get(to)?.deliver(message(ref))
    })
    this.#timers.set(ref.id as number, { handle, dueAtMs: this.system.clock.monotonic() + ms, process })
    if (process !== undefined) {
      process.timers ??= new Set()
      process.timers.add(ref)
    }
    return ref
  }

  #takeTimer(ref: Ref): Timer | undefined {
    if (!this.#isLocalRef(ref)) return undefined
    const timer = this.#timers.get(ref.id as number)
    if (timer === undefined) return undefined
    this.#timers.delete(ref.id as number)
    timer.process?.timers?.delete(ref)
    return timer
  }

  // Death

  /** Ends a process: what it owns is released, and those linked to it or watching it are told. */
  terminate(process: Process, reason: ExitReason): void {
    if (!process.alive) return
    process.alive = false
    this.processes.delete(process.pid)
    if (process.name !== undefined) this.#names.delete(process.name)
    this.#dead.push({ process, reason })
    if (this.#burying) return
    this.#burying = true
    for (let next = this.#dead.shift(); next !== undefined; next = this.#dead.shift())
      this.#bury(next.process, next.reason)
    this.#burying = false
  }

  /** Called before a process ends with what its code threw. */
  reportCrash(process: Process, thrown: unknown, reason: ExitReason): void {
    if (!(thrown instanceof Error) || thrown.name === 'Exit' || thrown.name === 'ProcessExitedError') return
    this.logger.error({ process: process.pid, name: process.name, label: process.label, reason }, 'process crashed')
  }

  #bury(process: Process, reason: ExitReason): void {
    const { pid } = process
    process.mailbox.clear()
    for (const ref of process.timers ?? NONE) this.cancelTimer(ref)
    for (const ref of process.aliases ?? NONE) this.#aliases.delete(ref.id as number)
    for (const monitor of process.monitors?.values() ?? NONE) this.#removeFromTarget(monitor)
    process.monitors = undefined
    this.#cleanUp(process, reason)
    for (const to of process.links ?? NONE) this.#breakLink(pid, to, reason)
    process.links = undefined
    for (const monitor of process.monitoredBy ?? NONE) this.#tellWatcher(monitor, reason)
    process.monitoredBy = undefined
  }

  #cleanUp(process: Process, reason: ExitReason): void {
    for (const cleanUp of process.cleanUps ?? []) {
      try {
        cleanUp(reason)
      } catch (error) {
        this.logger.error({ err: error, process: process.pid }, 'clean-up of an ended process failed')
      }
    }
    process.cleanUps = undefined
  }

  #breakLink(from: Pid, to: Pid, reason: ExitReason): void {
    if (this.processes.isForeign(to)) {
      this.remote.exitLinked(from, to, reason)
      return
    }
    const other = this.processes.get(to)
    if (other?.links?.delete(from)) this.#exitSignal(from, other, reason, true)
  }

  #tellWatcher(monitor: Monitor, reason: ExitReason): void {
    const { ref, watcher: pid, object } = monitor
    if (this.processes.isForeign(pid)) {
      this.#foreignMonitors.delete(foreignMonitorKey(pid, ref))
      this.remote.down(object instanceof Pid ? object : object.name, pid, ref, reason)
    } else {
      const watcher = this.processes.get(pid)
      if (watcher !== undefined) this.#fireDown(watcher, monitor, reason)
    }
  }

  #createIncoming(): Incoming {
    return {
      deliver: (to, message) => {
        if (to instanceof Pid) this.processes.get(to)?.deliver(message)
        else if (to instanceof Ref) this.#deliverToAlias(to, message)
        else this.#names.get(to)?.deliver(message)
      },
      link: (from, to) => {
        const process = this.processes.get(to)
        if (process !== undefined) this.#addLink(process, from)
        return process !== undefined
      },
      unlink: (from, to) => void this.processes.get(to)?.links?.delete(from),
      exitLinked: (from, to, reason) => {
        const process = this.processes.get(to)
        if (process?.links?.delete(from)) this.#exitSignal(from, process, reason, true)
      },
      exit: (from, to, reason) => {
        const process = this.processes.get(to)
        if (process !== undefined) this.#exitSignal(from, process, reason, false)
      },
      monitor: (watcher, to, ref) => {
        const target = to instanceof Pid ? this.processes.get(to) : this.#names.get(to)
        if (target === undefined) return false
        const object = to instanceof Pid ? to : { name: to, node: this.node.name }
        const monitor: Monitor = { ref, watcher, target, object, onDown: undefined }
        target.monitoredBy ??= new Set()
        target.monitoredBy.add(monitor)
        this.#foreignMonitors.set(foreignMonitorKey(watcher, ref), monitor)
        return true
      },
      demonitor: (watcher, ref) => this.#demonitorForeign(watcher, ref),
      down: (watcher, ref, reason) => {
        const process = this.processes.get(watcher)
        const monitor = process?.monitors?.get(ref.id as number)
        if (process !== undefined && monitor?.ref.equals(ref)) this.#fireDown(process, monitor, reason)
      },
    }
  }

  #demonitorForeign(watcher: Pid, ref: Ref): void {
    const key = foreignMonitorKey(watcher, ref)
    const monitor = this.#foreignMonitors.get(key)
    if (monitor === undefined) return
    this.#foreignMonitors.delete(key)
    monitor.target?.monitoredBy?.delete(monitor)
  }
}

function foreignMonitorKey(watcher: Pid, ref: Ref): string {
  return `${watcher.key} ${ref.key}`
}

const NONE: readonly never[] = []

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
