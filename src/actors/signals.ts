/**
 * Links, monitors, exit signals and death, between the processes of a node and across nodes.
 *
 * Signals between local processes act at once, in the order in which they are sent. A process that dies is dealt with from a
 * list, not by recursion, so a chain of a hundred thousand links ends without depth. Semantics are those of the chapter
 * "Processes" of the Erlang reference manual and of the `erlang` module.
 */
import type { ExitReason } from './errors.ts'
import { KeyedSet } from './keyed-set.ts'
import { Pid } from './pid.ts'
import { PidSet } from './pid-set.ts'
import type { Monitor, Process } from './process.ts'
import { Queue } from './queue.ts'
import type { Ref } from './ref.ts'
import type { Incoming } from './remote.ts'
import type { Runtime } from './runtime.ts'
import type { DownMessage, ExitMessage, RemoteName } from './signal.ts'

const NONE: readonly never[] = []

export class Signals {
  readonly #runtime: Runtime
  /** Monitors that processes of other nodes hold on ours, by watcher and reference. */
  readonly #foreignMonitors = new Map<string, Monitor>()
  readonly #dead = new Queue<{ process: Process; reason: ExitReason }>()
  #burying = false

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  /** Number of monitors that processes of other nodes hold on ours. */
  get foreignMonitorCount(): number {
    return this.#foreignMonitors.size
  }

  // Links and exit signals

  link(process: Process, to: Pid): void {
    const runtime = this.#runtime
    if (to.equals(process.pid) || process.links?.has(to)) return
    if (runtime.isForeign(to)) {
      addLink(process, to)
      runtime.remote.link(process.pid, to)
      return
    }
    const other = runtime.process(to)
    if (other === undefined) {
      this.exitSignal(to, process, 'noproc', true)
    } else {
      addLink(process, to)
      addLink(other, process.pid)
    }
  }

  unlink(process: Process, to: Pid): void {
    if (!process.links?.delete(to)) return
    if (this.#runtime.isForeign(to)) this.#runtime.remote.unlink(process.pid, to)
    else this.#runtime.process(to)?.links?.delete(process.pid)
  }

  /** `exit/2`. */
  exit(from: Pid, to: Pid, reason: ExitReason): void {
    if (this.#runtime.isForeign(to)) {
      this.#runtime.remote.exit(from, to, reason)
      return
    }
    const process = this.#runtime.process(to)
    if (process !== undefined) this.exitSignal(from, process, reason, false)
  }

  /** The receiver's side of an exit signal; `linked` when a link carries it: `kill` is then an ordinary reason. */
  exitSignal(from: Pid, to: Process, reason: ExitReason, linked: boolean): void {
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

  /** With `onDown` the DOWN goes there instead of the mailbox. */
  monitor(watcher: Process, to: Pid | string | RemoteName, onDown: Monitor['onDown']): Ref {
    const runtime = this.#runtime
    const ref = runtime.makeRef()
    const object = typeof to === 'string' ? { name: to, node: runtime.node.name } : to
    const isForeign = this.#isForeign(object)
    const target = isForeign ? undefined : this.#find(object)
    const monitor: Monitor = { ref, watcher: watcher.pid, target, object, onDown }
    watcher.monitors ??= new KeyedSet(numberOf)
    watcher.monitors.add(monitor)
    if (isForeign) {
      runtime.remote.monitor(watcher.pid, object, ref)
    } else if (target === undefined) {
      this.#fireDown(watcher, monitor, 'noproc')
    } else {
      addWatcher(target, monitor)
    }
    return ref
  }

  demonitor(watcher: Process, ref: Ref): void {
    const monitor = watcher.monitors?.get(ref.id as number)
    if (monitor === undefined || !monitor.ref.equals(ref)) return
    watcher.monitors!.delete(ref.id as number)
    this.#removeFromTarget(monitor)
  }

  // Death

  /** Ends a process: what it owns is released, and those linked to it or watching it are told. */
  terminate(process: Process, reason: ExitReason): void {
    if (!process.alive) return
    process.alive = false
    this.#runtime.release(process)
    this.#dead.push({ process, reason })
    if (this.#burying) return
    this.#burying = true
    for (let next = this.#dead.shift(); next !== undefined; next = this.#dead.shift()) {
      this.#bury(next.process, next.reason)
    }
    this.#burying = false
  }

  #bury(process: Process, reason: ExitReason): void {
    const { pid, links, monitors, monitoredBy } = process
    process.mailbox.clear()
    process.links = undefined
    process.monitors = undefined
    process.monitoredBy = undefined
    for (const monitor of monitors ?? NONE) this.#removeFromTarget(monitor)
    this.#cleanUp(process, reason)
    for (const to of links ?? NONE) this.#breakLink(pid, to, reason)
    for (const monitor of monitoredBy ?? NONE) this.#tellWatcher(monitor, reason)
  }

  #cleanUp(process: Process, reason: ExitReason): void {
    for (const cleanUp of process.cleanUps ?? NONE) {
      try {
        cleanUp(reason)
      } catch (error) {
        this.#runtime.logger.error({ err: error, process: process.pid }, 'clean-up of an ended process failed')
      }
    }
    process.cleanUps = undefined
  }

  #breakLink(from: Pid, to: Pid, reason: ExitReason): void {
    if (this.#runtime.isForeign(to)) {
      this.#runtime.remote.exitLinked(from, to, reason)
      return
    }
    const other = this.#runtime.process(to)
    if (other?.links?.delete(from)) this.exitSignal(from, other, reason, true)
  }

  #tellWatcher(monitor: Monitor, reason: ExitReason): void {
    const { ref, watcher: pid, object } = monitor
    if (this.#runtime.isForeign(pid)) {
      this.#foreignMonitors.delete(foreignMonitorKey(pid, ref))
      this.#runtime.remote.down(object instanceof Pid ? object : object.name, pid, ref, reason)
    } else {
      const watcher = this.#runtime.process(pid)
      if (watcher !== undefined) this.#fireDown(watcher, monitor, reason)
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

  #removeFromTarget(monitor: Monitor): void {
    if (monitor.target !== undefined) monitor.target.monitoredBy?.delete(monitor)
    else if (this.#isForeign(monitor.object)) {
      this.#runtime.remote.demonitor(monitor.watcher, monitor.object, monitor.ref)
    }
  }

  #isForeign(object: Pid | RemoteName): boolean {
    return object instanceof Pid ? this.#runtime.isForeign(object) : object.node !== this.#runtime.node.name
  }

  #find(object: Pid | RemoteName): Process | undefined {
    return object instanceof Pid ? this.#runtime.process(object) : this.#runtime.registry.find(object.name)
  }

  /** The entrance for signals of other nodes. */
  incoming(): Incoming {
    const runtime = this.#runtime
    return {
      deliver: (to, message) => runtime.deliverLocally(to, message),
      link: (from, to) => {
        const process = runtime.process(to)
        if (process !== undefined) addLink(process, from)
        return process !== undefined
      },
      unlink: (from, to) => void runtime.process(to)?.links?.delete(from),
      exitLinked: (from, to, reason) => {
        const process = runtime.process(to)
        if (process?.links?.delete(from)) this.exitSignal(from, process, reason, true)
      },
      exit: (from, to, reason) => {
        const process = runtime.process(to)
        if (process !== undefined) this.exitSignal(from, process, reason, false)
      },
      monitor: (watcher, to, ref) => {
        const object = to instanceof Pid ? to : { name: to, node: runtime.node.name }
        const target = this.#find(object)
        if (target === undefined) return false
        const monitor: Monitor = { ref, watcher, target, object, onDown: undefined }
        addWatcher(target, monitor)
        this.#foreignMonitors.set(foreignMonitorKey(watcher, ref), monitor)
        return true
      },
      demonitor: (watcher, ref) => {
        const key = foreignMonitorKey(watcher, ref)
        const monitor = this.#foreignMonitors.get(key)
        this.#foreignMonitors.delete(key)
        monitor?.target?.monitoredBy?.delete(monitor)
      },
      down: (watcher, ref, reason) => {
        const process = runtime.process(watcher)
        const monitor = process?.monitors?.get(ref.id as number)
        if (process !== undefined && monitor?.ref.equals(ref)) this.#fireDown(process, monitor, reason)
      },
    }
  }
}

function addLink(process: Process, to: Pid): void {
  process.links ??= new PidSet()
  process.links.add(to)
}

function addWatcher(target: Process, monitor: Monitor): void {
  target.monitoredBy ??= new KeyedSet(itself)
  target.monitoredBy.add(monitor)
}

/** What a process finds its own monitors by; their references are this node's. */
function numberOf(monitor: Monitor): number {
  return monitor.ref.id as number
}

/** What a process finds the monitors of others by: references of several nodes may have the same number. */
function itself(monitor: Monitor): Monitor {
  return monitor
}

function foreignMonitorKey(watcher: Pid, ref: Ref): string {
  return `${watcher.key} ${ref.key}`
}
