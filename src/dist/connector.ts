/**
 * Gets connections up: dials nodes, takes the streams that listeners accept, and runs the handshake of both.
 *
 * Two nodes that connect to each other at once keep one connection, by the rule in accept-decision.ts: an attempt of ours that
 * is answered `nok` waits for the peer's. One that would begin while the peer's is being accepted waits for that: each side might
 * otherwise give up its own for the other's. Nobody's word is believed before the cookie: what there is for a name is touched
 * only when the handshake is done, and whoever claims a name without it holds us up for a moment at most. The table of nodes
 * (distribution.ts) is asked, and told.
 */
import type { Runtime } from '../actors/runtime.ts'
import { decide, type PeerState } from './accept-decision.ts'
import { Challenges } from './challenge.ts'
import { ourFlags } from './flags.ts'
import { accept, initiate } from './handshake.ts'
import { reportFailure } from './handshake-report.ts'
import {
  HANDSHAKE_TIMEOUT_MS,
  type HandshakeFailure,
  type HandshakeOptions,
  type HandshakePeer,
} from './handshake-types.ts'
import { type Negotiation, negotiate } from './negotiate.ts'
import type { NodeEntry } from './node-entry.ts'
import { PendingLimit } from './pending-limit.ts'
import type { Address, ByteStream, StreamEvents, Transport } from './transport.ts'

/** Where a node listens, or why it is not to be found: `noport`, `unreachable` … */
export type FindResult =
  | { readonly ok: true; readonly address: Address }
  | { readonly ok: false; readonly reason: string }

export interface ConnectorOptions {
  readonly transport: Transport
  /** Asks epmd where a node listens; never rejects. */
  readonly find: (node: string) => Promise<FindResult>
  readonly cookie: HandshakeOptions['cookie']
  readonly hidden: boolean
}

/** The table of nodes, as the connector sees it. */
export interface Nodes {
  stateOf(node: string): PeerState
  /** Whether an attempt still goes on. */
  isPending(entry: NodeEntry): boolean
  /** An attempt of ours has led to a stream. Returns who gets its events. */
  dialled(entry: NodeEntry, peer: HandshakePeer, stream: ByteStream): StreamEvents
  /** A peer that has the cookie has led to a stream. Returns who gets its events. */
  accepted(peer: HandshakePeer, stream: ByteStream): StreamEvents
  failed(entry: NodeEntry, reason: string): void
}

/** How long an attempt of ours waits for one of the peer's that has begun before. */
const COURTESY_MS = 1000

export class Connector {
  readonly #runtime: Runtime
  readonly #options: ConnectorOptions
  readonly #nodes: Nodes
  readonly #handshake: HandshakeOptions
  readonly #pending = new PendingLimit()
  readonly #accepting = new Set<Negotiation>()
  /** How many handshakes go on that began when there was nothing of their name here. */
  readonly #approaching = new Map<string, number>()
  /** Attempts of ours that wait for those, and what begins them. */
  readonly #waiting = new Map<NodeEntry, () => void>()
  #isStopped = false

  constructor(runtime: Runtime, options: ConnectorOptions, nodes: Nodes) {
    this.#runtime = runtime
    this.#options = options
    this.#nodes = nodes
    this.#handshake = {
      own: { ...runtime.node, flags: ourFlags(options.hidden) },
      cookie: options.cookie,
      challenges: new Challenges((buffer) => runtime.system.randomFill(buffer)),
      headerBytes: options.transport.proto === 'inet_tls' ? 4 : 2,
    }
  }

  /** Begins an attempt; the table is told how it ends. */
  dial(entry: NodeEntry): void {
    entry.limitSetup(HANDSHAKE_TIMEOUT_MS, () => this.#nodes.failed(entry, 'timeout'))
    if (this.#approaching.has(entry.name)) this.#wait(entry)
    else void this.#dial(entry)
  }

  #wait(entry: NodeEntry): void {
    const { timers } = this.#runtime
    const begin = (): void => {
      this.#waiting.delete(entry)
      timers.clear(timer)
      if (this.#nodes.isPending(entry)) void this.#dial(entry)
    }
    const timer = timers.set(COURTESY_MS, begin)
    this.#waiting.set(entry, begin)
  }

  async #dial(entry: NodeEntry): Promise<void> {
    const nodes = this.#nodes
    const found = await this.#options.find(entry.name)
    if (!nodes.isPending(entry)) return
    if (!found.ok) return nodes.failed(entry, found.reason)
    const connected = await this.#options.transport.connect(found.address, entry.giveUp.signal)
    if (!nodes.isPending(entry)) {
      if (connected.ok) connected.stream.destroy()
      return
    }
    if (!connected.ok) return nodes.failed(entry, connected.reason)
    const [handshake, first] = initiate(this.#handshake, entry.name)
    entry.negotiation = negotiate(connected.stream, handshake, first, this.#runtime.timers, {
      decide: (_peer, answer) => answer('not_allowed'),
      askedIfNew: (answer) => answer(nodes.isPending(entry)),
      connected: (peer, stream) => {
        entry.negotiation = undefined
        if (nodes.isPending(entry)) return nodes.dialled(entry, peer, stream)
        stream.destroy()
        return NOBODY
      },
      failed: (failure) => {
        entry.negotiation = undefined
        this.#report('initiator', failure)
        // The peer's own attempt is about to come up, and the setup time limits how long we wait for it.
        if (failure.reason !== 'nok' && failure.reason !== 'alive') nodes.failed(entry, failure.reason)
      },
    })
  }

  /** Takes a stream that a listener has accepted. */
  accept(stream: ByteStream): void {
    const { host } = stream.peer
    if (this.#isStopped || !this.#pending.take(host)) {
      stream.destroy()
      return
    }
    const nodes = this.#nodes
    let approach: string | undefined
    const ended = (): void => {
      this.#pending.release(host)
      this.#accepting.delete(negotiation)
      if (approach !== undefined) this.#approachEnded(approach)
    }
    const negotiation = negotiate(stream, accept(this.#handshake), [], this.#runtime.timers, {
      decide: ({ name }, answer) => {
        const decision = decide(this.#runtime.node.name, name, this.#stateOf(name))
        if (decision === 'ok') {
          approach = name
          this.#approaching.set(name, (this.#approaching.get(name) ?? 0) + 1)
        }
        answer(decision)
      },
      askedIfNew: (answer) => answer(false),
      connected: (peer, accepted) => {
        if (this.#isStopped) {
          accepted.destroy()
          return NOBODY
        }
        const heir = nodes.accepted(peer, accepted)
        ended()
        return heir
      },
      failed: (failure) => {
        ended()
        this.#report('acceptor', failure)
      },
    })
    this.#accepting.add(negotiation)
  }

  #stateOf(node: string): PeerState {
    for (const { name } of this.#waiting.keys()) if (name === node) return 'accepting'
    return this.#nodes.stateOf(node)
  }

  #approachEnded(node: string): void {
    const others = this.#approaching.get(node)! - 1
    if (others > 0) {
      this.#approaching.set(node, others)
      return
    }
    this.#approaching.delete(node)
    for (const [{ name }, begin] of this.#waiting) if (name === node) begin()
  }

  /** Takes no more streams, and gives up those whose handshake is not done. */
  stop(): void {
    this.#isStopped = true
    for (const negotiation of this.#accepting) negotiation.cancel()
    this.#accepting.clear()
  }

  #report(
    role: 'initiator' | 'acceptor',
    failure: { reason: HandshakeFailure; peer: string | undefined; detail: string },
  ): void {
    const { level, text } = reportFailure(this.#runtime.node.name, role, failure)
    this.#runtime.logger[level]({ reason: failure.reason }, text)
  }
}

/** Gets the events of a stream that was destroyed as soon as it was there. */
const NOBODY: StreamEvents = { onData: () => {}, onDrain: () => {}, onClose: () => {} }
