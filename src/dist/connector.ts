/**
 * Gets connections up: dials nodes, takes the streams that listeners accept, and runs the handshake of both.
 *
 * Two nodes that connect to each other at once keep one connection, by the rule in accept-decision.ts: an attempt of ours that
 * is answered `nok` waits for the peer's. Nobody's word is believed before the cookie: what there is for a name is touched
 * only when the handshake is done. The table of nodes (distribution.ts) is asked, and told.
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

export class Connector {
  readonly #runtime: Runtime
  readonly #options: ConnectorOptions
  readonly #nodes: Nodes
  readonly #handshake: HandshakeOptions
  readonly #pending = new PendingLimit()
  readonly #accepting = new Set<Negotiation>()
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
    void this.#dial(entry)
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
    const ended = (): void => {
      this.#pending.release(host)
      this.#accepting.delete(negotiation)
    }
    const negotiation = negotiate(stream, accept(this.#handshake), [], this.#runtime.timers, {
      decide: ({ name }, answer) => answer(decide(this.#runtime.node.name, name, nodes.stateOf(name))),
      askedIfNew: (answer) => answer(false),
      connected: (peer, accepted) => {
        ended()
        if (!this.#isStopped) return nodes.accepted(peer, accepted)
        accepted.destroy()
        return NOBODY
      },
      failed: (failure) => {
        ended()
        this.#report('acceptor', failure)
      },
    })
    this.#accepting.add(negotiation)
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
    this.#runtime.logger[this.#isSuperseded(role, failure) ? 'debug' : level]({ reason: failure.reason }, text)
  }

  /** Of two nodes that connect to each other at once, one closes its attempt when the other's is up or about to be. */
  #isSuperseded(
    role: 'initiator' | 'acceptor',
    { reason, peer }: { reason: string; peer: string | undefined },
  ): boolean {
    if (reason !== 'closed' || peer === undefined) return false
    const state = this.#nodes.stateOf(peer)
    return state === 'connected' || (role === 'acceptor' && state === 'connecting')
  }
}

/** Gets the events of a stream that was destroyed as soon as it was there. */
const NOBODY: StreamEvents = { onData: () => {}, onDrain: () => {}, onClose: () => {} }
