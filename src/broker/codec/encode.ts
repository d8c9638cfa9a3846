/**
 * PUBLISH packets and acknowledgements for clients, written by hand, and the encodings that subscribers share.
 *
 * A frame is measured first and then written into a buffer of just that size. The frames of a whole batch at QoS 0 are one
 * buffer, made once per protocol version and kept in `Batch.wire`; in 5.0 the seconds that a message still has to live are
 * part of the frame, so there they are part of the key as well. 3.1 and 3.1.1 have the same PUBLISH and share theirs.
 */

import type { Batch, Message } from '../message.ts'
import type { AckPacket, ProtocolVersion, PublishPacket } from '../packet.ts'
import type { OutPublish } from '../process-messages.ts'
import { RC } from '../reason-codes.ts'
import { varIntBytes } from './frame.ts'
import { encodeFrame, type PublishFrame, remainingLength, writeFrame } from './publish-frame.ts'
import { MQTT5 } from './validate.ts'

/** The PINGRESP packet; shared, not to be changed. */
export const PINGRESP: Buffer = Buffer.from([0xd0, 0])

/** Topic alias of one outgoing PUBLISH (5.0): with `topic: false` the alias stands for the topic, which is left out [MQTT5-3.3.2-12]. */
export interface OutAlias {
  readonly alias: number
  readonly topic: boolean
}

const MAX_UINT32 = 0xffffffff

/** Returns the remaining lifetime as it is sent: whole seconds, rounded up; undefined when the message does not expire. */
function remainingSec(message: Message, nowMs: number): number | undefined {
  if (message.expiresAtMs === Infinity) return undefined
  return Math.min(MAX_UINT32, Math.max(0, Math.ceil((message.expiresAtMs - nowMs) / 1000)))
}

/**
 * Returns the frames of a whole batch at QoS 0, RETAIN 0, without subscription identifiers; encoded once per version (and,
 * in 5.0, per remaining second of expiry) however many subscribers there are. The Buffer is shared: do not change it.
 * Messages that have expired by `nowMs` are the session's to leave out; here they go out with 0 seconds to live.
 */
export function encodeBatch(batch: Batch, version: ProtocolVersion, nowMs: number): Buffer {
  const wire = batch.wire
  const isMqtt5 = version === MQTT5
  const shared = wire?.get(isMqtt5 ? MQTT5_KEY : MQTT3_KEY)
  if (shared !== undefined) return shared
  const key = isMqtt5 ? keyOf(batch, nowMs) : MQTT3_KEY
  const known = wire?.get(key)
  if (known !== undefined) return known
  const bytes = encodeMessages(batch.messages, isMqtt5, nowMs)
  if (wire === undefined) batch.wire = new Map([[key, bytes]])
  else {
    // A batch that waits in queues for hours would gather one encoding for each second in which it was sent.
    if (wire.size >= MAX_ENCODINGS) wire.clear()
    wire.set(key, bytes)
  }
  return bytes
}

const MAX_ENCODINGS = 8
const MQTT3_KEY = 4
const MQTT5_KEY = 5
/** Keys from here on are remaining seconds; negative ones are the time itself. */
const FIRST_EXPIRY_KEY = 8

/**
 * Returns the key of the 5.0 encoding. When all expiring messages count down in step (as those that came in one chunk do),
 * the seconds that the first has left tell those of all others; when they do not, only the very time does.
 */
function keyOf(batch: Batch, nowMs: number): number {
  let first: Message | undefined
  for (const message of batch.messages) {
    if (message.expiresAtMs === Infinity) continue
    first ??= message
    // Past its end a message no longer counts down.
    const isInStep = (message.expiresAtMs - first.expiresAtMs) % 1000 === 0 && message.expiresAtMs > nowMs
    if (!isInStep) return -1 - nowMs
  }
  return first === undefined ? MQTT5_KEY : FIRST_EXPIRY_KEY + remainingSec(first, nowMs)!
}

function encodeMessages(messages: readonly Message[], isMqtt5: boolean, nowMs: number): Buffer {
  const lengths: number[] = []
  const frames: PublishFrame[] = []
  let total = 0
  for (const message of messages) {
    const frame = frameOf(message, PUBLISH_QOS_0, 0, isMqtt5, nowMs, undefined, undefined)
    const length = remainingLength(frame, isMqtt5)
    frames.push(frame)
    lengths.push(length)
    total += 1 + varIntBytes(length) + length
  }
  const out = Buffer.allocUnsafe(total)
  let at = 0
  for (let i = 0; i < frames.length; i++) at = writeFrame(out, at, frames[i]!, lengths[i]!, isMqtt5)
  return out
}

/**
 * The same for a client that takes no packets larger than `maxPacketBytes`: messages that are too large are left out
 * [MQTT5-3.1.2-25]. Returns the frames (shared, unless some were left out) and how many were left out.
 */
export function encodeBatchWithin(
  batch: Batch,
  version: ProtocolVersion,
  nowMs: number,
  maxPacketBytes: number,
): { bytes: Buffer; dropped: number } {
  const bytes = encodeBatch(batch, version, nowMs)
  if (bytes.length <= maxPacketBytes) return { bytes, dropped: 0 }
  const isMqtt5 = version === MQTT5
  const fitting = batch.messages.filter((message) => {
    const frame = frameOf(message, PUBLISH_QOS_0, 0, isMqtt5, nowMs, undefined, undefined)
    const length = remainingLength(frame, isMqtt5)
    return 1 + varIntBytes(length) + length <= maxPacketBytes
  })
  const dropped = batch.messages.length - fitting.length
  return { bytes: dropped === 0 ? bytes : encodeMessages(fitting, isMqtt5, nowMs), dropped }
}

/**
 * Returns one PUBLISH for one client. `nowMs` (wall clock) counts the message expiry interval down [MQTT5-3.3.2-6].
 *
 * At QoS 1 and 2 the frames of a message differ between clients in the first byte, the packet identifier and the expiry
 * only, unless there are subscription identifiers or aliases. So the first frame serves as a template, which is copied
 * and patched: do not change the returned Buffer.
 */
export function encodePublish(out: OutPublish, version: ProtocolVersion, nowMs: number, alias?: OutAlias): Buffer {
  const isMqtt5 = version === MQTT5
  // Retained and repeated messages go to one client at a time; a template for them would only take memory.
  const isShared = out.qos > 0 && !out.retain && !out.dup && out.ids === undefined && alias === undefined
  if (!isShared) return encodeFrame(frameOfOut(out, isMqtt5, nowMs, alias), isMqtt5)
  const message: Templated = out.message
  const templates = message[TEMPLATES]
  const template = templates?.message === message ? (isMqtt5 ? templates.mqtt5 : templates.mqtt3) : undefined
  if (template !== undefined) return patchedCopy(template, out, nowMs)
  const bytes = encodeFrame(frameOfOut(out, isMqtt5, nowMs, undefined), isMqtt5)
  if (bytes.length <= MAX_TEMPLATE_BYTES && Object.isExtensible(message)) keepTemplate(message, bytes, isMqtt5)
  return bytes
}

/** For larger frames copying the payload is the greater part of the work, and a template would double the memory of an inflight message. */
const MAX_TEMPLATE_BYTES = 1024

interface Template {
  readonly bytes: Buffer
  /** Offset of the packet identifier. */
  readonly idAt: number
  /** Offset of the seconds of the message expiry interval; 0 when there are none. */
  readonly expiryAt: number
}

/** Hidden on the message by a symbol, so that no serialisation carries it away. */
const TEMPLATES = Symbol('templates')

interface Templated extends Message {
  [TEMPLATES]?: {
    /** The message itself: a changed copy `{ ...message, topic }` takes the symbol along, and must not use these bytes. */
    readonly message: Message
    mqtt3: Template | undefined
    mqtt5: Template | undefined
  }
}

function keepTemplate(message: Templated, bytes: Buffer, isMqtt5: boolean): void {
  // The remaining length is one byte or two, and so is the property length below: a template is short.
  const topicAt = bytes[1]! < 0x80 ? 2 : 3
  const idAt = topicAt + 2 + bytes.readUInt16BE(topicAt)
  const hasExpiry = isMqtt5 && message.expiresAtMs !== Infinity
  // The expiry is the first property: after the property length and its own identifier.
  const expiryAt = hasExpiry ? idAt + 2 + (bytes[idAt + 2]! < 0x80 ? 1 : 2) + 1 : 0
  const template: Template = { bytes, idAt, expiryAt }
  let templates = message[TEMPLATES]
  if (templates?.message !== message) {
    templates = { message, mqtt3: undefined, mqtt5: undefined }
    message[TEMPLATES] = templates
  }
  if (isMqtt5) templates.mqtt5 = template
  else templates.mqtt3 = template
}

function patchedCopy(template: Template, out: OutPublish, nowMs: number): Buffer {
  const { bytes, idAt, expiryAt } = template
  const copy = Buffer.allocUnsafe(bytes.length)
  copy.set(bytes)
  const messageId = requiredId(out.messageId)
  copy[0] = firstByte(out.qos, out.retain, out.dup)
  copy[idAt] = messageId >>> 8
  copy[idAt + 1] = messageId
  if (expiryAt > 0) copy.writeUInt32BE(remainingSec(out.message, nowMs)!, expiryAt)
  return copy
}

/** Returns how many bytes `encodePublish` would return. */
export function publishBytes(out: OutPublish, version: ProtocolVersion, alias?: OutAlias): number {
  const isMqtt5 = version === MQTT5
  // The interval is four bytes whatever the time is.
  const length = remainingLength(frameOfOut(out, isMqtt5, 0, alias), isMqtt5)
  return 1 + varIntBytes(length) + length
}

/** Returns the bytes of a PUBLISH packet that stands by itself (no `Message`, no counting down). */
export function encodePublishPacket(packet: PublishPacket, version: ProtocolVersion): Buffer {
  const isMqtt5 = version === MQTT5
  const { topic, payload, qos, retain, dup, messageId, properties } = packet
  const ids = properties?.subscriptionIdentifier
  const frame: PublishFrame = {
    topic,
    payload,
    first: firstByte(qos, retain, dup),
    messageId: qos > 0 ? requiredId(messageId) : 0,
    properties,
    expirySec: properties?.messageExpiryInterval,
    ids: typeof ids === 'number' ? [ids] : ids,
    alias: properties?.topicAlias,
  }
  return encodeFrame(frame, isMqtt5)
}

/** Returns a PUBACK, PUBREC, PUBREL or PUBCOMP without properties; 3.1 and 3.1.1 leave the reason code out. */
export function encodeAck(
  cmd: AckPacket['cmd'],
  messageId: number,
  reasonCode: number,
  version: ProtocolVersion,
): Buffer {
  const hasCode = reasonCode !== RC.success && version === MQTT5
  const out = Buffer.allocUnsafe(hasCode ? 5 : 4)
  out[0] = ACK_FIRST_BYTE[cmd]
  out[1] = hasCode ? 3 : 2
  out[2] = messageId >>> 8
  out[3] = messageId
  if (hasCode) out[4] = reasonCode
  return out
}

const ACK_FIRST_BYTE = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 } as const
const PUBLISH_QOS_0 = 0x30

function firstByte(qos: number, retain: boolean, dup: boolean): number {
  return PUBLISH_QOS_0 | (dup ? 0x08 : 0) | (qos << 1) | (retain ? 0x01 : 0)
}

function requiredId(messageId: number | undefined): number {
  if (messageId === undefined || messageId === 0)
    throw new RangeError('PUBLISH with QoS above 0 needs a packet identifier')
  return messageId
}

function frameOfOut(out: OutPublish, isMqtt5: boolean, nowMs: number, alias: OutAlias | undefined): PublishFrame {
  const first = firstByte(out.qos, out.retain, out.dup)
  return frameOf(out.message, first, out.qos > 0 ? requiredId(out.messageId) : 0, isMqtt5, nowMs, out.ids, alias)
}

function frameOf(
  message: Message,
  first: number,
  messageId: number,
  isMqtt5: boolean,
  nowMs: number,
  ids: readonly number[] | undefined,
  alias: OutAlias | undefined,
): PublishFrame {
  return {
    topic: isMqtt5 && alias?.topic === false ? '' : message.topic,
    payload: message.payload,
    first,
    messageId,
    properties: message.properties,
    expirySec: isMqtt5 ? remainingSec(message, nowMs) : undefined,
    ids,
    alias: alias?.alias,
  }
}
