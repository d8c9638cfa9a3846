/**
 * The node's table of other nodes, and the way of a signal to them: the `Remote` of its runtime [OTP net_kernel].
 *
 * The first signal to a node begins a connection (connector.ts); signals wait for it in the peer's outbox. An attempt that fails ends what
 * has waited with `noconnection`. Whoever wants to know which nodes come and go subscribes.
 */
import type { ExitReason } from '../actors/errors.ts'
import type { Pid } from '../actors/pid.ts'
import type { Process } from '../actors/process.ts'
import type { Ref } from '../actors/ref.ts'
import type { Remote } from '../actors/remote.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { RemoteName, SendOptions } from '../actors/signal.ts'
import type { PeerState } from './accept-decision.ts'
import { AtomQuota } from './atom-table.ts'
import { Connection, type NodedownReason } from './connection.ts'
import { Connector, type ConnectorOptions, type Nodes } from './connector.ts'
import { reasonToTerm } from './exit-reason.ts'
import { hasFlag } from './flags.ts'
import type { HandshakePeer } from './handshake-types.ts'
import { byeMessage, MESH } from './mesh-protocol.ts'
import { NodeEntry } from './node-entry.ts'
import { canTalk } from './node-name.ts'
import type { NodeEvent, NodeKind, NodeNetwork } from './node-network.ts'
import { OUTBOX_LIMITS, type OutboxLimits } from './outbox.ts'
import type { Peer, SpawnEnd, SpawnForPeer } from './peer.ts'
import type { ByteStream, StreamEvents } from './transport.ts'

export interface DistributionOptions extends Omit<ConnectorOptions, 'hidden'> {
  readonly runtime: Runtime
  /** A hidden node is not in `nodes()` of others, and learns of no nodes by itself. @default false */
  readonly hidden?: boolean
  /** A peer that is silent for this long is taken for dead. @default 60000 */
  readonly netTicktimeMs?: number
  readonly limits?: Partial<OutboxLimits>
  /** Starts the processes that peers ask for. */
  readonly spawn: SpawnForPeer
}

const NET_TICKTIME_MS = 60_000

/** How long connections that are ended on purpose may take to pass on what was sent before. */
const FAREWELL_MS = 1000

export class Distribution implements Remote, Nodes, NodeNetwork {
  readonly runtime: Runtime
  readonly hidden: boolean
  readonly netTicktimeMs: number
  readonly #limits: OutboxLimits
  readonly #spawn: SpawnForPeer
  readonly #connector: Connector
  readonly #entries = new Map<string, NodeEntry>()
  readonly #listeners = new Set<(event: NodeEvent) => void>()
  /** Kept across the connections of a peer. */
  readonly #quotas = new Map<string, AtomQuota>()
  /** Processes that have spawned elsewhere and will be told of, once, when they end. */
  readonly #heeded = new WeakSet<Process>()
  /** Of connections that have ended. */
  readonly #pastTraffic = { bytesIn: 0, bytesOut: 0 }
  #stopping: Promise<void> | undefined = undefined

  constructor(options: DistributionOptions) {
    const { runtime, hidden = false, netTicktimeMs = NET_TICKTIME_MS, limits = {}, spawn } = options
    this.runtime = runtime
    this.hidden = hidden
    this.netTicktimeMs = netTicktimeMs
    this.#limits = { ...OUTBOX_LIMITS, ...limits }
    this.#spawn = spawn
    this.#connector = new Connector(runtime, { ...options, hidden }, this)
  }

  /** Takes a stream that a listener has accepted. */
  accept(stream: ByteStream): void {
    this.#connector.accept(stream)
  }

  // Nodes

  /** Connected nodes, unless another kind is asked for, in the order in which they connected. */
  nodes(kind: NodeKind = 'visible'): string[] {
    if (kind === 'this') return [this.runtime.node.name]
    const entries = [...this.#entries.values()]
    if (kind === 'known') return [this.runtime.node.name, ...entries.map(({ name }) => name)]
    return entries
      .filter(({ connection, isHidden }) => {
        return connection !== undefined && (kind === 'connected' || isHidden === (kind === 'hidden'))
      })
      .map(({ name }) => name)
  }

  isConnected(node: string): boolean {
    return this.#entries.get(node)?.connection !== undefined
  }

  /** Creation of a connected node. */
  creationOf(node: string): number | undefined {
    const entry = this.#entries.get(node)
    return entry?.connection === undefined ? undefined : entry.creation
  }

  /** Signals between this node and another, when there are any. */
  peer(node: string): Peer | undefined {
    return this.#entries.get(node)?.peer
  }

  /** Bytes that came from all nodes and went to them, since the start. */
  traffic(): { readonly bytesIn: number; readonly bytesOut: number } {
    let { bytesIn, bytesOut } = this.#pastTraffic
    for (const { connection, peer } of this.#entries.values()) {
      bytesIn += connection?.bytesIn ?? 0
      bytesOut += peer.outbox.bytesOut
    }
    return { bytesIn, bytesOut }
  }

  /** Resolves with whether the node is connected; it is then, or was before. */
  connect(node: string): Promise<boolean> {
    if (node === this.runtime.node.name) return Promise.resolve(true)
    const entry = this.#reach(node)
    if (entry === undefined) return Promise.resolve(false)
    return entry.connection === undefined ? entry.settled() : Promise.resolve(true)
  }

  /** Ends a connection; false when there was none. */
  disconnect(node: string): boolean {
    const entry = this.#entries.get(node)
    if (entry === undefined) return false
    if (entry.connection === undefined) this.failed(entry, 'disconnect')
    else this.#leave(entry, entry.connection, 'disconnect')
    return true
  }

  /** Calls `listener` for every node that comes or goes; returns what ends that. */
  subscribe(listener: (event: NodeEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Ends all connections and takes part in nothing any more. Resolves when what was sent before has left, or after a second. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#connector.stop()
    const ended: Connection[] = []
    for (const entry of [...this.#entries.values()]) {
      const { connection } = entry
      if (connection === undefined) this.failed(entry, 'net_kernel_terminated')
      else {
        this.#leave(entry, connection, 'net_kernel_terminated')
        ended.push(connection)
      }
    }
    const { timers } = this.runtime
    const timer = timers.set(FAREWELL_MS, () => {
      for (const connection of ended) connection.drop()
    })
    await Promise.all(ended.map((connection) => connection.closed))
    timers.clear(timer)
  }

  /** Ends a connection on purpose; a node of ours is told, so that it does not connect again by itself. */
  #leave({ name, peer }: NodeEntry, connection: Connection, reason: NodedownReason): void {
    const { init, node: own } = this.runtime
    if (!this.hidden) peer.send(init.pid, { name: MESH, node: name }, byeMessage(own.name))
    connection.end(reason)
  }

  // Signals

  send(from: Pid, to: Pid | RemoteName | Ref, message: unknown, options?: SendOptions): void {
    const entry = options?.noconnect === true ? this.#entries.get(to.node) : this.#reach(to.node)
    entry?.peer.send(from, to, message)
  }

  link(from: Pid, to: Pid): void {
    const entry = this.#reach(to.node)
    if (entry === undefined) this.runtime.incoming.exitLinked(to, from, 'noconnection')
    else entry.peer.link(from, to)
  }

  unlink(from: Pid, to: Pid): void {
    this.peer(to.node)?.unlink(from, to)
  }

  exitLinked(from: Pid, to: Pid, reason: ExitReason): void {
    this.peer(to.node)?.exitLinked(from, to, reason)
  }

  exit(from: Pid, to: Pid, reason: ExitReason): void {
    this.#reach(to.node)?.peer.exit(from, to, reason)
  }

  monitor(from: Pid, to: Pid | RemoteName, ref: Ref): void {
    const entry = this.#reach(to.node)
    if (entry === undefined) this.runtime.incoming.down(from, ref, 'noconnection')
    else entry.peer.monitor(from, to, ref)
  }

  demonitor(from: Pid, to: Pid | RemoteName, ref: Ref): void {
    this.peer(to.node)?.demonitor(from, to, ref)
  }

  down(object: Pid | string, watcher: Pid, ref: Ref, reason: ExitReason): void {
    this.peer(watcher.node)?.down(object, watcher, ref, reason)
  }

  /**
   * Starts a process on a node, this one included, by a function that the node exports, in the name of `caller`; see
   * `Peer.spawnRequest`.
   */
  spawnRequest(
    caller: Process,
    node: string,
    module: string,
    name: string,
    args: readonly unknown[],
    ended: ((end: SpawnEnd) => void) | undefined,
  ): () => void {
    if (node === this.runtime.node.name) return this.#spawnHere(caller, module, name, args, ended)
    if (ended !== undefined) this.#heed(caller)
    const entry = this.#reach(node)
    if (entry !== undefined) return entry.peer.spawnRequest(caller.pid, module, name, args, ended)
    ended?.({ tag: 'error', reason: 'noconnection' })
    return () => {}
  }

  /** When a process ends, nobody waits any more for what it has spawned elsewhere. */
  #heed(caller: Process): void {
    if (this.#heeded.has(caller) || caller === this.runtime.init) return
    this.#heeded.add(caller)
    caller.onExit(() => {
      for (const { peer } of this.#entries.values()) peer.callerEnded(caller.pid)
    })
  }

  #spawnHere(
    caller: Process,
    module: string,
    name: string,
    args: readonly unknown[],
    ended: ((end: SpawnEnd) => void) | undefined,
  ): () => void {
    const { runtime } = this
    const { pid } = this.#spawn({
      op: 'spawn_request',
      ref: runtime.makeRef(),
      from: caller.pid,
      groupLeader: caller.pid,
      module,
      function: name,
      args,
      link: false,
      monitor: ended !== undefined,
    })
    if (ended === undefined) return () => {}
    const monitor = runtime.monitor(caller, pid, (reason) => ended({ tag: 'down', reason: reasonToTerm(reason) }))
    return () => runtime.demonitor(caller, monitor)
  }

  // Connections: called by the connector

  /** The entry of a node, made with an attempt to connect when there is none; undefined for what cannot be connected to. */
  #reach(node: string): NodeEntry | undefined {
    const known = this.#entries.get(node)
    if (known !== undefined) return known
    const own = this.runtime.node.name
    if (this.#stopping !== undefined || this.runtime.stopped || node === own || !canTalk(own, node)) return undefined
    const entry = this.#add(node)
    this.#connector.dial(entry)
    return entry
  }

  #add(name: string): NodeEntry {
    const entry = new NodeEntry({
      runtime: this.runtime,
      name,
      limits: this.#limits,
      spawn: this.#spawn,
      onOverflow: (full) => {
        if (full.connection === undefined) this.failed(full, 'queue_overflow')
        else full.connection.end('queue_overflow')
      },
    })
    this.#entries.set(name, entry)
    return entry
  }

  stateOf(node: string): PeerState {
    const entry = this.#entries.get(node)
    if (entry === undefined) return 'none'
    return entry.connection === undefined ? 'connecting' : 'connected'
  }

  isPending(entry: NodeEntry): boolean {
    return this.#entries.get(entry.name) === entry && entry.connection === undefined
  }

  failed(entry: NodeEntry, reason: string): void {
    if (!this.isPending(entry)) return
    const { name } = entry
    this.runtime.logger.debug({ peer: name, reason }, `no connection to ${name}`)
    this.#entries.delete(name)
    entry.settle(false)
    entry.peer.lost()
  }

  dialled(entry: NodeEntry, peer: HandshakePeer, stream: ByteStream): StreamEvents {
    return this.#up(entry, peer, stream)
  }

  accepted(peer: HandshakePeer, stream: ByteStream): StreamEvents {
    this.#entries.get(peer.name)?.connection?.end('replaced')
    return this.#up(this.#entries.get(peer.name) ?? this.#add(peer.name), peer, stream)
  }

  #up(entry: NodeEntry, peer: HandshakePeer, stream: ByteStream): StreamEvents {
    const { runtime, netTicktimeMs } = this
    const { name } = entry
    entry.isHidden = !peer.isPublished || this.hidden
    entry.creation = peer.creation
    const connection = new Connection({
      runtime,
      peer: entry.peer,
      stream,
      netTicktimeMs,
      maxFrameBytes: this.#limits.maxFrameBytes,
      takesFragments: hasFlag(peer.flags, 'FRAGMENTS'),
      quota: this.#quota(name),
      onEnd: (reason) => this.#down(entry, reason),
    })
    entry.connection = connection
    // Listed in the order of connecting, not of the first signal.
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    connection.start()
    this.#emit({ tag: 'nodeup', node: name, hidden: entry.isHidden })
    entry.settle(true)
    return connection
  }

  #down(entry: NodeEntry, reason: NodedownReason): void {
    const { name, connection, peer, isHidden } = entry
    if (this.#entries.get(name) === entry) this.#entries.delete(name)
    this.#forgetQuotas()
    this.#pastTraffic.bytesIn += connection?.bytesIn ?? 0
    this.#pastTraffic.bytesOut += peer.outbox.bytesOut
    peer.lost()
    this.#emit({ tag: 'nodedown', node: name, hidden: isHidden, reason })
  }

  #emit(event: NodeEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event)
      } catch (error) {
        this.runtime.logger.error({ err: error }, 'listener of node events failed')
      }
    }
  }

  #quota(node: string): AtomQuota {
    let quota = this.#quotas.get(node)
    if (quota === undefined) {
      quota = new AtomQuota()
      this.#quotas.set(node, quota)
    }
    return quota
  }

  /** A quota of which nothing is used is as good as a new one, and a peer may come under any number of names. */
  #forgetQuotas(): void {
    for (const [node, { used }] of this.#quotas) if (used === 0 && !this.#entries.has(node)) this.#quotas.delete(node)
  }
}

/** The distribution of a runtime; undefined when it has none. */
export function distributionOf(runtime: Runtime): Distribution | undefined {
  return runtime.remote instanceof Distribution ? runtime.remote : undefined
}
