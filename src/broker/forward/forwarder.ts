/**
 * The forwarder: the process by which a node takes what publishers of other nodes send to it, and learns what became of what it has sent.
 *
 * Publishers send past it, directly (forwarding.ts). It hands batches to the sessions of its node and tells their nodes, at the end of what waits in
 * its mailbox, which of them have been taken over. What sessions keep on disc is confirmed when it is there.
 */
import { genServer, ok } from '../../actors/gen-server.ts'
import type { ProcessContext } from '../../actors/process.ts'
import { type SystemEventMessage, subscribeSystem } from '../../mnesia/events.ts'
import type { Mnesia } from '../../mnesia/mnesia.ts'
import type { SystemEvent } from '../../mnesia/system-events.ts'
import { type Batch, batchOf, type Message, type PlainBatch } from '../message.ts'
import type { PubSub, Reach } from '../routing/pubsub.ts'
import type { Receipt } from '../routing/receipt.ts'
import type { Routing } from '../routing/routing.ts'
import { type Forwarding, WATCH } from './forwarding.ts'
import {
  FORWARDER,
  type Forward,
  type Forwarded,
  type ForwardTo,
  type Hinted,
  type Hints,
  type NodeReady,
  rangesOf,
} from './messages.ts'
import type { RecentIds } from './recent-ids.ts'
import { Seen } from './seen.ts'

export interface ForwarderOptions {
  readonly forwarding: Forwarding
  readonly pubsub: PubSub
  readonly routing: Pick<Routing, 'parked'>
  readonly mnesia: Pick<Mnesia, 'subscribe' | 'status'>
  /** What other nodes have sent for sessions that outlive their connection, and for the others. */
  readonly recent: { readonly durable: RecentIds; readonly volatile: RecentIds }
  /** Called when the sessions of a member are there. */
  readonly onReady: (node: string) => void
}

type Own =
  | typeof WATCH
  | { readonly tag: '$check' }
  /** Stands behind what waited when the first confirmation was due. */
  | { readonly tag: '$confirm' }
  | { readonly tag: '$taken'; readonly node: string; readonly stream: number; readonly seq: number }
  | { readonly tag: '$hinted'; readonly node: string; readonly last: number }

/** How often it is looked who has waited for long enough. */
const CHECK_MS = 100

/** What is to be confirmed to one node. */
interface Due {
  stream: number
  taken: number[]
  refused: number[]
}

class ForwarderState {
  readonly #self: ProcessContext
  readonly #options: ForwarderOptions
  readonly #due = new Map<string, Due>()
  readonly #seen = new Seen()

  constructor(self: ProcessContext, options: ForwarderOptions) {
    this.#self = self
    this.#options = options
    subscribeSystem(self, options.mnesia)
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

  handle(message: Forward | ForwardTo | Forwarded | NodeReady | Hints | Hinted | SystemEventMessage | Own): void {
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
        forwarding.ready(message)
        this.#options.routing.parked.release(message.node)
        this.#options.onReady(message.node)
        if (message.asks) this.#sayReady(message.node, false)
        break
      case 'hints':
        this.#hints(message)
        break
      case 'hinted':
        forwarding.hinted(message)
        break
      case '$hinted':
        this.#sayHinted(message.node, message.last)
        break
      case 'watch':
      case '$check':
        if (forwarding.check(this.#self.runtime.clock.now())) {
          this.#self.sendAfter(CHECK_MS, this.#self.pid, { tag: '$check' } satisfies Own)
        }
        break
      case '$taken':
        this.#dueTo(message.node, message.stream)?.taken.push(message.seq)
        break
      case '$confirm':
        this.#confirm()
        break
    }
  }

  #memberEvent(event: SystemEvent): void {
    const { forwarding, mnesia, routing } = this.#options
    if (event.tag === 'mnesia_up') this.#sayReady(event.node, false)
    else if (event.tag === 'mnesia_down') {
      forwarding.lost(event.node)
      routing.parked.park(event.node)
    } else if (event.tag === 'members' || event.tag === 'cluster') {
      const { running, stopped, partitioned } = mnesia.status()
      const members = new Set([...running, ...stopped, ...partitioned])
      for (const node of [...forwarding.nodes(), ...routing.parked.nodes()]) {
        if (members.has(node)) continue
        forwarding.removed(node)
        routing.parked.forget(node)
      }
    }
  }

  #sayReady(node: string, asks: boolean): void {
    const message: NodeReady = { tag: 'node_ready', node: this.#self.pid.node, forwarder: this.#self.pid.key, asks }
    this.#self.send({ name: FORWARDER, node }, message)
  }

  #hints({ node, hints, last }: Hints): void {
    const { pubsub } = this.#options
    const fresh = hints.filter(({ stream, seq }) => stream === undefined || !this.#seen.has(node, stream, seq!))
    const nowMs = this.#self.runtime.clock.now()
    const live = fresh.map(({ messages }) => ({ messages: messages.filter(({ expiresAtMs }) => expiresAtMs > nowMs) }))
    pubsub.dispatch(this.#new(live, 'durable'), 'durable')
    const receipt = pubsub.takeReceipt()
    if (receipt === undefined) {
      this.#sayHinted(node, last)
      return
    }
    const { runtime, pid } = this.#self
    receipt.whenDone(() => runtime.send(pid, { tag: '$hinted', node, last } satisfies Own))
  }

  /** The messages that have not come already. */
  #new(batches: readonly PlainBatch[], reach: Reach = 'all'): Batch[] {
    const { durable, volatile } = this.#options.recent
    const isNew = ({ id, qos }: Message) => {
      if (qos < 2) return true
      const isNewToVolatile = reach === 'durable' || volatile.add(id)
      const isNewToDurable = reach === 'volatile' || durable.add(id)
      return isNewToVolatile && isNewToDurable
    }
    return batches
      .map(({ messages }) => messages.filter(isNew))
      .filter((messages) => messages.length > 0)
      .map((messages) => batchOf({ messages }))
  }

  #sayHinted(node: string, last: number): void {
    const message: Hinted = { tag: 'hinted', node: this.#self.pid.node, last }
    this.#self.send({ name: FORWARDER, node }, message)
  }

  #forward({ node, stream, seq, batches, reach }: Forward): void {
    const { pubsub } = this.#options
    this.#seen.add(node, stream, seq)
    pubsub.dispatch(this.#new(batches, reach), reach)
    this.#takenOver(node, stream, seq, pubsub.takeReceipt())
  }

  #forwardTo({ node, stream, seq, to, run }: ForwardTo): void {
    const { pubsub } = this.#options
    if (pubsub.dispatchTo(to, { batch: batchOf(run.batch), matched: run.matched })) {
      this.#takenOver(node, stream, seq, pubsub.takeReceipt())
    } else this.#dueTo(node, stream)?.refused.push(seq)
  }

  #takenOver(node: string, stream: number, seq: number, receipt: Receipt | undefined): void {
    if (receipt === undefined) {
      this.#dueTo(node, stream)?.taken.push(seq)
      return
    }
    const { runtime, pid } = this.#self
    receipt.whenDone(() => runtime.send(pid, { tag: '$taken', node, stream, seq } satisfies Own))
  }

  /** Undefined for a stream that is over. */
  #dueTo(node: string, stream: number): Due | undefined {
    let due = this.#due.get(node)
    if (due === undefined) {
      if (this.#due.size === 0) this.#self.send(this.#self.pid, { tag: '$confirm' } satisfies Own)
      due = { stream, taken: [], refused: [] }
      this.#due.set(node, due)
    } else if (stream > due.stream) {
      due.stream = stream
      due.taken = []
      due.refused = []
    }
    return stream === due.stream ? due : undefined
  }

  #confirm(): void {
    const { runtime } = this.#self
    for (const [node, { stream, taken, refused }] of this.#due) {
      const message: Forwarded = { tag: 'forwarded', node: runtime.node.name, stream, taken: rangesOf(taken), refused }
      this.#self.send({ name: FORWARDER, node }, message)
    }
    this.#due.clear()
  }
}

/** The server. */
export const forwarder = genServer<ForwarderState, Record<never, never>, Record<never, never>, ForwarderOptions>({
  label: 'forwarder',
  init: (options, self) => ok(new ForwarderState(self, options)),
  info: ({ state }, message) => state.handle(message as Parameters<ForwarderState['handle']>[0]),
  formatState: (state) => state.describe(),
})
