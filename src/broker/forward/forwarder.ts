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
import { batchOf } from '../message.ts'
import type { PubSub } from '../routing/pubsub.ts'
import type { Receipt } from '../routing/receipt.ts'
import { type Forwarding, WATCH } from './forwarding.ts'
import { FORWARDER, type Forward, type Forwarded, type ForwardTo, rangesOf } from './messages.ts'

export interface ForwarderOptions {
  readonly forwarding: Forwarding
  readonly pubsub: PubSub
  readonly mnesia: Pick<Mnesia, 'subscribe'>
}

type Own =
  | typeof WATCH
  | { readonly tag: '$check' }
  /** Stands behind what waited when the first confirmation was due. */
  | { readonly tag: '$confirm' }
  | { readonly tag: '$taken'; readonly node: string; readonly stream: number; readonly seq: number }

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

  constructor(self: ProcessContext, options: ForwarderOptions) {
    this.#self = self
    this.#options = options
    subscribeSystem(self, options.mnesia)
    self.send(self.pid, WATCH)
  }

  describe(): unknown {
    return this.#options.forwarding.status()
  }

  handle(message: Forward | ForwardTo | Forwarded | SystemEventMessage | Own): void {
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
        if (message.event.tag === 'mnesia_down') forwarding.lost(message.event.node)
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

  #forward({ node, stream, seq, batches }: Forward): void {
    const { pubsub } = this.#options
    pubsub.dispatch(batches.map(batchOf))
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
