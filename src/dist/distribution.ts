/**
 * The node's table of other nodes: connects, accepts, and hands signals to the peer they are for [OTP net_kernel].
 *
 * It is the `Remote` of its runtime. The first signal to a node begins a connection; signals wait for it in the peer's outbox. An
 * attempt that fails ends what has waited with `noconnection`. Two nodes that connect to each other at once keep one
 * connection, by the rule in accept-decision.ts: an attempt of ours that is answered `nok` waits for the peer's.
 * Nobody's word is believed before the cookie: what exists for a name is touched only when the handshake is done.
 */
import type { ExitReason } from '../actors/errors.ts'
import type { Pid } from '../actors/pid.ts'
import type { Process } from '../actors/process.ts'
import type { Ref } from '../actors/ref.ts'
import type { Remote } from '../actors/remote.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { RemoteName } from '../actors/signal.ts'
import type { TimerHandle } from '../actors/system.ts'
import { decide } from './accept-decision.ts'
import { AtomQuota } from './atom-table.ts'
import { Challenges } from './challenge.ts'
import { Connection, type NodedownReason } from './connection.ts'
import { reasonToTerm } from './exit-reason.ts'
import { hasFlag, ourFlags } from './flags.ts'
import { MAX_FRAME_BYTES } from './frame.ts'
import { accept, initiate } from './handshake.ts'
import { reportFailure } from './handshake-report.ts'
import {
  HANDSHAKE_TIMEOUT_MS,
  type HandshakeFailure,
  type HandshakeOptions,
  type HandshakePeer,
} from './handshake-types.ts'
import { byeMessage, MESH } from './mesh-protocol.ts'
import { type Negotiation, negotiate } from './negotiate.ts'
import { canTalk } from './node-name.ts'
import { OUTBOX_LIMITS, Outbox, type OutboxLimits } from './outbox.ts'
import { Peer, type SpawnEnd, type SpawnForPeer } from './peer.ts'
import { PendingLimit } from './pending-limit.ts'
import type { Address, ByteStream, StreamEvents, Transport } from './transport.ts'

/** Where a node listens, or why it is not to be found: `noport`, `unreachable` … */
export type FindResult =
  | { readonly ok: true; readonly address: Address }
  | { readonly ok: false; readonly reason: string }

export interface DistributionOptions {
  readonly runtime: Runtime
  readonly transport: Transport
  /** Asks epmd where a node listens; never rejects. */
  readonly find: (node: string) => Promise<FindResult>
  readonly cookie: HandshakeOptions['cookie']
  /** A hidden node is not in `nodes()` of others, and learns of no nodes by itself. @default false */
  readonly hidden?: boolean
  /** A peer that is silent for this long is taken for dead. @default 60000 */
  readonly netTicktimeMs?: number
  readonly limits?: Partial<OutboxLimits>
  readonly maxFrameBytes?: number
  /** Starts the processes that peers ask for. */
  readonly spawn: SpawnForPeer
}

export type NodeEvent =
  | { readonly tag: 'nodeup'; readonly node: string; readonly hidden: boolean }
  | { readonly tag: 'nodedown'; readonly node: string; readonly hidden: boolean; readonly reason: NodedownReason }

/** Which nodes `nodes` lists [OTP erlang:nodes/1]. `known`: this node, and those to which a connection is under way, as well. */
export type NodeKind = 'visible' | 'hidden' | 'connected' | 'known' | 'this'

/** What there is of another node. */
interface Entry {
  readonly peer: Peer
  /** Undefined while the connection is coming up. */
  connection: Connection | undefined
  isHidden: boolean
  creation: number
  /** Of the whole attempt. */
  setupTimer: TimerHandle | undefined
  readonly giveUp: AbortController
  negotiation: Negotiation | undefined
  waiters: ((isUp: boolean) => void)[]
  /** How often its outbox became too full. */
  busyTimes: number
  nextBusyReportMs: number
}

const NET_TICKTIME_MS = 60_000

/** A link under constant load is full many times a second; the log tells of it once in this time. */
const BUSY_REPORT_PAUSE_MS = 10_000

export class Distribution implements Remote {
  readonly runtime: Runtime
  readonly hidden: boolean
  readonly netTicktimeMs: number
  readonly #options: DistributionOptions
  readonly #handshake: HandshakeOptions
  readonly #entries = new Map<string, Entry>()
  readonly #pending = new PendingLimit()
  readonly #accepting = new Set<Negotiation>()
  readonly #listeners = new Set<(event: NodeEvent) => void>()
  /** Kept across the connections of a peer. */
  readonly #quotas = new Map<string, AtomQuota>()
  /** Of connections that have ended. */
  readonly #pastTraffic = { bytesIn: 0, bytesOut: 0 }
  #isStopped = false

  constructor(options: DistributionOptions) {
    const { runtime, hidden = false, netTicktimeMs = NET_TICKTIME_MS, cookie, transport } = options
    this.runtime = runtime
    this.hidden = hidden
    this.netTicktimeMs = netTicktimeMs
    this.#options = options
    this.#handshake = {
      own: { ...runtime.node, flags: ourFlags(hidden) },
      cookie,
      challenges: new Challenges((buffer) => runtime.system.randomFill(buffer)),
      headerBytes: transport.proto === 'inet_tls' ? 4 : 2,
    }
  }

  // Nodes

  /** Connected nodes, unless another kind is asked for, in the order in which they connected. */
  nodes(kind: NodeKind = 'visible'): string[] {
    if (kind === 'this') return [this.runtime.node.name]
    const entries = [...this.#entries.entries()]
    if (kind === 'known') return [this.runtime.node.name, ...entries.map(([name]) => name)]
    return entries
      .filter(([, { connection, isHidden }]) => {
        return connection !== undefined && (kind === 'connected' || isHidden === (kind === 'hidden'))
      })
      .map(([name]) => name)
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
    if (entry.connection !== undefined) return Promise.resolve(true)
    return new Promise((resolve) => void entry.waiters.push(resolve))
  }

  /** Ends a connection; false when there was none. */
  disconnect(node: string): boolean {
    const entry = this.#entries.get(node)
    if (entry === undefined) return false
    if (entry.connection === undefined) this.#failed(node, entry, 'disconnect')
    else this.#leave(node, entry.connection, entry.peer, 'disconnect')
    return true
  }

  /** Ends a connection on purpose; a node of ours is told, so that it does not connect again by itself. */
  #leave(node: string, connection: Connection, peer: Peer, reason: NodedownReason): void {
    const { init, node: own } = this.runtime
    if (!this.hidden) peer.send(init.pid, { name: MESH, node }, byeMessage(own.name))
    connection.end(reason)
  }

  /** Calls `listener` for every node that comes or goes; returns what ends that. */
  subscribe(listener: (event: NodeEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Ends all connections, and takes part in nothing any more. */
  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    for (const negotiation of this.#accepting) negotiation.cancel()
    this.#accepting.clear()
    for (const [node, entry] of [...this.#entries]) {
      if (entry.connection === undefined) this.#failed(node, entry, 'net_kernel_terminated')
      else this.#leave(node, entry.connection, entry.peer, 'net_kernel_terminated')
    }
  }

  // Signals

  send(from: Pid, to: Pid | RemoteName | Ref, message: unknown): void {
    this.#reach(to.node)?.peer.send(from, to, message)
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
    const entry = this.#reach(node)
    if (entry !== undefined) return entry.peer.spawnRequest(caller.pid, module, name, args, ended)
    ended?.({ tag: 'error', reason: 'noconnection' })
    return () => {}
  }

  #spawnHere(
    caller: Process,
    module: string,
    name: string,
    args: readonly unknown[],
    ended: ((end: SpawnEnd) => void) | undefined,
  ): () => void {
    const { runtime } = this
    const { pid } = this.#options.spawn({
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

  // Connecting

  /** The entry of a node, made with an attempt to connect when there is none; undefined for what cannot be connected to. */
  #reach(node: string): Entry | undefined {
    const known = this.#entries.get(node)
    if (known !== undefined) return known
    const own = this.runtime.node.name
    if (this.#isStopped || this.runtime.stopped || node === own || !canTalk(own, node)) return undefined
    const entry = this.#add(node)
    entry.setupTimer = this.runtime.timers.set(HANDSHAKE_TIMEOUT_MS, () => this.#failed(node, entry, 'timeout'))
    void this.#dial(node, entry)
    return entry
  }

  #add(node: string): Entry {
    const { runtime } = this
    const outbox = new Outbox(
      runtime.scheduler,
      { ...OUTBOX_LIMITS, ...this.#options.limits },
      {
        onBusy: (sender) => this.#busy(node, entry, sender),
        onOverflow: () => this.#overflow(node, entry),
      },
    )
    const entry: Entry = {
      peer: new Peer({ runtime, name: node, outbox, spawn: this.#options.spawn }),
      connection: undefined,
      isHidden: false,
      creation: 0,
      setupTimer: undefined,
      giveUp: new AbortController(),
      negotiation: undefined,
      waiters: [],
      busyTimes: 0,
      nextBusyReportMs: 0,
    }
    this.#entries.set(node, entry)
    return entry
  }

  async #dial(node: string, entry: Entry): Promise<void> {
    const found = await this.#options.find(node)
    if (!this.#isPending(node, entry)) return
    if (!found.ok) return this.#failed(node, entry, found.reason)
    const connected = await this.#options.transport.connect(found.address, entry.giveUp.signal)
    if (!this.#isPending(node, entry)) {
      if (connected.ok) connected.stream.destroy()
      return
    }
    if (!connected.ok) return this.#failed(node, entry, connected.reason)
    const [handshake, first] = initiate(this.#handshake, node)
    entry.negotiation = negotiate(connected.stream, handshake, first, this.runtime.timers, {
      decide: (_peer, answer) => answer('not_allowed'),
      askedIfNew: (answer) => answer(this.#isPending(node, entry)),
      connected: (peer, stream) => {
        entry.negotiation = undefined
        if (this.#isPending(node, entry)) return this.#up(node, entry, peer, stream)
        stream.destroy()
        return NOBODY
      },
      failed: (failure) => {
        entry.negotiation = undefined
        this.#report('initiator', failure)
        // The peer's own attempt is about to come up, and the setup time limits how long we wait for it.
        if (failure.reason !== 'nok' && failure.reason !== 'alive') this.#failed(node, entry, failure.reason)
      },
    })
  }

  #isPending(node: string, entry: Entry): boolean {
    return this.#entries.get(node) === entry && entry.connection === undefined
  }

  #failed(node: string, entry: Entry, reason: string): void {
    if (!this.#isPending(node, entry)) return
    this.runtime.logger.debug({ node, reason }, `no connection to ${node}`)
    this.#entries.delete(node)
    this.#endAttempt(entry)
    this.#settle(entry, false)
    entry.peer.lost()
  }

  #endAttempt(entry: Entry): void {
    if (entry.setupTimer !== undefined) this.runtime.timers.clear(entry.setupTimer)
    entry.setupTimer = undefined
    entry.giveUp.abort()
    entry.negotiation?.cancel()
    entry.negotiation = undefined
  }

  #settle(entry: Entry, isUp: boolean): void {
    const { waiters } = entry
    entry.waiters = []
    for (const resolve of waiters) resolve(isUp)
  }

  // Accepting

  /** Takes a stream that a listener has accepted. */
  accept(stream: ByteStream): void {
    const { host } = stream.peer
    if (this.#isStopped || !this.#pending.take(host)) {
      stream.destroy()
      return
    }
    const ended = (): void => {
      this.#pending.release(host)
      this.#accepting.delete(negotiation)
    }
    const negotiation = negotiate(stream, accept(this.#handshake), [], this.runtime.timers, {
      decide: ({ name }, answer) => answer(decide(this.runtime.node.name, name, this.#stateOf(name))),
      askedIfNew: (answer) => answer(false),
      connected: (peer, accepted) => {
        ended()
        return this.#accepted(peer, accepted)
      },
      failed: (failure) => {
        ended()
        this.#report('acceptor', failure)
      },
    })
    this.#accepting.add(negotiation)
  }

  #stateOf(node: string): 'none' | 'connecting' | 'connected' {
    const entry = this.#entries.get(node)
    if (entry === undefined) return 'none'
    return entry.connection === undefined ? 'connecting' : 'connected'
  }

  #accepted(peer: HandshakePeer, stream: ByteStream): StreamEvents {
    if (this.#isStopped) {
      stream.destroy()
      return NOBODY
    }
    this.#entries.get(peer.name)?.connection?.end('replaced')
    const entry = this.#entries.get(peer.name) ?? this.#add(peer.name)
    return this.#up(peer.name, entry, peer, stream)
  }

  // Up and down

  #up(node: string, entry: Entry, peer: HandshakePeer, stream: ByteStream): StreamEvents {
    this.#endAttempt(entry)
    const { runtime, netTicktimeMs } = this
    entry.isHidden = !peer.isPublished || this.hidden
    entry.creation = peer.creation
    const connection = new Connection({
      runtime,
      peer: entry.peer,
      stream,
      netTicktimeMs,
      maxFrameBytes: this.#options.maxFrameBytes ?? MAX_FRAME_BYTES,
      takesFragments: hasFlag(peer.flags, 'FRAGMENTS'),
      quota: this.#quota(node),
      onEnd: (reason) => this.#down(node, entry, reason),
    })
    entry.connection = connection
    // Listed in the order of connecting, not of the first signal.
    this.#entries.delete(node)
    this.#entries.set(node, entry)
    connection.start()
    this.#emit({ tag: 'nodeup', node, hidden: entry.isHidden })
    this.#settle(entry, true)
    return connection
  }

  #down(node: string, entry: Entry, reason: NodedownReason): void {
    if (this.#entries.get(node) === entry) this.#entries.delete(node)
    this.#pastTraffic.bytesIn += entry.connection?.bytesIn ?? 0
    this.#pastTraffic.bytesOut += entry.peer.outbox.bytesOut
    entry.peer.lost()
    this.#emit({ tag: 'nodedown', node, hidden: entry.isHidden, reason })
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

  #busy(node: string, entry: Entry, sender: Process | undefined): void {
    entry.busyTimes++
    const nowMs = this.runtime.clock.monotonic()
    if (nowMs < entry.nextBusyReportMs) return
    entry.nextBusyReportMs = nowMs + BUSY_REPORT_PAUSE_MS
    this.runtime.logger.warn(
      { report: 'busy_dist_port', node, process: sender?.pid, times: entry.busyTimes },
      `the link to ${node} is full`,
    )
  }

  #overflow(node: string, entry: Entry): void {
    if (entry.connection === undefined) this.#failed(node, entry, 'queue_overflow')
    else entry.connection.end('queue_overflow')
  }

  #report(
    role: 'initiator' | 'acceptor',
    failure: { reason: HandshakeFailure; peer: string | undefined; detail: string },
  ): void {
    const { level, text } = reportFailure(this.runtime.node.name, role, failure)
    this.runtime.logger[level]({ reason: failure.reason }, text)
  }
}

/** Gets the events of a stream that was destroyed as soon as it was there. */
const NOBODY: StreamEvents = { onData: () => {}, onDrain: () => {}, onClose: () => {} }

/** The distribution of a runtime; undefined when it has none. */
export function distributionOf(runtime: Runtime): Distribution | undefined {
  return runtime.remote instanceof Distribution ? runtime.remote : undefined
}
