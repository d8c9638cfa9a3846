/**
 * A message on its way to one client, as the session keeps it, and the reasons for which it may not get there.
 */
import type { Message } from '../message.ts'
import type { QoS } from '../packet.ts'

/** Why a message did not reach this session's client. */
export type DropReason =
  /** The queue was full; the victim is chosen by `queue.drop`. */
  | 'queue_full'
  /** Its expiry passed before it was sent [MQTT5-3.3.2-5]. */
  | 'expired'
  /** A QoS 0 message for an offline client, with `queue.storeQoS0` off. */
  | 'qos0_offline'
  /** Larger than the client's maximum packet size [MQTT5-3.1.2-25]; reported by the connection. */
  | 'too_large'
  /** The client published it itself and asked for no local [MQTT5-3.8.3-3]. */
  | 'no_local'
  /** The client answered PUBREC with an error [MQTT5-4.3.3]. */
  | 'rejected'
  /** It was waiting when its session ended. */
  | 'session_ended'
  /** It was handed over to a later session of its client id, which does not subscribe it. */
  | 'not_subscribed'

/** A message on its way to the client, from the moment at which QoS, RETAIN and subscription identifiers are decided. */
export interface Delivery {
  /** Of its arrival in the session, from 1; 0 at QoS 0. */
  readonly number: number
  readonly message: Message
  readonly qos: QoS
  readonly retain: boolean
  readonly ids: readonly number[] | undefined
  /** Set when the session got it as a member of a shared subscription. */
  readonly share: Share | undefined
}

export interface Share {
  readonly group: string
  /** Without the `$share/group/` prefix. */
  readonly filter: string
  /** It began with `$local/`: its members are those of this node. */
  readonly local?: true | undefined
}

/** A QoS 1 message of a shared subscription that the client has not acknowledged. */
export interface SharedInflight {
  readonly messageId: number
  readonly message: Message
  readonly share: Share
}
