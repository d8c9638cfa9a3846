/**
 * Publishing to other nodes: what is on its way to each, and who waits for it.
 *
 * The publisher's process hands its batches over here, and they leave at once, one message for each node. A node confirms what all its sessions have taken
 * over; until then the receipt of the publish is open, and so its acknowledgement. The wait is bounded: a node that stands still must
 * not hold up publishers of the others. What a node had not confirmed when it was lost counts as taken over by it, but for the messages of groups, which go
 * to another member.
 */
import type { Pid } from '../../actors/pid.ts'
import type { Runtime } from '../../actors/runtime.ts'
import { type Batch, type Message, plainBatch, type Run } from '../message.ts'
import type { Metrics } from '../monitor/metrics.ts'
import type { Receipt } from '../routing/receipt.ts'
import { travellingRun } from '../session/travel.ts'
import { FORWARDER, type Forward, type Forwarded, type ForwardTo } from './messages.ts'

export interface ForwardingOptions {
  readonly runtime: Runtime
  readonly metrics: Metrics
  /** How long a publisher waits for a node. ms */
  readonly waitMs: number
  /** Topics and payloads that may be on their way to a node; what comes beyond is dropped, and counted. */
  readonly maxBytes: number
  /** Gives messages that a member did not get to others of its group. */
  readonly redispatch: (messages: readonly Message[], group: string, filter: string, exclude: Pid) => void
}

/** What is on its way. */
interface Unconfirmed {
  /** Undefined when nobody waits, or not any more. */
  receipt: Receipt | undefined
  readonly bytes: number
  readonly sentAtMs: number
  /** For a session as the member of a group. */
  readonly to: Pid | undefined
  readonly run: Run | undefined
}

/** What is known of a node that is forwarded to. */
class Peer {
  stream = 1
  seq = 0
  /** By number, the oldest first. */
  readonly unconfirmed = new Map<number, Unconfirmed>()
  bytes = 0
  /** Messages that were ever sent. */
  messages = 0
  /** It has been waited for in vain: as long as it confirms nothing, as when it stands still, it holds up nobody. */
  isLate = false
}

export class Forwarding {
  readonly #options: ForwardingOptions
  readonly #peers = new Map<string, Peer>()
  #isWatched = false

  constructor(options: ForwardingOptions) {
    this.#options = options
  }

  /** Sends batches to a node. With a receipt, the node has to take them over. */
  send(node: string, batches: readonly Batch[], receipt: Receipt | undefined): void {
    let bytes = 0
    let messages = 0
    for (const batch of batches) {
      bytes += batch.bytes
      messages += batch.messages.length
    }
    const peer = this.#admit(node, messages, bytes)
    if (peer === undefined) return
    const seq = this.#expect(peer, { receipt, bytes, to: undefined, run: undefined })
    const { runtime } = this.#options
    const message: Forward = {
      tag: 'forward',
      node: runtime.node.name,
      stream: peer.stream,
      seq,
      batches: batches.map(plainBatch),
    }
    runtime.send({ name: FORWARDER, node }, message)
  }

  /** Sends a run to a session of another node, as the member of a group. */
  sendTo(to: Pid, run: Run, receipt: Receipt | undefined): void {
    const { runtime } = this.#options
    const batch = run.batch as Batch
    const peer = this.#admit(to.node, batch.messages.length, batch.bytes)
    if (peer === undefined) return
    const seq = this.#expect(peer, { receipt, bytes: batch.bytes, to, run })
    const message: ForwardTo = {
      tag: 'forward_to',
      node: runtime.node.name,
      stream: peer.stream,
      seq,
      to,
      run: travellingRun(run),
    }
    runtime.send({ name: FORWARDER, node: to.node }, message)
  }

  /** Takes what a node says of what was sent to it. */
  confirmed({ node, stream, taken, refused }: Forwarded): void {
    const peer = this.#peers.get(node)
    if (peer === undefined || peer.stream !== stream) return
    peer.isLate = false
    for (let i = 0; i + 1 < taken.length; i += 2) {
      for (let seq = taken[i]!; seq <= taken[i + 1]!; seq += 1) this.#settle(peer, seq)?.receipt?.taken()
    }
    const again = refused.map((seq) => this.#settle(peer, seq))
    for (const entry of again) if (entry !== undefined) this.#failed(entry)
  }

  /** The link to a node is down: nothing that it has not confirmed will be. */
  lost(node: string): void {
    const peer = this.#peers.get(node)
    if (peer === undefined) return
    const entries = [...peer.unconfirmed.values()]
    peer.unconfirmed.clear()
    peer.bytes = 0
    peer.stream += 1
    peer.isLate = false
    for (const entry of entries) this.#failed(entry)
  }

  /** Lets publishers go on that have waited for long enough. Returns whether others still wait. */
  check(nowMs: number): boolean {
    const { metrics, waitMs } = this.#options
    let isAnyLeft = false
    for (const peer of this.#peers.values()) {
      for (const entry of peer.unconfirmed.values()) {
        const { receipt, sentAtMs } = entry
        if (sentAtMs + waitMs > nowMs) {
          isAnyLeft = true
          break
        }
        if (receipt === undefined) continue
        entry.receipt = undefined
        peer.isLate = true
        metrics['messages/forward/unconfirmed'] += 1
        receipt.taken()
      }
    }
    this.#isWatched = isAnyLeft
    return isAnyLeft
  }

  /** By node: messages that were ever sent, and what is on its way. */
  status(): Record<string, { readonly messages: number; readonly unconfirmed: number; readonly bytes: number }> {
    const status: ReturnType<Forwarding['status']> = {}
    for (const [node, { messages, unconfirmed, bytes }] of this.#peers) {
      status[node] = { messages, unconfirmed: unconfirmed.size, bytes }
    }
    return status
  }

  /** The peer, unless so much is on its way to it that these must be dropped. */
  #admit(node: string, messages: number, bytes: number): Peer | undefined {
    const { metrics, maxBytes } = this.#options
    let peer = this.#peers.get(node)
    if (peer === undefined) {
      peer = new Peer()
      this.#peers.set(node, peer)
    }
    if (peer.bytes > 0 && peer.bytes + bytes > maxBytes) {
      metrics['messages/dropped'] += messages
      metrics['messages/dropped/node_busy'] += messages
      return undefined
    }
    peer.messages += messages
    metrics['messages/forward'] += messages
    return peer
  }

  #expect(peer: Peer, entry: Omit<Unconfirmed, 'sentAtMs'>): number {
    peer.seq += 1
    peer.bytes += entry.bytes
    const { metrics, runtime } = this.#options
    if (peer.isLate && entry.receipt !== undefined) metrics['messages/forward/unconfirmed'] += 1
    const receipt = peer.isLate ? undefined : entry.receipt
    peer.unconfirmed.set(peer.seq, { ...entry, receipt, sentAtMs: runtime.clock.now() })
    if (receipt === undefined) return peer.seq
    receipt.expect()
    if (!this.#isWatched) {
      this.#isWatched = true
      const forwarder = runtime.whereis(FORWARDER)
      if (forwarder !== undefined) runtime.send(forwarder, WATCH)
    }
    return peer.seq
  }

  #settle(peer: Peer, seq: number): Unconfirmed | undefined {
    const entry = peer.unconfirmed.get(seq)
    if (entry === undefined) return undefined
    peer.unconfirmed.delete(seq)
    peer.bytes -= entry.bytes
    return entry
  }

  #failed({ receipt, to, run }: Unconfirmed): void {
    const share = run?.matched.share
    if (to !== undefined && share !== undefined) {
      this.#options.redispatch((run!.batch as Batch).messages, share.group, share.filter, to)
    }
    receipt?.taken()
  }
}

/** Has the process look, in a while, who has waited for long enough. */
export const WATCH = { tag: 'watch' } as const
