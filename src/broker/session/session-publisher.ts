/**
 * What a session publishes for its client: through the gate when a subscriber presses (publish-gate.ts), and accepted when all who get
 * the messages have taken them over (receipt.ts). Tickets are accepted one by one, in no order; the machine puts acknowledgements in order.
 */
import type { ProcessContext } from '../../actors/process.ts'
import type { Message } from '../message.ts'
import { publishAll, type SessionEnvironment } from '../publish.ts'
import type { Receipt } from '../routing/receipt.ts'
import { type GateOwner, PublishGate } from './publish-gate.ts'
import type { Effect } from './session-state.ts'

/** The message to the session: all who get the messages of a ticket have taken them over; `taken` is to be called. */
export interface TakenOver {
  readonly tag: 'taken'
  readonly ticket: number
  readonly codes: readonly number[] | undefined
  /** Not all of them could: the messages are not safe everywhere. */
  readonly hasFailed: boolean
}

/** What becomes of a ticket: the reason codes of its messages, undefined when all are 0; and whether some are not safe. */
export type Accept = (ticket: number, codes: readonly number[] | undefined, hasFailed: boolean) => void

/** Tickets whose messages have not been taken over, above which the client is not read on. */
const MAX_UNTAKEN = 256

export class SessionPublisher implements GateOwner {
  readonly #self: ProcessContext
  readonly #environment: SessionEnvironment
  readonly #accept: Accept
  /** Publishes of the client that wait for subscribers of theirs. */
  #gate: PublishGate | undefined
  /** Of what has been published and belongs to the next ticket that is accepted. */
  #receipt: Receipt | undefined
  /** Tickets whose messages are published and not taken over yet. */
  #untaken = 0

  constructor(self: ProcessContext, environment: SessionEnvironment, accept: Accept) {
    this.#self = self
    this.#environment = environment
    this.#accept = accept
  }

  /** Some of what the client has published is not accepted. */
  get isWaiting(): boolean {
    return this.#gate !== undefined || this.#untaken > 0
  }

  /** The client may be read on although not all that it has published is accepted. */
  get hasRoom(): boolean {
    return this.#untaken < MAX_UNTAKEN && this.#gate?.isFull !== true
  }

  /** Performs a `publish` effect. */
  add(effect: Extract<Effect, { tag: 'publish' }>): void {
    const { messages, ticket } = effect
    const { pubsub } = this.#environment
    // Without a ticket all is QoS 0, or a will, which waits for nobody but what is before it.
    if (this.#gate === undefined && (ticket === 0 || !pubsub.pressure.mustLook(messages.length))) {
      const codes = this.publish(messages)
      if (ticket === 0) this.#receipt = undefined
      else this.accept(ticket, codes)
    } else {
      this.#gate ??= new PublishGate(this.#self, pubsub, this)
      this.#gate.add(effect)
    }
  }

  /** Publishes all that waits at once: the session ends. */
  flush(): void {
    this.#gate?.flush()
  }

  relieved(): void {
    this.#gate?.relieved()
  }

  gateTimeout(): void {
    this.#gate?.timeout()
  }

  /** Takes `TakenOver`. */
  taken({ ticket, codes, hasFailed }: TakenOver): void {
    this.#untaken -= 1
    this.#accept(ticket, codes, hasFailed)
  }

  /** An event has been handled. */
  settle(): void {
    if (this.#gate?.isEmpty) this.#gate = undefined
  }

  // GateOwner

  publish(messages: readonly Message[]): readonly number[] | undefined {
    if (this.#environment.homes?.hasOthers === true) this.#environment.noteArrivals?.(messages)
    const codes = publishAll(this.#environment, messages)
    const receipt = this.#environment.pubsub.takeReceipt()
    if (receipt === undefined) return codes
    if (this.#receipt === undefined) this.#receipt = receipt
    else this.#receipt.join(receipt)
    return codes
  }

  accept(ticket: number, codes: readonly number[] | undefined): void {
    const receipt = this.#receipt
    this.#receipt = undefined
    if (receipt === undefined || receipt.isDone) {
      this.#accept(ticket, codes, receipt?.hasFailed === true)
      return
    }
    this.#untaken += 1
    const { runtime, pid } = this.#self
    receipt.whenDone(() => {
      runtime.send(pid, { tag: 'taken', ticket, codes, hasFailed: receipt.hasFailed } satisfies TakenOver)
    })
  }
}
