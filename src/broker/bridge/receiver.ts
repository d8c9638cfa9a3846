/**
 * The receiver of bridges: the process that publishes on this node what bridges of other nodes send, and confirms it.
 *
 * It publishes as a client of its own would: through hooks, with retained messages, and held up by subscribers that are behind (publish-gate.ts). A batch is confirmed
 * when all have taken it over for whom a client's acknowledgement would wait. It trusts whoever has the cookie of the node.
 */
import { genServer, ok } from '../../actors/gen-server.ts'
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import { batchOf, type Message } from '../message.ts'
import { type PublishEnvironment, publishAll } from '../publish.ts'
import { Receipt } from '../routing/receipt.ts'
import type { RELIEVED } from '../session/back-pressure.ts'
import { type GATE_TIMEOUT, PublishGate } from '../session/publish-gate.ts'
import type { BridgeBatch, BridgeHello, BridgeReady, BridgeTaken } from './messages.ts'

export interface BridgeReceiverOptions extends PublishEnvironment {
  readonly nextMessageId: (nowMs: number) => string
}

/** The last batch of a stream. */
interface Last {
  readonly seq: number
  /** Of its messages, as far as they are published. */
  readonly receipt: Receipt
}

/** Streams that are remembered, those that were heard last: of bridges that have ended nothing is asked again. */
const MAX_STREAMS = 1000

class BridgeReceiver {
  readonly #self: ProcessContext
  readonly #options: BridgeReceiverOptions
  readonly #gate: PublishGate
  /** The one that was heard last is the last. */
  readonly #streams = new Map<string, Last>()
  /** Receipts of the batches that are in the gate, in order. */
  readonly #publishing: Receipt[] = []

  constructor(self: ProcessContext, options: BridgeReceiverOptions) {
    this.#self = self
    this.#options = options
    this.#gate = new PublishGate(self, options.pubsub, {
      publish: (messages) => this.#publish(messages),
      accept: () => this.#publishing.shift()!.taken(),
    })
  }

  describe(): unknown {
    return { streams: this.#streams.size, held: this.#publishing.length }
  }

  handle(message: BridgeHello | BridgeBatch | typeof RELIEVED | typeof GATE_TIMEOUT): void {
    switch (message.tag) {
      case 'bridge_hello': {
        const ready: BridgeReady = { tag: 'bridge_ready', attempt: message.attempt }
        this.#self.send(message.from, ready)
        break
      }
      case 'bridge_batch':
        this.#batch(message)
        break
      case 'relieved':
        this.#gate.relieved()
        break
      case 'gate_timeout':
        this.#gate.timeout()
        break
    }
  }

  #batch(batch: BridgeBatch): void {
    const { from, stream, seq } = batch
    const last = this.#streams.get(stream)
    this.#streams.delete(stream)
    if (last !== undefined && seq <= last.seq) {
      this.#streams.set(stream, last)
      // It was confirmed on a link that is gone, or will be.
      last.receipt.whenDone(() => this.#confirm(from, stream, seq))
      return
    }
    const receipt = new Receipt()
    this.#streams.set(stream, { seq, receipt })
    if (this.#streams.size > MAX_STREAMS) this.#streams.delete(this.#streams.keys().next().value!)
    receipt.expect()
    receipt.whenDone(() => this.#confirm(from, stream, seq))
    this.#publishing.push(receipt)
    this.#options.metrics['messages/bridge/received'] += batch.messages.length
    this.#gate.add({ tag: 'publish', ticket: seq, messages: this.#arrived(batch) })
  }

  #confirm(to: Pid, stream: string, seq: number): void {
    const taken: BridgeTaken = { tag: 'bridge_taken', stream, seq }
    this.#self.runtime.send(to, taken)
  }

  /** Publishes messages of the batch that is first in the gate. */
  #publish(messages: readonly Message[]): undefined {
    publishAll(this.#options, messages)
    const receipt = this.#options.pubsub.takeReceipt()
    if (receipt !== undefined) this.#publishing[0]!.join(receipt)
  }

  /** The messages as this node's own: two bridges may bring the same one under two topics. */
  #arrived({ messages, passed }: BridgeBatch): Message[] {
    const { nextMessageId } = this.#options
    const nowMs = this.#self.runtime.clock.now()
    return batchOf({ messages }).messages.map((message) => ({
      ...message,
      id: nextMessageId(nowMs),
      publishedAtMs: nowMs,
      bridged: message.bridged === undefined ? passed : [...message.bridged, ...passed],
    }))
  }
}

/** The server. */
export const bridgeReceiver = genServer<
  BridgeReceiver,
  Record<never, never>,
  Record<never, never>,
  BridgeReceiverOptions
>({
  label: 'bridge_receiver',
  init: (options, self) => ok(new BridgeReceiver(self, options)),
  info: ({ state }, message) => state.handle(message as Parameters<BridgeReceiver['handle']>[0]),
  formatState: (state) => state.describe(),
})
