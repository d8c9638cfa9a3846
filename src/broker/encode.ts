/**
 * PUBLISH packets and acknowledgements for clients, written by hand, and the encodings that subscribers share.
 *
 * The bytes of a whole batch at QoS 0 are made once per protocol version and kept in `Batch.wire`.
 */
import type { Batch } from './message.ts'
import type { AckPacket, ProtocolVersion } from './packet.ts'
import type { OutPublish } from './process-messages.ts'

/** Topic alias of one outgoing PUBLISH (5.0): with `topic: false` the alias stands for the topic, which is left out [MQTT5-3.3.2-12]. */
export interface OutAlias {
  readonly alias: number
  readonly topic: boolean
}

/**
 * Returns the frames of a whole batch at QoS 0, RETAIN 0, without subscription identifiers; encoded once per version (and,
 * in 5.0, per remaining second of expiry) however many subscribers there are. The Buffer is shared: do not change it.
 */
export function encodeBatch(_batch: Batch, _version: ProtocolVersion, _nowMs: number): Buffer {
  throw new Error('not written yet')
}

/**
 * The same for a client that takes no packets larger than `maxPacketBytes`: messages that are too large are left out
 * [MQTT5-3.1.2-25]. Returns the frames and how many were left out.
 */
export function encodeBatchWithin(
  _batch: Batch,
  _version: ProtocolVersion,
  _nowMs: number,
  _maxPacketBytes: number,
): { bytes: Buffer; dropped: number } {
  throw new Error('not written yet')
}

/** Returns one PUBLISH for one client. `nowMs` (wall clock) counts the message expiry interval down [MQTT5-3.3.2-6]. */
export function encodePublish(_out: OutPublish, _version: ProtocolVersion, _nowMs: number, _alias?: OutAlias): Buffer {
  throw new Error('not written yet')
}

/** Returns the bytes that `encodePublish` would return, as a number. */
export function publishBytes(_out: OutPublish, _version: ProtocolVersion, _alias?: OutAlias): number {
  throw new Error('not written yet')
}

/** Returns a PUBACK, PUBREC, PUBREL or PUBCOMP without properties; 3.1 and 3.1.1 leave the reason code out. */
export function encodeAck(
  _cmd: AckPacket['cmd'],
  _messageId: number,
  _reasonCode: number,
  _version: ProtocolVersion,
): Buffer {
  throw new Error('not written yet')
}
