/**
 * The forwarder: the process by which a node takes what publishers of other nodes send to it, and learns what became of what it has sent.
 *
 * Publishers send past it, directly (forwarding.ts). It hands batches to the sessions of its node and tells their nodes, at the end of what waits in
 * its mailbox, which of them have been taken over. What sessions keep on disc is confirmed when it is there.
 */
import { genServer, ok } from '../../actors/gen-server.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { DownMessage } from '../../actors/signal.ts'
import { nodeNetworkOf } from '../../dist/node-network.ts'
import { type SystemEventMessage, subscribeSystem } from '../../mnesia/events.ts'
import type { Mnesia } from '../../mnesia/mnesia.ts'
import type { SystemEvent } from '../../mnesia/system-events.ts'
import { groupMessage } from '../group/rows.ts'
import { batchOf, type Message, type PlainBatch } from '../message.ts'
import type { PubSub, Reach, Repeated } from '../routing/pubsub.ts'
import { Receipt } from '../routing/receipt.ts'
import type { Routing } from '../routing/routing.ts'
import type { AwayMembers } from '../session/away-members.ts'
import type { Share } from '../session/delivery.ts'
import type { HandOverTaken } from '../session/hand-over.ts'
import { type FenceAnswer, type FenceAsk, type FenceCheck, type FenceRequest, Fences } from './fences.ts'
import { type Forwarding, WATCH } from './forwarding.ts'
import {
  type ASK_MEMBERS,
  FORWARDER,
  type Forward,
  type Forwarded,
  type ForwardTo,
  type Hinted,
  type Hints,
  type NodeReady,
  rangesOf,
} from './messages.ts'
import { PassingOn, type PassingOnOptions, type PassingOnTimer } from './passing-on.ts'
import type { RecentIds } from './recent-ids.ts'
import { Seen } from './seen.ts'
import { Untaken } from './untaken.ts'

export interface ForwarderOptions {
  readonly forwarding: Forwarding
  readonly passingOn: Omit<PassingOnOptions, 'forwarding' | 'mnesia'>
  readonly pubsub: PubSub
  readonly routing: Pick<Routing, 'parked' | 'global'>
  readonly mnesia: Pick<Mnesia, 'subscribe' | 'status'>
  /** What other nodes have sent for sessions that outlive their connection, and for the others. */
  readonly recent: { readonly durable: RecentIds; readonly volatile: RecentIds }
  /** Is told when the sessions of a member are there. */
  readonly away: Pick<AwayMembers, 'ready' | 'lost'>
  /** Called when a member has given all that it had kept for this node. */
  readonly onGiven: (node: string) => void
  /** Called with a message for a group that has no member any more. */
  readonly onLost: (message: Message) => void
}

type Own =
  | typeof WATCH
  | { readonly tag: '$check' }
  /** Stands behind what waited when the first confirmation was due. */
  | { readonly tag: '$confirm' }
  | {
      readonly tag: '$taken'
      readonly node: string
      readonly stream: number
      readonly seq: number
      readonly isSafe: boolean
    }
  | { readonly tag: '$hinted'; readonly page: Pick<Hints, 'node' | 'last' | 'creation'> }
  /** The connection to a node has ended. */
  | { readonly tag: '$disconnected'; readonly node: string }
  /** The routes of a node are seen. */
  | { readonly tag: '$shown'; readonly node: string }
  | FenceCheck
  | PassingOnTimer

type Incoming =
  | Forward
  | ForwardTo
  | Forwarded
  | NodeReady
  | Hints
  | Hinted
  | FenceRequest
  | FenceAsk
  | FenceAnswer
  | typeof ASK_MEMBERS
  | HandOverTaken
  | DownMessage
  | SystemEventMessage
  | Own

/** How often it is looked who has waited for long enough. */
const CHECK_MS = 100

/** What is to be confirmed to one node. */
interface Due {
  stream: number
  taken: number[]
  unsafe: number[]
  refused: number[]
}

class ForwarderState {
  readonly #self: ProcessContext
  readonly #options: ForwarderOptions
  readonly #due = new Map<string, Due>()
  readonly #seen = new Seen()
  readonly #untaken = new Untaken()
  /** What nodes have said whose routes are not seen yet. */
  readonly #early = new Map<string, NodeReady>()
  readonly #fences: Fences
  readonly #passingOn: PassingOn

  constructor(self: ProcessContext, options: ForwarderOptions) {
    this.#self = self
    this.#options = options
    const { forwarding, mnesia, routing } = options
    this.#fences = new Fences(self, { forwarding, mnesia, routing, seen: this.#seen })
    this.#passingOn = new PassingOn(self, { ...options.passingOn, forwarding, mnesia })
    subscribeSystem(self, options.mnesia)
    const unsubscribe = nodeNetworkOf(self.runtime)?.subscribe((event) => {
      if (event.tag === 'nodedown') this.#disconnected(event.node)
    })
    if (unsubscribe !== undefined) self.onExit(unsubscribe)
    self.onExit(
      options.routing.global.routes.subscribe((event) => {
        if (event.type !== 'shown') return
        self.runtime.send(self.pid, { tag: '$shown', node: event.owner } satisfies Own)
      }),
    )
    self.send(self.pid, WATCH)
    const { node, running, stopped, partitioned } = options.mnesia.status()
    for (const other of [...running, ...stopped, ...partitioned]) {
      if (other === node) continue
      // What their sessions subscribed is on this node's disc; they answer when they are there.
      options.routing.parked.park(other)
      if (running.includes(other)) this.#sayReady(other, true)
    }
  }

  describe(): unknown {
    return this.#options.forwarding.status()
  }

  handle(message: Incoming): void {
    const { forwarding } = this.#options
    switch (message.tag) {
      case 'forward':
        this.#forward(message)
        break
      case 'forward_to':
        this.#forwardTo(message)
        break
      case 'forwarded':
        forwarding.confirmed(message)
        break
      case 'mnesia_system_event':
        this.#memberEvent(message.event)
        break
      case 'node_ready':
        if (message.asks) this.#sayReady(message.node, false)
        this.#early.set(message.node, message)
        if (this.#options.routing.global.routes.isVisible(message.node)) this.#ready(message.node)
        break
      case '$shown':
        this.#ready(message.node)
        break
      case 'fence':
        this.#fences.request(message)
        break
      case 'fence_ask':
        this.#fences.asked(message)
        break
      case 'fence_answer':
        if (message.asker === 'fence') this.#fences.answered(message)
        else if (this.#fences.hasCome(message)) this.#passingOn.answered(message)
        break
      case 'ask_members':
        this.#passingOn.askSoon()
        break
      case '$ask_members':
        this.#passingOn.ask()
        break
      case '$bring_again':
        this.#passingOn.again(message.part)
        break
      case 'hand_over_taken':
        this.#passingOn.taken(message)
        break
      case 'DOWN':
        this.#passingOn.down(message)
        break
      case '$fence':
        this.#fences.check(message)
        break
      case 'hints':
        this.#hints(message)
        break
      case 'hinted':
        forwarding.hinted(message)
        break
      case '$hinted':
        this.#sayHinted(message.page)
        break
      case '$disconnected':
        forwarding.settleFailed(message.node)
        break
      case 'watch':
      case '$check':
        if (forwarding.check(this.#self.runtime.clock.monotonic())) {
          this.#self.sendAfter(CHECK_MS, this.#self.pid, { tag: '$check' } satisfies Own)
        }
        break
      case '$taken':
        this.#taken(message)
        break
      case '$confirm':
        this.#confirm()
        break
    }
  }

  /** In whatever turn the connection has ended; the rest is for a turn of this process. */
  #disconnected(node: string): void {
    if (!this.#options.forwarding.disconnected(node)) return
    const { runtime, pid } = this.#self
    runtime.send(pid, { tag: '$disconnected', node } satisfies Own)
  }

  #memberEvent(event: SystemEvent): void {
    const { away, forwarding, mnesia, routing } = this.#options
    const isOfMembers = event.tag === 'members' || event.tag === 'cluster'
    if (isOfMembers || event.tag === 'mnesia_up' || event.tag === 'mnesia_down') this.#fences.fail()
    if (event.tag === 'mnesia_up') this.#sayReady(event.node, false)
    else if (event.tag === 'mnesia_down') {
      this.#early.delete(event.node)
      forwarding.lost(event.node)
      routing.parked.park(event.node)
      // What it had said before may only have been heard since.
      away.lost(event.node)
    } else if (isOfMembers) {
      const { running, stopped, partitioned } = mnesia.status()
      const members = new Set([...running, ...stopped, ...partitioned])
      for (const node of [...forwarding.nodes(), ...routing.parked.nodes()]) {
        if (members.has(node)) continue
        forwarding.removed(node)
        routing.parked.forget(node)
      }
    }
  }

  /** A node has its sessions, and what they subscribe is seen: until then what is published is kept for it. */
  #ready(node: string): void {
    const { away, forwarding, routing } = this.#options
    const said = this.#early.get(node)
    if (said === undefined) return
    this.#early.delete(node)
    forwarding.ready(said)
    routing.parked.release(node)
    away.ready(node)
    if (said.gives !== true) this.#given(node)
  }

  #sayReady(node: string, asks: boolean): void {
    const { node: own, key: forwarder } = this.#self.pid
    const message: NodeReady = { tag: 'node_ready', node: own, forwarder, asks, gives: true }
    this.#self.send({ name: FORWARDER, node }, message)
  }

  #given(node: string): void {
    this.#options.forwarding.given(node)
    this.#options.onGiven(node)
  }

  #hints(page: Hints): void {
    const { node, hints, more } = page
    const { pubsub } = this.#options
    const fresh = hints.filter(({ stream, seq }) => stream === undefined || !this.#seen.has(node, stream, seq!))
    const nowMs = this.#self.runtime.clock.now()
    const live = fresh.map((hint) => ({
      ...hint,
      messages: hint.messages.filter(({ expiresAtMs }) => expiresAtMs > nowMs),
    }))
    const plain = live.filter(({ share, heir }) => share === undefined && heir === undefined)
    const taking = this.#dispatch(node, plain, 'durable') ?? new Receipt()
    for (const { share, messages } of live) {
      if (share === undefined) continue
      const news = messages.filter((message) => this.#isNewTo(share, message))
      const lost = pubsub.redispatch(news, share, undefined, 'parked')
      const own = pubsub.takeReceipt()
      if (own !== undefined) taking.join(own)
      for (const message of lost) this.#options.onLost(message)
    }
    // Some of it may have come before.
    const receipt = new Receipt()
    if (hints.length > 0) this.#untaken.joinedTo(receipt)
    this.#untaken.add(taking)
    receipt.join(taking)
    for (const { heir, messages } of live) if (heir !== undefined) this.#passingOn.take(heir, messages, receipt)
    if (!more) this.#given(node)
    if (receipt.isDone) {
      this.#sayHinted(page)
      return
    }
    const { runtime, pid } = this.#self
    const { last, creation } = page
    receipt.whenDone(() => runtime.send(pid, { tag: '$hinted', page: { node, last, creation } } satisfies Own))
  }

  /** Whether a message has not come for a group already. */
  #isNewTo(share: Share, { id, qos }: Message): boolean {
    return qos < 2 || this.#options.recent.durable.add(groupMessage(share, id))
  }

  /**
   * Gives the messages of a node to sessions, those that have come already only to those that have come here since. Returns who has yet to take them over;
   * undefined when nobody has to.
   */
  #dispatch(node: string, batches: readonly PlainBatch[], reach: Reach = 'all'): Receipt | undefined {
    const { recent, pubsub } = this.#options
    const { durable, volatile } = recent
    let repeated: Repeated[] | undefined
    const isNew = (message: Message) => {
      const { id, qos } = message
      if (qos < 2) return true
      const isNewToVolatile = reach === 'durable' || volatile.add(id)
      const isNewToDurable = reach === 'volatile' || durable.add(id)
      if (!isNewToDurable) {
        repeated ??= []
        repeated.push({ message: batchOf({ messages: [message] }).messages[0]!, arrival: durable.arrivalOf(id)! })
      }
      return isNewToVolatile && isNewToDurable
    }
    const fresh = batches
      .map(({ messages }) => messages.filter(isNew))
      .filter((messages) => messages.length > 0)
      .map((messages) => batchOf({ messages }))
    pubsub.dispatch(fresh, reach, repeated)
    const own = pubsub.takeReceipt()
    const receipt = repeated === undefined ? own : this.#untaken.joinedTo(own)
    if (reach === 'volatile' || !this.#passingOn.isDue) return receipt
    const all = receipt ?? new Receipt()
    this.#passingOn.passOn(node, fresh, all)
    return all
  }

  #sayHinted({ node, last, creation }: Pick<Hints, 'node' | 'last' | 'creation'>): void {
    const message: Hinted = { tag: 'hinted', node: this.#self.pid.node, last, creation }
    this.#self.send({ name: FORWARDER, node }, message)
  }

  #forward({ node, stream, seq, batches, reach }: Forward): void {
    this.#seen.add(node, stream, seq)
    this.#takenOver(node, stream, seq, this.#dispatch(node, batches, reach))
  }

  #forwardTo({ node, stream, seq, to, run }: ForwardTo): void {
    const { pubsub } = this.#options
    this.#seen.add(node, stream, seq)
    const batch = batchOf(run.batch)
    if (!pubsub.dispatchTo(to, { batch, matched: run.matched })) {
      this.#dueTo(node, stream)?.refused.push(seq)
      return
    }
    const { share } = run.matched
    if (share !== undefined) for (const message of batch.messages) this.#isNewTo(share, message)
    this.#takenOver(node, stream, seq, pubsub.takeReceipt())
  }

  #takenOver(node: string, stream: number, seq: number, receipt: Receipt | undefined): void {
    this.#untaken.add(receipt)
    if (receipt === undefined) {
      this.#dueTo(node, stream)?.taken.push(seq)
      return
    }
    const { runtime, pid } = this.#self
    receipt.whenDone(() => {
      runtime.send(pid, { tag: '$taken', node, stream, seq, isSafe: !receipt.hasFailed } satisfies Own)
    })
  }

  #taken({ node, stream, seq, isSafe }: Extract<Own, { tag: '$taken' }>): void {
    const due = this.#dueTo(node, stream)
    due?.taken.push(seq)
    if (!isSafe) due?.unsafe.push(seq)
  }

  /** Undefined for a stream that is over. */
  #dueTo(node: string, stream: number): Due | undefined {
    let due = this.#due.get(node)
    if (due === undefined) {
      if (this.#due.size === 0) this.#self.send(this.#self.pid, { tag: '$confirm' } satisfies Own)
      due = { stream, taken: [], unsafe: [], refused: [] }
      this.#due.set(node, due)
    } else if (stream > due.stream) {
      due.stream = stream
      due.taken = []
      due.unsafe = []
      due.refused = []
    }
    return stream === due.stream ? due : undefined
  }

  #confirm(): void {
    const { runtime } = this.#self
    for (const [node, { stream, taken, unsafe, refused }] of this.#due) {
      const message: Forwarded = { tag: 'forwarded', node: runtime.node.name, stream, taken: rangesOf(taken), refused }
      this.#self.send({ name: FORWARDER, node }, unsafe.length === 0 ? message : { ...message, unsafe })
    }
    this.#due.clear()
  }
}

/** The server. */
export const forwarder = genServer<ForwarderState, Record<never, never>, Record<never, never>, ForwarderOptions>({
  label: 'forwarder',
  init: (options, self) => ok(new ForwarderState(self, options)),
  info: ({ state }, message) => state.handle(message as Incoming),
  formatState: (state) => state.describe(),
})
