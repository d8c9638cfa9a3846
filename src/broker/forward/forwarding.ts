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
 *
 * Nor is it lost with this node while a member stands still: what has been waited for in vain is kept before its publisher goes on, with the number under which
 * it was sent, and removed when the member confirms that after all. What follows is kept instead of sent until the member has confirmed all of it and has been
 * given the rest; what is for members of groups is sent and kept. So it is when no more may be on its way.
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
import { keptOf, Peer, type Told, type Unconfirmed, weightOf } from './peer.ts'

export interface ForwardingOptions {
  readonly runtime: Runtime
  readonly metrics: Metrics
  /** How long a publisher waits for a node. ms */
  readonly waitMs: number
  /** Topics and payloads that may be on their way to a node. What comes beyond is kept, or dropped and counted if it is of QoS 0, or for sessions that end with their connection. */
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
    const { hints, maxBytes } = this.#options
    const mustKeep = durable && receipt !== undefined && hints !== undefined
    const peer = this.#peer(node)
    if (mustKeep && peer.isReady && !peer.hasRoom(weightOf(batches).bytes, maxBytes)) this.#late(peer)
    if (mustKeep && (hints.has(node) || !peer.isReady || peer.isLate)) {
      this.keep(node, batches, receipt)
      this.#send(node, batches, receipt, NONE, 'volatile')
    } else this.#send(node, batches, receipt, mustKeep ? batches : NONE, 'all')
  }

  /** Whether anything is kept for members that are away. */
  get canKeep(): boolean {
    return this.#options.hints !== undefined
  }

  /** Keeps batches for a member, which gets them when it is ready, or that alone knows whether it has them; for a group, or for one session, if that is said. */
  keep(node: string, batches: readonly Batch[], receipt: Receipt, to: Pick<Hint, 'share' | 'heir'> = {}): void {
    for (const { messages } of batches) this.#keep(node, { ...to, messages }, receipt)
    this.#give(this.#peers.get(node))
  }

  #send(
    node: string,
    batches: readonly Batch[],
    receipt: Receipt | undefined,
    kept: readonly Batch[],
    reach: 'all' | 'volatile',
  ): void {
    const { bytes, messages } = weightOf(batches)
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
    const { hints, maxBytes, runtime } = this.#options
    const batch = run.batch as Batch
    const { share } = run.matched
    const known = this.#peer(to.node)
    const hasRoom = known.hasRoom(batch.bytes, maxBytes)
    if (keeper !== undefined && !(hasRoom && known.isReady)) return false
    if (receipt !== undefined && hints !== undefined && !hasRoom) {
      this.keep(to.node, [batch], receipt, { share })
      return true
    }
    const peer = this.#admit(to.node, batch.messages.length, batch.bytes)
    if (peer === undefined) return false
    const seq = this.#expect(peer, { receipt, bytes: batch.bytes, batches: NONE, to, run, keeper })
    if (peer.isLate) this.#keepUnderWay(peer, seq, receipt)
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
  confirmed({ node, stream, taken, unsafe = NONE, refused }: Forwarded): void {
    const peer = this.#peers.get(node)
    if (peer === undefined || peer.stream !== stream) return
    peer.isLate = false
    for (let i = 0; i + 1 < taken.length; i += 2) {
      for (let seq = taken[i]!; seq <= taken[i + 1]!; seq += 1) {
        const entry = peer.settle(seq)
        if (entry === undefined) continue
        this.#forgetKept(node, entry)
        if (unsafe.includes(seq)) entry.receipt?.failed()
        else entry.receipt?.taken()
        entry.keeper?.('taken')
      }
    }
    const again = refused.map((seq) => peer.settle(seq))
    for (const entry of again) if (entry !== undefined) this.#failed(node, entry, false)
    this.#give(peer)
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
    for (const [seq, entry] of peer.beginStream()) {
      if (entry.kept === undefined)
        for (const { messages } of entry.batches) this.#keep(node, { messages, stream, seq }, entry.receipt)
      peer.failed.push(entry)
    }
    return peer.failed.length > 0
  }

  /** Lets go on who waits for what was on its way to a node, and gives what was for members of groups to others. */
  settleFailed(node: string): void {
    for (const entry of this.#peers.get(node)?.failed.splice(0) ?? []) this.#failed(node, entry, true)
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
    peer.isLate = false
    peer.isOwedWord = true
    this.#give(peer)
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

  /** A node has taken over what was kept for it, up to a number: it gets what follows. Nothing of it when an earlier incarnation of this node had kept that. */
  hinted({ node, last, creation }: Hinted): void {
    const { hints, runtime } = this.#options
    if (creation !== undefined && creation !== runtime.node.creation) return
    hints?.remove(node, last)
    const peer = this.#peers.get(node)
    if (peer === undefined) return
    peer.isGiven = false
    this.#give(peer)
  }

  /** A node is no member any more. */
  removed(node: string): void {
    this.lost(node)
    this.#peers.delete(node)
    this.#options.hints?.forget(node)
  }

  /**
   * Gives a node what is kept for it, page by page, or tells it that there is nothing. Not as long as what is before that is still on its way.
   */
  #give(peer: Peer | undefined): void {
    if (peer === undefined || !peer.isReady || peer.isLate || peer.isGiven || peer.keptUnderWay > 0) return
    const { hints, runtime } = this.#options
    const page = hints?.read(peer.node, HINT_PAGE_BYTES)
    peer.isGiven = page !== undefined
    if (page === undefined && !peer.isOwedWord) return
    if (page?.more !== true) peer.isOwedWord = false
    const { name, creation } = runtime.node
    const message: Hints = { tag: 'hints', node: name, creation, ...(page ?? NO_HINTS) }
    runtime.send({ name: FORWARDER, node: peer.node }, message)
  }

  /** Returns the number of the hint, if there is anything to be kept. */
  #keep(node: string, hint: Pick<Hint, 'messages'> & Partial<Hint>, receipt: Receipt | undefined): number | undefined {
    const { hints, metrics, runtime } = this.#options
    const messages = hint.messages.filter(({ qos }) => qos > 0)
    if (hints === undefined || messages.length === 0) return undefined
    metrics['messages/hinted'] += messages.length
    receipt?.expect()
    const taken = () => receipt?.taken()
    const { stream, seq, share, heir } = hint
    const { number, flushed } = hints.add(node, { atMs: runtime.clock.now(), stream, seq, share, heir, messages })
    flushed.then(taken, (error: unknown) => {
      runtime.logger.error({ err: error, peer: node }, 'what was published for a member that is away is not on disc')
      receipt?.failed()
    })
    return number
  }

  /** Keeps what is on its way; `receipt` waits for that. */
  #keepUnderWay(peer: Peer, seq: number, receipt: Receipt | undefined): void {
    const { node, stream } = peer
    const entry = peer.unconfirmed.get(seq)!
    const share = entry.run?.matched.share
    const numbers = keptOf(entry).flatMap(({ messages }) => {
      return this.#keep(node, { messages, share, stream, seq }, receipt) ?? NONE
    })
    if (numbers.length === 0) return
    entry.kept = [numbers[0]!, numbers.at(-1)!]
    peer.keptUnderWay += 1
  }

  #forgetKept(node: string, { kept }: Unconfirmed): void {
    if (kept !== undefined) this.#options.hints?.removeOnly(node, ...kept)
  }

  /** Lets publishers go on that have waited for long enough by the monotonic clock. Returns whether others still wait. */
  check(nowMs: number): boolean {
    const { waitMs } = this.#options
    let isAnyLeft = false
    for (const peer of this.#peers.values()) {
      // Nobody waits for one that is late.
      if (peer.isLate) continue
      for (const { receipt, sentAtMs } of peer.unconfirmed.values()) {
        const isYoung = sentAtMs + waitMs > nowMs
        if (!isYoung && receipt === undefined) continue
        if (isYoung) isAnyLeft = true
        else this.#late(peer)
        break
      }
    }
    this.#isWatched = isAnyLeft
    return isAnyLeft
  }

  /** A node has been waited for in vain. What is on its way to it is kept, and then who waits for it goes on. */
  #late(peer: Peer): void {
    peer.isLate = true
    for (const [seq, entry] of peer.unconfirmed) {
      const { receipt, kept } = entry
      if (kept === undefined) this.#keepUnderWay(peer, seq, receipt)
      if (receipt === undefined) continue
      entry.receipt = undefined
      this.#options.metrics['messages/forward/unconfirmed'] += 1
      receipt.taken()
    }
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

  /** The peer, unless so much is on its way to it that these must be dropped. */
  #admit(node: string, messages: number, bytes: number): Peer | undefined {
    const { maxBytes, metrics } = this.#options
    const peer = this.#peer(node)
    if (!peer.hasRoom(bytes, maxBytes)) {
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
      peer = new Peer(node, this.#options.runtime.clock.now())
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

  /** `mayHave`: the session may have got it, and is on a node that is lost. Then what it gets at QoS 0 goes to nobody else [MQTT5-4.3.1]. */
  #failed(node: string, entry: Unconfirmed, mayHave: boolean): void {
    const { receipt, to, run, keeper } = entry
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
        // What is kept stays until others have it.
        others?.whenDone(() => {
          if (!others.hasFailed) this.#forgetKept(node, entry)
        })
        if (others === undefined) this.#forgetKept(node, entry)
        else receipt?.join(others)
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
