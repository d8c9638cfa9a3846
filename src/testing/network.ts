/**
 * Links between the runtimes of a simulation: signals take a random time, in order per pair of nodes, and a link can be cut or
 * freeze.
 *
 * It implements the hook by which signals leave a runtime (actors/remote.ts) and the nodes that it sees (dist/node-network.ts) in
 * memory. As in Erlang the first signal to a node connects to it. A cut link ends what depends on it as a lost connection
 * does: links and monitors across it end with `noconnection`, and signals under way are lost. On a frozen link signals wait;
 * after the tick time each side takes the other for dead, by itself and not at the same instant.
 */
import type { ExitReason } from '../actors/errors.ts'
import { Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import type { Incoming, Remote } from '../actors/remote.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { RemoteName, SendOptions } from '../actors/signal.ts'
import type { NodedownReason } from '../dist/connection.ts'
import type { NodeEvent, NodeKind, NodeNetwork } from '../dist/node-network.ts'
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
  /** A node from which nothing came for this long is taken for dead. @default 60000 */
  readonly netTicktimeMs?: number
}

/** How long an attempt to connect over a frozen link takes to fail. */
const SETUP_TIMEOUT_MS = 7000

/** One connection of two nodes, from its first signal until both have noticed its end. */
interface Connection {
  readonly pair: string
  /** Nodes for which it is up. */
  readonly up: Set<string>
  /** One side has ended it: nothing travels any more, and the other side learns of it when the link is not frozen. */
  isEnded: boolean
}

/** What waits on a frozen link, in the order of its arrival. */
interface Frozen {
  readonly waiting: (() => void)[]
}

export class Network {
  readonly #time: VirtualTime
  readonly #random: SeededRandom
  readonly #delayMs: { readonly least: number; readonly most: number }
  readonly #netTicktimeMs: number
  readonly #copyMessages: boolean
  readonly #trace: Trace
  /** Messages that were refused since somebody looked. */
  readonly refused: unknown[] = []
  readonly #nodes = new Map<string, NetworkRemote>()
  readonly #connections = new Map<string, Connection>()
  readonly #cut = new Set<string>()
  /** By pair; also for a moment after the thaw, until what has waited is through. */
  readonly #frozen = new Map<string, Frozen>()
  readonly #thawing = new Set<string>()
  /** Per ordered pair: when the last signal arrives. */
  readonly #lastArrivalMs = new Map<string, number>()

  constructor(time: VirtualTime, random: SeededRandom, trace: Trace, options: NetworkOptions) {
    this.#time = time
    this.#random = random
    this.#trace = trace
    this.#copyMessages = options.copyMessages ?? false
    this.#delayMs = options.delayMs ?? { least: 0.1, most: 5 }
    this.#netTicktimeMs = options.netTicktimeMs ?? 60_000
  }

  /** Puts a runtime into the network. */
  add(runtime: Runtime): void {
    const remote = new NetworkRemote(this, runtime)
    this.#nodes.set(runtime.node.name, remote)
    runtime.remote = remote
  }

  /** Takes a node out, as when it died: all its connections are lost. Over a frozen link nobody hears of it. */
  remove(name: string): void {
    this.#nodes.delete(name)
    for (const connection of [...this.#connections.values()]) {
      if (isOf(name, connection.pair)) this.#end(connection, 'connection_closed', name)
    }
  }

  /** Whether a runtime is in the network; code of one that was killed may still run to its next await. */
  has(runtime: Runtime): boolean {
    return this.#nodes.get(runtime.node.name)?.runtime === runtime
  }

  /** The node stands still, as one that got SIGSTOP: what comes waits, and its peers take it for dead after the tick time. */
  hold(name: string): void {
    this.#nodes.get(name)?.hold()
    for (const other of this.#nodes.keys()) if (other !== name) this.freeze(name, other)
  }

  /** The node goes on. Links that were frozen for themselves thaw as well. */
  release(name: string): void {
    for (const other of this.#nodes.keys()) if (other !== name) this.thaw(name, other)
    this.#nodes.get(name)?.release()
  }

  cut(a: string, b: string): void {
    const pair = pairOf(a, b)
    this.#cut.add(pair)
    this.#lose(pair)
  }

  mend(a: string, b: string): void {
    this.#cut.delete(pairOf(a, b))
  }

  /** Mends all links, and lets all go on. */
  mendAll(): void {
    this.#cut.clear()
    for (const pair of [...this.#frozen.keys()]) this.#thaw(pair)
  }

  /** Loses the connection of two nodes; they may connect again at once. */
  reset(a: string, b: string): void {
    this.#lose(pairOf(a, b))
  }

  /** Stops all signals between two nodes; nobody is told. */
  freeze(a: string, b: string): void {
    const pair = pairOf(a, b)
    this.#thawing.delete(pair)
    if (this.#frozen.has(pair)) return
    const frozen: Frozen = { waiting: [] }
    this.#frozen.set(pair, frozen)
    const connection = this.#connections.get(pair)
    if (connection === undefined) return
    for (const node of connection.up) {
      const inMs = this.#netTicktimeMs * (0.75 + this.#random.next() / 2)
      this.#time.set(inMs, () => {
        if (this.#frozen.get(pair) !== frozen || this.#thawing.has(pair)) return
        if (connection.up.has(node)) this.#end(connection, 'net_tick_timeout', node)
      })
    }
  }

  /** Lets signals through again, those that have waited first. */
  thaw(a: string, b: string): void {
    this.#thaw(pairOf(a, b))
  }

  /** Whether signals of one node reach another, now or when the link thaws. */
  reaches(a: string, b: string): boolean {
    const pair = pairOf(a, b)
    if (!this.#nodes.has(a) || !this.#nodes.has(b) || this.#cut.has(pair)) return false
    const connection = this.#connections.get(pair)
    if (connection !== undefined) return !connection.isEnded
    return !this.#frozen.has(pair) || this.#thawing.has(pair)
  }

  /** Nodes with which `name` is connected, in the order in which they connected. */
  connectedTo(name: string): string[] {
    const connected: string[] = []
    for (const { pair, up } of this.#connections.values()) if (up.has(name)) connected.push(otherOf(name, pair))
    return connected
  }

  isConnected(name: string, node: string): boolean {
    return this.#connections.get(pairOf(name, node))?.up.has(name) === true
  }

  /** Resolves with whether the two are connected, after the time that it takes. */
  connect(from: string, to: string): Promise<boolean> {
    if (this.isConnected(from, to)) return Promise.resolve(true)
    return new Promise((resolve) => {
      const isFrozen = this.#frozen.has(pairOf(from, to)) && !this.#cut.has(pairOf(from, to))
      this.#time.set(isFrozen ? SETUP_TIMEOUT_MS : this.#delay() + this.#delay(), () => {
        const isReached = this.reaches(from, to)
        if (isReached) this.transmit(from, to, () => {})
        resolve(isReached)
      })
    })
  }

  /** Ends a connection on purpose. */
  disconnect(from: string, to: string): boolean {
    const connection = this.#connections.get(pairOf(from, to))
    if (connection?.up.has(from) !== true) return false
    this.#end(connection, 'disconnect', from)
    return true
  }

  /** Delivers a signal to `to` after the link's delay; drops it when the connection is lost meanwhile. */
  transmit(from: string, to: string, signal: (incoming: Incoming) => void): void {
    if (!this.reaches(from, to)) return
    const connection = this.#connection(from, to)
    this.#isUp(connection, from)
    const direction = `${from} ${to}`
    const arrivalMs = Math.max(this.#time.monotonic() + this.#delay(), this.#lastArrivalMs.get(direction) ?? 0)
    this.#lastArrivalMs.set(direction, arrivalMs)
    this.#trace.note(direction)
    this.#trace.note(arrivalMs)
    this.#time.set(arrivalMs - this.#time.monotonic(), () => {
      const arrive = () => this.#arrive(connection, to, signal)
      const frozen = this.#frozen.get(connection.pair)
      if (frozen === undefined) arrive()
      else frozen.waiting.push(arrive)
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

  #delay(): number {
    const { least, most } = this.#delayMs
    return least + this.#random.next() * (most - least)
  }

  #connection(a: string, b: string): Connection {
    const pair = pairOf(a, b)
    let connection = this.#connections.get(pair)
    if (connection === undefined) {
      connection = { pair, up: new Set(), isEnded: false }
      this.#connections.set(pair, connection)
    }
    return connection
  }

  #arrive(connection: Connection, to: string, signal: (incoming: Incoming) => void): void {
    const target = this.#nodes.get(to)
    if (connection.isEnded || target === undefined || target.runtime.stopped) return
    this.#isUp(connection, to)
    target.enter(() => signal(target.runtime.incoming))
  }

  #isUp(connection: Connection, node: string): void {
    if (connection.up.has(node)) return
    connection.up.add(node)
    this.#nodes.get(node)?.tell({ tag: 'nodeup', node: otherOf(node, connection.pair), hidden: false })
  }

  /** Both sides notice. */
  #lose(pair: string): void {
    const connection = this.#connections.get(pair)
    if (connection === undefined) return
    connection.isEnded = true
    this.#connections.delete(pair)
    for (const node of connection.up) this.#down(node, connection, 'connection_closed')
  }

  /** One side ends the connection; the other notices at once, unless the link is frozen. */
  #end(connection: Connection, reason: NodedownReason, by: string): void {
    connection.isEnded = true
    connection.up.delete(by)
    const isFrozen = this.#frozen.has(connection.pair) && !this.#thawing.has(connection.pair)
    if (!isFrozen || connection.up.size === 0) this.#lose(connection.pair)
    this.#down(by, connection, reason)
  }

  #thaw(pair: string): void {
    const frozen = this.#frozen.get(pair)
    if (frozen === undefined || this.#thawing.has(pair)) return
    this.#thawing.add(pair)
    this.#time.set(0, () => {
      if (this.#frozen.get(pair) !== frozen || !this.#thawing.delete(pair)) return
      this.#frozen.delete(pair)
      for (const arrive of frozen.waiting) arrive()
    })
    if (this.#connections.get(pair)?.isEnded === true) this.#lose(pair)
  }

  #down(node: string, connection: Connection, reason: NodedownReason): void {
    const peer = otherOf(node, connection.pair)
    this.#nodes.get(node)?.lost(peer, reason)
  }
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}

function isOf(node: string, pair: string): boolean {
  return pair.startsWith(`${node} `) || pair.endsWith(` ${node}`)
}

function otherOf(node: string, pair: string): string {
  return pair.startsWith(`${node} `) ? pair.slice(node.length + 1) : pair.slice(0, -node.length - 1)
}

class NetworkRemote implements Remote, NodeNetwork {
  readonly runtime: Runtime
  readonly #network: Network
  readonly #listeners = new Set<(event: NodeEvent) => void>()
  /** While the node stands still: what it will notice when it goes on. */
  #held: (() => void)[] | undefined = undefined

  constructor(network: Network, runtime: Runtime) {
    this.#network = network
    this.runtime = runtime
  }

  // Nodes

  nodes(kind: NodeKind = 'visible'): string[] {
    const { name } = this.runtime.node
    if (kind === 'this') return [name]
    if (kind === 'hidden') return []
    const connected = this.#network.connectedTo(name)
    return kind === 'known' ? [name, ...connected] : connected
  }

  isConnected(node: string): boolean {
    return this.#network.isConnected(this.runtime.node.name, node)
  }

  connect(node: string): Promise<boolean> {
    const { name } = this.runtime.node
    if (node === name) return Promise.resolve(true)
    return this.#network.has(this.runtime) ? this.#network.connect(name, node) : Promise.resolve(false)
  }

  disconnect(node: string): boolean {
    return this.#network.disconnect(this.runtime.node.name, node)
  }

  subscribe(listener: (event: NodeEvent) => void): () => void {
    const own = (event: NodeEvent) => listener(event)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  tell(event: NodeEvent): void {
    this.enter(() => {
      for (const listener of [...this.#listeners]) listener(event)
    })
  }

  /** The node stands still from now on. */
  hold(): void {
    this.#held ??= []
  }

  /** The node goes on, and notices what has come meanwhile. */
  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const notice of held) notice()
  }

  /** Something enters the node from outside. */
  enter(notice: () => void): void {
    if (this.#held === undefined) notice()
    else this.#held.push(notice)
  }

  /** The connection to a node is lost: what depends on it ends. */
  lost(peer: string, reason: NodedownReason): void {
    const { runtime } = this
    this.enter(() => {
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
    })
    this.tell({ tag: 'nodedown', node: peer, hidden: false, reason })
  }

  // Signals

  send(_from: Pid, to: Pid | RemoteName | Ref, message: unknown, options?: SendOptions): void {
    if (options?.noconnect === true && !this.isConnected(to.node)) return
    const travelling = this.#network.travelling(message)
    if (travelling === undefined) return
    this.#transmit(to.node, (incoming) =>
      incoming.deliver(to instanceof Pid || to instanceof Ref ? to : to.name, travelling.message),
    )
  }

  link(from: Pid, to: Pid): void {
    if (!this.#reaches(to.node)) {
      this.runtime.incoming.exitLinked(to, from, 'noconnection')
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
      this.runtime.incoming.down(from, ref, 'noconnection')
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
    return this.#network.has(this.runtime) && this.#network.reaches(this.runtime.node.name, node)
  }

  #transmit(node: string, signal: (incoming: Incoming) => void): void {
    if (this.#network.has(this.runtime)) this.#network.transmit(this.runtime.node.name, node, signal)
  }

  #answer(node: string, signal: (incoming: Incoming) => void): void {
    this.#network.transmit(node, this.runtime.node.name, signal)
  }
}
