/** Gives what a session holds as a member of shared subscriptions to the other members, as far as there are any [MQTT5-4.8.2]. */
import type { Pid } from '../../actors/pid.ts'
import type { Message, Run } from '../message.ts'
import type { Otherwise, PubSub } from '../routing/pubsub.ts'
import { Receipt } from '../routing/receipt.ts'
import type { Delivery, Share } from './delivery.ts'
import type { Effect } from './session-state.ts'

/** What has become of the messages. */
export interface Redispatched {
  /** Packet identifiers of messages in flight that others have got. */
  readonly taken: readonly number[]
  /** Deliveries of the queue that others have got. */
  readonly passed: readonly Delivery[]
  /** Messages of the queue that nobody is there for. */
  readonly lost: readonly Message[]
  /** When the others have taken over what they got. */
  readonly receipt: Receipt
}

/** Offers messages to others than `self`. */
export function redispatchAll(
  pubsub: PubSub,
  { inflight, queued }: Extract<Effect, { tag: 'redispatch' }>,
  self: Pid,
  otherwise: Otherwise,
): Redispatched {
  const receipt = new Receipt()
  const hasOther = (message: Message, share: Share): boolean => {
    const isGone = pubsub.redispatch([message], share, self, otherwise).length === 0
    const own = pubsub.takeReceipt()
    if (own !== undefined) receipt.join(own)
    return isGone
  }
  const taken = inflight.filter(({ message, share }) => hasOther(message, share)).map(({ messageId }) => messageId)
  const passed: Delivery[] = []
  const lost: Message[] = []
  for (const delivery of queued) {
    if (hasOther(delivery.message, delivery.share!)) passed.push(delivery)
    else lost.push(delivery.message)
  }
  return { taken, passed, lost, receipt }
}

/** What came for a session that is over: its shares go to other members. */
export function passOn(pubsub: PubSub, runs: readonly Run[], self: Pid): void {
  for (const { batch, matched } of runs) {
    const { share } = matched
    if (share === undefined) continue
    for (const message of batch.messages) pubsub.redispatch([message], share, self, 'parked')
  }
}
