/**
 * What one connection sends: packets become bytes here, within the limits that its client set, and wait for the end of
 * the turn to leave in one write.
 *
 * A batch that many clients get is encoded once for all of them. Only for a client that allows topic aliases, and only
 * where the topic is long enough to be worth one, its messages are encoded for it alone.
 */
import { type EncodeLimits, encode } from './codec.ts'
import { encodeAck, encodeBatch, encodeBatchWithin, encodePublish, publishBytes } from './encode.ts'
import { type Batch, batchOf } from './message.ts'
import type { Metrics } from './metrics.ts'
import type { AckPacket, ProtocolVersion, SubackPacket, UnsubackPacket } from './packet.ts'
import { countSentControl, countSentMessages } from './packet-metrics.ts'
import type { OutPacket, OutPublish } from './process-messages.ts'
import type { ControlPacket, ProtocolEffect } from './protocol-state.ts'
import { RC } from './reason-codes.ts'
import { OutboundAliases } from './topic-alias.ts'

/** An alias takes three bytes of a PUBLISH; below this length of the topic the shared bytes of a batch are the better deal. */
const MIN_ALIASED_TOPIC_LENGTH = 16

const NO_ALIASES = new OutboundAliases(0)

/** The bytes that wait to be sent on one connection. */
export class Outbound {
  /** Bytes that wait. */
  bytes = 0
  /** True when an answer could not be encoded within the client's maximum packet size; the connection has to end. */
  isStuck = false
  #buffers: Buffer[] = []
  #version: ProtocolVersion = 4
  #maxPacketBytes = Number.POSITIVE_INFINITY
  #limits: EncodeLimits = { maxPacketBytes: Number.POSITIVE_INFINITY, problemInformation: true }
  #aliases = NO_ALIASES
  readonly #metrics: Metrics

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  get isEmpty(): boolean {
    return this.#buffers.length === 0
  }

  /** Takes over what CONNECT said about the packets to be sent. */
  configure(effect: Extract<ProtocolEffect, { tag: 'version' }>): void {
    const { maxPacketBytes, problemInformation } = effect
    this.#version = effect.version
    this.#maxPacketBytes = maxPacketBytes
    this.#limits = { maxPacketBytes, problemInformation }
    if (effect.topicAliasMaximum > 0) this.#aliases = new OutboundAliases(effect.topicAliasMaximum)
  }

  /** Takes out what waits, for a write of `bytes`. */
  take(): Buffer[] {
    const buffers = this.#buffers
    this.#buffers = []
    this.bytes = 0
    return buffers
  }

  /** Adds a packet of the connection itself. */
  control(packet: ControlPacket): void {
    const bytes = encode(packet, this.#version, this.#limits)
    // A DISCONNECT that is too large is left out: the connection ends anyway [MQTT5-3.1.2-24].
    if (bytes === undefined) this.isStuck = packet.cmd !== 'disconnect'
    else {
      countSentControl(this.#metrics, packet.cmd)
      this.#push(bytes)
    }
  }

  /**
   * Adds packets of the session. Returns the acknowledgements that stand for those messages of QoS 1 and 2 that were too
   * large for the client: the session is to go on as if they had been delivered [MQTT5-3.1.2-25].
   */
  deliver(packets: readonly OutPacket[], nowMs: number): AckPacket[] | undefined {
    let skipped: AckPacket[] | undefined
    for (let i = 0; i < packets.length; i++) {
      const packet = packets[i]!
      switch (packet.cmd) {
        case 'batch':
          this.#batch(batchOf(packet.batch), nowMs)
          break
        case 'publish':
          if (!this.#publish(packet, nowMs) && packet.qos > 0) {
            const cmd = packet.qos === 1 ? 'puback' : 'pubrec'
            skipped ??= []
            skipped.push({ cmd, messageId: packet.messageId, reasonCode: RC.packet_too_large })
          }
          break
        case 'suback':
        case 'unsuback':
          countSentControl(this.#metrics, packet.cmd)
          this.#answer(packet)
          break
        default:
          this.#acknowledge(packet)
      }
    }
    return skipped
  }

  #batch(batch: Batch, nowMs: number): void {
    const { messages } = batch
    if (this.#aliases !== NO_ALIASES && batch.topic.length >= MIN_ALIASED_TOPIC_LENGTH) {
      for (const message of messages) this.#publish(alone(message), nowMs)
    } else if (this.#maxPacketBytes === Number.POSITIVE_INFINITY) {
      this.#push(encodeBatch(batch, this.#version, nowMs))
      countSentMessages(this.#metrics, 0, messages.length)
    } else {
      const { bytes, dropped } = encodeBatchWithin(batch, this.#version, nowMs, this.#maxPacketBytes)
      if (bytes.length > 0) this.#push(bytes)
      countSentMessages(this.#metrics, 0, messages.length - dropped)
      this.#dropped(dropped)
    }
  }

  /** Returns false when the PUBLISH is too large for the client. */
  #publish(out: OutPublish, nowMs: number): boolean {
    const { topic } = out.message
    const alias = topic.length >= MIN_ALIASED_TOPIC_LENGTH ? this.#aliases.use(topic) : undefined
    if (this.#maxPacketBytes !== Number.POSITIVE_INFINITY) {
      if (publishBytes(out, this.#version, alias) > this.#maxPacketBytes) {
        // The three bytes of a new alias must not be what makes a message too large.
        if (alias?.topic === true) this.#aliases.forget(topic)
        if (alias?.topic !== true || publishBytes(out, this.#version) > this.#maxPacketBytes) {
          this.#dropped(1)
          return false
        }
        this.#push(encodePublish(out, this.#version, nowMs))
        countSentMessages(this.#metrics, out.qos, 1)
        return true
      }
    }
    this.#push(encodePublish(out, this.#version, nowMs, alias))
    countSentMessages(this.#metrics, out.qos, 1)
    return true
  }

  #acknowledge(packet: AckPacket): void {
    const metrics = this.#metrics
    metrics['packets/sent'] += 1
    if (packet.cmd === 'puback') metrics['packets/puback/sent'] += 1
    else if (packet.cmd === 'pubrec') metrics['packets/pubrec/sent'] += 1
    else if (packet.cmd === 'pubrel') metrics['packets/pubrel/sent'] += 1
    else metrics['packets/pubcomp/sent'] += 1
    // Five bytes at most, less than any limit that leaves room for a CONNACK.
    if (packet.properties === undefined) {
      this.#push(encodeAck(packet.cmd, packet.messageId, packet.reasonCode ?? RC.success, this.#version))
    } else {
      this.#answer(packet)
    }
  }

  #answer(packet: AckPacket | SubackPacket | UnsubackPacket): void {
    const bytes = encode(packet, this.#version, this.#limits)
    if (bytes === undefined) this.isStuck = true
    else this.#push(bytes)
  }

  #push(bytes: Buffer): void {
    this.#buffers.push(bytes)
    this.bytes += bytes.length
  }

  #dropped(count: number): void {
    this.#metrics['delivery/dropped'] += count
    this.#metrics['delivery/dropped/too_large'] += count
  }
}

/** A message of a batch as a packet of its own. */
function alone(message: OutPublish['message']): OutPublish {
  return { cmd: 'publish', message, qos: 0, retain: false, dup: false, messageId: 0, ids: undefined }
}
