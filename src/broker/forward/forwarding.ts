/**
 * Publishing to other nodes: what is on its way to each, and who waits for it.
 *
 * The publisher's process hands its batches over here, and they leave at once, one message for each node. A node confirms what all its sessions have taken
 * over; until then the receipt of the publish is open, and so its acknowledgement. The wait is bounded: a node that stands still must
 * not hold up publishers of the others.
 *
 * What sessions on a member would have got that outlive their connection is not lost with the member: what it had not confirmed, and what is published while it is
 * away, is kept (hints.ts) and given to it when it says that it is ready. Until it has all of that, what follows is kept as well, so that order holds.
 * What had been sent to a member of a group goes to another one; when all that are left are on nodes that are away, it is kept for the group.
 */
import type { Pid } from '../../actors/pid.ts'
import type { Runtime } from '../../actors/runtime.ts'
import { type Batch, type Message, plainBatch, type Run } from '../message.ts'
import type { Metrics } from '../monitor/metrics.ts'
import type { Destination, Otherwise } from '../routing/pubsub.ts'
import type { Receipt } from '../routing/receipt.ts'
import type { Share } from '../session/delivery.ts'
import { travellingRun } from '../session/travel.ts'
import type { Hint, HintLog, HintPage } from './hints.ts'
import {
  FORWARDER,
  type Forward,
  type Forwarded,
  type ForwardTo,
  type Hinted,
  type Hints,
  type NodeReady,
  type Ranges,
  rangesOf,
} from './messages.ts'

export interface ForwardingOptions {
  readonly runtime: Runtime
  readonly metrics: Metrics
  /** How long a publisher waits for a node. ms */
  readonly waitMs: number
  /** Topics and payloads that may be on their way to a node; what comes beyond is dropped, and counted. */
  readonly maxBytes: number
  /** Undefined: nothing is kept for members that are away. */
  readonly hints: HintLog | undefined
  /** Gives messages that a member did not get to others of its group; returns who has yet to take them over. */
  readonly redispatch: (
    messages: readonly Message[],
    share: Share,
    exclude: Pid,
    otherwise: Otherwise,
  ) => Receipt | undefined
}

/** What is on its way. */
interface Unconfirmed {
  /** Undefined when nobody waits, or not any more. */
  receipt: Receipt | undefined
  readonly bytes: number
  /** Of the monotonic clock: the other one may be set back. */
  readonly sentAtMs: number
  /** To be kept when the node is lost. */
  readonly batches: readonly Batch[]
  /** For a session as the member of a group. */
  readonly to: Pid | undefined
  readonly run: Run | undefined
  /** Told what becomes of it, in place of the receipt and of others in its group: whoever has sent it keeps it until then. */
  readonly keeper?: Told | undefined
}

/** `refused`: the session is not there; `lost`: its node is, and may have it. */
export type Told = (outcome: 'taken' | 'refused' | 'lost') => void

/** What is known of a node that is forwarded to. */
class Peer {
  stream: number
  seq = 0
  /** It has said that its sessions are there. */
  isReady = false
  /** Its forwarder, as it was when it said so. */
  forwarder: string | undefined
  /** By number, the oldest first. */
  readonly unconfirmed = new Map<number, Unconfirmed>()
  bytes = 0
  /** Messages that were ever sent. */
  messages = 0
  /** What was on its way when the connection ended, until somebody has seen to it. */
  failed: Unconfirmed[] = []
  /** It has been waited for in vain: as long as it confirms nothing, as when it stands still, it holds up nobody. */
  isLate = false

  constructor(stream: number) {
    this.stream = stream
  }
}

export class Forwarding {
  readonly #options: ForwardingOptions
  readonly #peers = new Map<string, Peer>()
  /** Members that have given this node all that they had kept for it, and have not been lost since. */
  readonly #given = new Set<string>()
  #isWatched = false

  constructor(options: ForwardingOptions) {
    this.#options = options
  }

  /** Sends batches to a node. With a receipt, the node has to take them over. */
  send({ node, durable }: Destination, batches: readonly Batch[], receipt: Receipt | undefined): void {
    const { hints } = this.#options
    const mustKeep = durable && receipt !== undefined && hints !== undefined
    if (mustKeep && (hints.has(node) || this.#peers.get(node)?.isReady !== true)) {
      this.keep(node, batches, receipt)
      this.#send(node, batches, receipt, NONE, 'volatile')
    } else this.#send(node, batches, receipt, mustKeep ? batches : NONE, 'all')
  }

  /** Whether anything is kept for members that are away. */
  get canKeep(): boolean {
    return this.#options.hints !== undefined
  }

  /** Keeps batches for a member that is away, or that alone knows whether it has them; with `share` for that group. */
  keep(node: string, batches: readonly Batch[], receipt: Receipt, share?: Share): void {
    // One that is here gets what is kept as long as there is any.
    const isIdle = this.#peers.get(node)?.isReady === true && this.#options.hints?.has(node) === false
    for (const { messages } of batches) this.#keep(node, { messages, share }, receipt)
    if (isIdle) this.#giveHints(node)
  }

  #send(
    node: string,
    batches: readonly Batch[],
    receipt: Receipt | undefined,
    kept: readonly Batch[],
    reach: 'all' | 'volatile',
  ): void {
    let bytes = 0
    let messages = 0
    for (const batch of batches) {
      bytes += batch.bytes
      messages += batch.messages.length
    }
    const peer = this.#admit(node, messages, bytes)
    if (peer === undefined) return
    const seq = this.#expect(peer, { receipt, bytes, batches: kept, to: undefined, run: undefined })
    const { runtime } = this.#options
    const message: Forward = {
      tag: 'forward',
      node: runtime.node.name,
      stream: peer.stream,
      seq,
      batches: batches.map(plainBatch),
      reach,
    }
    runtime.send({ name: FORWARDER, node }, message)
  }

  /**
   * Sends a run to a session of another node, as the member of a group. With a keeper, that hears what becomes of it, however long it takes. Returns false
   * when it is not sent, since so much is on its way to the node, or that is not ready.
   */
  sendTo(to: Pid, run: Run, receipt: Receipt | undefined, keeper?: Told): boolean {
    const { runtime } = this.#options
    const batch = run.batch as Batch
    const peer = this.#admit(to.node, batch.messages.length, batch.bytes, keeper !== undefined)
    if (peer === undefined) return false
    const seq = this.#expect(peer, { receipt, bytes: batch.bytes, batches: NONE, to, run, keeper })
    const message: ForwardTo = {
      tag: 'forward_to',
      node: runtime.node.name,
      stream: peer.stream,
      seq,
      to,
      run: travellingRun(run),
    }
    runtime.send({ name: FORWARDER, node: to.node }, message)
    return true
  }

  /** Takes what a node says of what was sent to it. */
  confirmed({ node, stream, taken, refused }: Forwarded): void {
    const peer = this.#peers.get(node)
    if (peer === undefined || peer.stream !== stream) return
    peer.isLate = false
    for (let i = 0; i + 1 < taken.length; i += 2) {
      for (let seq = taken[i]!; seq <= taken[i + 1]!; seq += 1) {
        const entry = this.#settle(peer, seq)
        entry?.receipt?.taken()
        entry?.keeper?.('taken')
      }
    }
    const again = refused.map((seq) => this.#settle(peer, seq))
    for (const entry of again) if (entry !== undefined) this.#failed(entry, false)
  }

  /**
   * The connection to a node has ended: nothing that it has not confirmed will be. Called at once, before anything more is sent: what went over the next
   * connection as the end of the same stream would overtake what is kept of it. Returns whether `settleFailed` has something to do.
   */
  disconnected(node: string): boolean {
    this.#given.delete(node)
    return this.#giveUp(node)
  }

  /** What a node has not confirmed is kept, and is to be settled. Returns whether there is any. */
  #giveUp(node: string): boolean {
    const peer = this.#peers.get(node)
    if (peer === undefined) return false
    const { stream } = peer
    const entries = [...peer.unconfirmed]
    peer.unconfirmed.clear()
    peer.bytes = 0
    peer.stream += 1
    peer.isLate = false
    peer.isReady = false
    for (const [seq, entry] of entries) {
      for (const { messages } of entry.batches) this.#keep(node, { messages, stream, seq }, entry.receipt)
      peer.failed.push(entry)
    }
    return peer.failed.length > 0
  }

  /** Lets go on who waits for what was on its way to a node, and gives what was for members of groups to others. */
  settleFailed(node: string): void {
    for (const entry of this.#peers.get(node)?.failed.splice(0) ?? []) this.#failed(entry, true)
  }

  /** The link to a node is down. */
  lost(node: string): void {
    this.disconnected(node)
    this.settleFailed(node)
  }

  /** A node says that its sessions are there: it gets what was kept for it. What was sent before its forwarder was there is lost. */
  ready({ node, forwarder }: Pick<NodeReady, 'node' | 'forwarder'>): void {
    const peer = this.#peer(node)
    if (peer.forwarder !== forwarder && this.#giveUp(node)) this.settleFailed(node)
    peer.forwarder = forwarder
    peer.isReady = true
    if (!this.#giveHints(node)) this.#sendHints(node, NO_HINTS)
  }

  /** A member has given this node all that it had kept for it. */
  given(node: string): void {
    this.#given.add(node)
  }

  /** Whether a member may still have something that it has kept for this node. */
  mayGive(node: string): boolean {
    return !this.#given.has(node)
  }

  /** What a node has not confirmed, and whether something is kept for it. */
  underWayTo(node: string): { readonly isKept: boolean; readonly stream: number; readonly unconfirmed: Ranges } {
    const peer = this.#peers.get(node)
    const unconfirmed = rangesOf([...(peer?.unconfirmed.keys() ?? [])])
    return { isKept: this.#options.hints?.has(node) === true, stream: peer?.stream ?? 0, unconfirmed }
  }

  /** A node has taken over what was kept for it, up to a number: it gets what follows. */
  hinted({ node, last }: Hinted): void {
    this.#options.hints?.remove(node, last)
    this.#giveHints(node)
  }

  /** A node is no member any more. */
  removed(node: string): void {
    this.lost(node)
    this.#peers.delete(node)
    this.#options.hints?.forget(node)
  }

  /** Returns whether there are any. */
  #giveHints(node: string): boolean {
    const page = this.#options.hints?.read(node, HINT_PAGE_BYTES)
    if (page !== undefined) this.#sendHints(node, page)
    return page !== undefined
  }

  #sendHints(node: string, page: HintPage): void {
    const { runtime } = this.#options
    runtime.send({ name: FORWARDER, node }, { tag: 'hints', node: runtime.node.name, ...page } satisfies Hints)
  }

  #keep(node: string, hint: Pick<Hint, 'messages'> & Partial<Hint>, receipt: Receipt | undefined): void {
    const { hints, metrics, runtime } = this.#options
    const messages = hint.messages.filter(({ qos }) => qos > 0)
    if (hints === undefined || messages.length === 0) return
    metrics['messages/hinted'] += messages.length
    receipt?.expect()
    const taken = () => receipt?.taken()
    const { stream, seq, share } = hint
    hints.add(node, { atMs: runtime.clock.now(), stream, seq, share, messages }).then(taken, (error: unknown) => {
      runtime.logger.error({ err: error, peer: node }, 'what was published for a member that is away is not on disc')
      taken()
    })
  }

  /** Lets publishers go on that have waited for long enough by the monotonic clock. Returns whether others still wait. */
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

  /** Nodes of which something is known. */
  nodes(): string[] {
    return [...new Set([...this.#peers.keys(), ...(this.#options.hints?.nodes() ?? [])])]
  }

  /** By node: messages that were ever sent, and what is on its way. */
  status(): Record<string, { readonly messages: number; readonly unconfirmed: number; readonly bytes: number }> {
    const status: ReturnType<Forwarding['status']> = {}
    for (const [node, { messages, unconfirmed, bytes }] of this.#peers) {
      status[node] = { messages, unconfirmed: unconfirmed.size, bytes }
    }
    return status
  }

  /** The peer, unless so much is on its way to it that these must be dropped, or wait if they are kept. */
  #admit(node: string, messages: number, bytes: number, isKept = false): Peer | undefined {
    const { metrics, maxBytes } = this.#options
    const peer = this.#peer(node)
    const isFull = peer.bytes > 0 && peer.bytes + bytes > maxBytes
    if (isKept && (isFull || !peer.isReady)) return undefined
    if (isFull) {
      metrics['messages/dropped'] += messages
      metrics['messages/dropped/node_busy'] += messages
      return undefined
    }
    peer.messages += messages
    metrics['messages/forward'] += messages
    return peer
  }

  #peer(node: string): Peer {
    let peer = this.#peers.get(node)
    if (peer === undefined) {
      // Greater than any of an earlier incarnation of this node.
      peer = new Peer(this.#options.runtime.clock.now())
      this.#peers.set(node, peer)
    }
    return peer
  }

  #expect(peer: Peer, entry: Omit<Unconfirmed, 'sentAtMs'>): number {
    peer.seq += 1
    peer.bytes += entry.bytes
    const { metrics, runtime } = this.#options
    if (peer.isLate && entry.receipt !== undefined) metrics['messages/forward/unconfirmed'] += 1
    const receipt = peer.isLate ? undefined : entry.receipt
    peer.unconfirmed.set(peer.seq, { ...entry, receipt, sentAtMs: runtime.clock.monotonic() })
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

  /** `mayHave`: the session may have got it, and is on a node that is lost. Then what it gets at QoS 0 goes to nobody else [MQTT5-4.3.1]. */
  #failed({ receipt, to, run, keeper }: Unconfirmed, mayHave: boolean): void {
    if (keeper !== undefined) {
      keeper(mayHave ? 'lost' : 'refused')
      return
    }
    const share = run?.matched.share
    if (to !== undefined && share !== undefined) {
      const { messages } = run!.batch as Batch
      const lost = mayHave ? messages.filter(({ qos }) => Math.min(qos, run!.matched.qos) > 0) : messages
      if (lost.length > 0) {
        const others = this.#options.redispatch(lost, share, to, mayHave ? 'parked' : 'given_up')
        if (others !== undefined) receipt?.join(others)
      }
    }
    receipt?.taken()
  }
}

const NONE: readonly never[] = []
const NO_HINTS: HintPage = { hints: NONE, last: -1, more: false }
/** Of one message that gives a member what was kept for it. */
const HINT_PAGE_BYTES = 262_144

/** Has the process look, in a while, who has waited for long enough. */
export const WATCH = { tag: 'watch' } as const
