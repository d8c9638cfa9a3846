/**
 * An application message on its way through the broker, and batches of them.
 *
 * A message is immutable once published and is shared by reference between all local subscribers. A batch is the run of
 * consecutive messages of one publisher that go to the same destinations; it carries the bytes that were encoded for one
 * subscriber so that the others reuse them (`wire`, filled by the codec). Neither cache is part of the value: a message
 * that crosses to another node leaves it behind.
 */
import { ownBytes } from './own-bytes.ts'
import type { ForwardedProperties, QoS } from './packet.ts'

/** What a publisher sent, without anything that concerns one hop only (packet id, DUP, topic alias). */
export interface Message {
  /** Cluster-wide unique id, 16 bytes of hex; equal ids are the same message. */
  readonly id: string
  /** Client id of the publisher; '' when the broker itself publishes. */
  readonly from: string
  readonly topic: string
  /** Owned by the message: never a view into a socket's chunk when the message is kept (retained, queued, inflight). */
  readonly payload: Buffer
  readonly qos: QoS
  /** The RETAIN flag as it was published. */
  readonly retain: boolean
  /** Wall clock, ms since 1970. */
  readonly publishedAtMs: number
  /** Wall clock, ms since 1970; Infinity when the message does not expire. */
  readonly expiresAtMs: number
  readonly properties: ForwardedProperties | undefined
  /** Nodes that bridges have brought it from, with the members of their clusters; it is bridged to none of them again. */
  readonly bridged?: readonly string[]
}

/**
 * Consecutive messages of one publisher with the same topic; never empty.
 *
 * What a subscriber must know to pass the batch on unread is summed up once, when the batch is made, so that each of its
 * subscribers decides in a few comparisons and not message by message.
 */
export class Batch {
  readonly messages: readonly Message[]
  readonly topic: string
  /** Client id of the publisher; '' when the broker itself publishes. */
  readonly from: string
  /** Greatest QoS among the messages. */
  readonly maxQoS: QoS
  /** True when a message was published with RETAIN. */
  readonly anyRetain: boolean
  /** Wall clock, ms, of the first expiry among the messages; Infinity when none expires. */
  readonly expiresAtMs: number
  /** Of topics and payloads. */
  readonly bytes: number
  /** Encodings shared by subscribers, keyed by what they depend on; owned by the codec. */
  wire: Map<string | number, Buffer> | undefined = undefined

  constructor(messages: readonly Message[]) {
    const first = messages[0]!
    let maxQoS = first.qos
    let anyRetain = first.retain
    let expiresAtMs = first.expiresAtMs
    let bytes = first.topic.length * messages.length + first.payload.length
    for (let i = 1; i < messages.length; i += 1) {
      const message = messages[i]!
      if (message.qos > maxQoS) maxQoS = message.qos
      if (message.retain) anyRetain = true
      if (message.expiresAtMs < expiresAtMs) expiresAtMs = message.expiresAtMs
      bytes += message.payload.length
    }
    this.messages = messages
    this.topic = first.topic
    this.from = first.from
    this.maxQoS = maxQoS
    this.anyRetain = anyRetain
    this.expiresAtMs = expiresAtMs
    this.bytes = bytes
  }
}

/** A batch as it crosses to another node: its messages, without the class, what sums them up and the encodings. */
export interface PlainBatch {
  readonly messages: readonly Message[]
}

/**
 * Returns the batch of a message of this node as it is, and makes one anew of what has come from another node; messages that are
 * surely kept then own their bytes, as those of this node do from the start.
 */
export function batchOf(batch: Batch | PlainBatch): Batch {
  return batch instanceof Batch ? batch : new Batch(batch.messages.map(arrivedMessage))
}

/** Field by field: an object that is spread from a decoded one has a hidden class of its own, and whatever is noted on it costs 2 µs (measured). */
function arrivedMessage(arrived: Message): Message {
  const { id, from, topic, qos, retain, publishedAtMs, expiresAtMs, properties, bridged } = arrived
  const data = properties?.correlationData
  if (data !== undefined) properties!.correlationData = ownBytes(data)
  const payload = qos === 0 && !retain ? arrived.payload : ownBytes(arrived.payload)
  const message: Message = { id, from, topic, payload, qos, retain, publishedAtMs, expiresAtMs, properties }
  return bridged === undefined ? message : { ...message, bridged }
}

/** Returns a batch in the form in which it can leave the node. */
export function plainBatch({ messages }: Batch): PlainBatch {
  return { messages }
}

/**
 * How one session subscribes to the topic of a batch: all its matching subscriptions folded into one, so that a session
 * gets each message once, at the greatest QoS of its matching subscriptions [MQTT311-3.3.5-1].
 */
export interface Matched {
  readonly qos: QoS
  /** True when every matching subscription asked for no local [MQTT5-3.8.3-3]. */
  readonly noLocal: boolean
  /** Retain as published: the RETAIN flag is kept for this subscriber. */
  readonly rap: boolean
  /** Subscription identifiers of all matching subscriptions [MQTT5-3.3.4-3], or undefined when there are none. */
  readonly ids: readonly number[] | undefined
  /** Set when this is a delivery to a member of a shared subscription; `filter` is without the `$share/group/` prefix. */
  readonly share: { readonly group: string; readonly filter: string; readonly local?: true | undefined } | undefined
}

/** One batch for one session. */
export interface Run {
  /** Plain when it came from another node; `batchOf` gives the batch. */
  readonly batch: Batch | PlainBatch
  readonly matched: Matched
  /** It is kept for the group of `matched.share` on the disc of this node, until the session has it on the same. */
  readonly isKept?: true
}
