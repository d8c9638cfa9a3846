/**
 * Links between the runtimes of a simulation: signals take a random time, in order per pair of nodes, and a link can be cut.
 *
 * It implements the hook by which signals leave a runtime (actors/remote.ts) in memory. A cut link ends what depends on it
 * as a lost connection does: links and monitors across it end with `noconnection`, and signals under way are lost.
 */
import type { ExitReason } from '../actors/errors.ts'
import { Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import type { Incoming, Remote } from '../actors/remote.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { RemoteName } from '../actors/signal.ts'
import type { SeededRandom } from './random.ts'
import { structuralCopy } from './structural-copy.ts'
import type { Trace } from './trace.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface NetworkOptions {
  /** Milliseconds that a signal takes from node to node. @default 0.1 to 5 */
  readonly delayMs?: { readonly least: number; readonly most: number }
  /**
   * Copies every message and exit reason as an encoding would, so that nodes share no object. One that is no plain data is not
   * sent, and the simulation's next `run` throws. @default false
   */
  readonly copyMessages?: boolean
}

export class Network {
  readonly #time: VirtualTime
  readonly #random: SeededRandom
  readonly #delayMs: { readonly least: number; readonly most: number }
  readonly #copyMessages: boolean
  readonly #trace: Trace
  /** Messages that were refused since somebody looked. */
  readonly refused: unknown[] = []
  readonly #nodes = new Map<string, Runtime>()
  readonly #cut = new Set<string>()
  /** Per ordered pair: when the last signal arrives, and how often the link was cut. */
  readonly #lastArrivalMs = new Map<string, number>()
  readonly #epochs = new Map<string, number>()

  constructor(time: VirtualTime, random: SeededRandom, trace: Trace, options: NetworkOptions) {
    this.#time = time
    this.#random = random
    this.#trace = trace
    this.#copyMessages = options.copyMessages ?? false
    this.#delayMs = options.delayMs ?? { least: 0.1, most: 5 }
  }

  /** Connects a runtime to all others. */
  add(runtime: Runtime): void {
    this.#nodes.set(runtime.node.name, runtime)
    runtime.remote = new NetworkRemote(this, runtime)
  }

  /** Takes a node out, as when it died: all its links are lost. */
  remove(name: string): void {
    const gone = this.#nodes.get(name)
    this.#nodes.delete(name)
    for (const other of this.#nodes.values()) this.#lose(other, name)
    if (gone !== undefined) for (const other of this.#nodes.keys()) this.#lose(gone, other)
  }

  cut(a: string, b: string): void {
    if (this.#cut.has(pairOf(a, b))) return
    this.#cut.add(pairOf(a, b))
    const [left, right] = [this.#nodes.get(a), this.#nodes.get(b)]
    if (left !== undefined) this.#lose(left, b)
    if (right !== undefined) this.#lose(right, a)
  }

  mend(a: string, b: string): void {
    this.#cut.delete(pairOf(a, b))
  }

  mendAll(): void {
    this.#cut.clear()
  }

  isConnected(a: string, b: string): boolean {
    return this.#nodes.has(a) && this.#nodes.has(b) && !this.#cut.has(pairOf(a, b))
  }

  /** Delivers a signal to `to` after the link's delay; drops it when the link is lost meanwhile. */
  transmit(from: string, to: string, signal: (incoming: Incoming) => void): void {
    if (!this.isConnected(from, to)) return
    const direction = `${from} ${to}`
    const { least, most } = this.#delayMs
    const arrivalMs = Math.max(
      this.#time.monotonic() + least + this.#random.next() * (most - least),
      this.#lastArrivalMs.get(direction) ?? 0,
    )
    this.#lastArrivalMs.set(direction, arrivalMs)
    this.#trace.note(direction)
    this.#trace.note(arrivalMs)
    const epoch = this.#epochs.get(pairOf(from, to))
    this.#time.set(arrivalMs - this.#time.monotonic(), () => {
      const target = this.#nodes.get(to)
      if (target !== undefined && !target.stopped && this.#epochs.get(pairOf(from, to)) === epoch)
        signal(target.incoming)
    })
  }

  /** The message as the other node will see it; undefined, and noted in `refused`, when it cannot be sent. */
  travelling(message: unknown): { readonly message: unknown } | undefined {
    if (!this.#copyMessages) return { message }
    try {
      return { message: structuralCopy(message) }
    } catch (error) {
      this.refused.push(error)
      return undefined
    }
  }

  #lose(runtime: Runtime, peer: string): void {
    const pair = pairOf(runtime.node.name, peer)
    this.#epochs.set(pair, (this.#epochs.get(pair) ?? 0) + 1)
    for (const process of [...runtime.processes]) {
      for (const pid of [...(process.links ?? [])]) {
        if (pid.node === peer) runtime.incoming.exitLinked(pid, process.pid, 'noconnection')
      }
      for (const monitor of [...(process.monitors ?? [])]) {
        if (monitor.object.node === peer) runtime.incoming.down(process.pid, monitor.ref, 'noconnection')
      }
      for (const monitor of [...(process.monitoredBy ?? [])]) {
        if (monitor.watcher.node === peer) runtime.incoming.demonitor(monitor.watcher, monitor.ref)
      }
    }
  }
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}

class NetworkRemote implements Remote {
  readonly #network: Network
  readonly #runtime: Runtime

  constructor(network: Network, runtime: Runtime) {
    this.#network = network
    this.#runtime = runtime
  }

  send(_from: Pid, to: Pid | RemoteName | Ref, message: unknown): void {
    const travelling = this.#network.travelling(message)
    if (travelling === undefined) return
    this.#transmit(to.node, (incoming) =>
      incoming.deliver(to instanceof Pid || to instanceof Ref ? to : to.name, travelling.message),
    )
  }

  link(from: Pid, to: Pid): void {
    if (!this.#reaches(to.node)) {
      this.#runtime.incoming.exitLinked(to, from, 'noconnection')
      return
    }
    this.#transmit(to.node, (incoming) => {
      if (!incoming.link(from, to)) this.#answer(to.node, (back) => back.exitLinked(to, from, 'noproc'))
    })
  }

  unlink(from: Pid, to: Pid): void {
    this.#transmit(to.node, (incoming) => incoming.unlink(from, to))
  }

  exitLinked(from: Pid, to: Pid, reason: ExitReason): void {
    const there = this.#reason(reason)
    this.#transmit(to.node, (incoming) => incoming.exitLinked(from, to, there))
  }

  exit(from: Pid, to: Pid, reason: ExitReason): void {
    const there = this.#reason(reason)
    this.#transmit(to.node, (incoming) => incoming.exit(from, to, there))
  }

  monitor(from: Pid, to: Pid | RemoteName, ref: Ref): void {
    if (!this.#reaches(to.node)) {
      this.#runtime.incoming.down(from, ref, 'noconnection')
      return
    }
    this.#transmit(to.node, (incoming) => {
      if (!incoming.monitor(from, to instanceof Pid ? to : to.name, ref)) {
        this.#answer(to.node, (back) => back.down(from, ref, 'noproc'))
      }
    })
  }

  demonitor(from: Pid, to: Pid | RemoteName, ref: Ref): void {
    this.#transmit(to.node, (incoming) => incoming.demonitor(from, ref))
  }

  down(_object: Pid | string, watcher: Pid, ref: Ref, reason: ExitReason): void {
    const there = this.#reason(reason)
    this.#transmit(watcher.node, (incoming) => incoming.down(watcher, ref, there))
  }

  #reason(reason: ExitReason): ExitReason {
    return (this.#network.travelling(reason)?.message ?? 'badarg') as ExitReason
  }

  #reaches(node: string): boolean {
    return this.#network.isConnected(this.#runtime.node.name, node)
  }

  #transmit(node: string, signal: (incoming: Incoming) => void): void {
    this.#network.transmit(this.#runtime.node.name, node, signal)
  }

  #answer(node: string, signal: (incoming: Incoming) => void): void {
    this.#network.transmit(node, this.#runtime.node.name, signal)
  }
}
