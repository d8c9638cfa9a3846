/**
 * PUBLISH packets and acknowledgements for clients, written by hand, and the encodings that subscribers share.
 *
 * A frame is measured first and then written into a buffer of just that size. The frames of a whole batch at QoS 0 are one
 * buffer, made once per protocol version and kept in `Batch.wire`; in 5.0 the seconds that a message still has to live are
 * part of the frame, so there they are part of the key as well. 3.1 and 3.1.1 have the same PUBLISH and share theirs.
 */
import { varIntBytes, writeVarInt } from './frame.ts'
import type { Batch, Message } from './message.ts'
import type { AckPacket, ForwardedProperties, ProtocolVersion, PublishPacket, UserProperties } from './packet.ts'
import type { OutPublish } from './process-messages.ts'
import { PUBLISH_PROPERTY, USER_PROPERTY } from './properties.ts'
import { RC } from './reason-codes.ts'
import { MQTT5 } from './validate.ts'

/** The PINGRESP packet; shared, not to be changed. */
export const PINGRESP: Buffer = Buffer.from([0xd0, 0])

/** Topic alias of one outgoing PUBLISH (5.0): with `topic: false` the alias stands for the topic, which is left out [MQTT5-3.3.2-12]. */
export interface OutAlias {
  readonly alias: number
  readonly topic: boolean
}

/** Everything that one PUBLISH frame depends on. */
interface Frame {
  readonly topic: string
  readonly payload: Buffer
  /** First byte of the frame. */
  readonly first: number
  /** 0 at QoS 0. */
  readonly messageId: number
  readonly properties: ForwardedProperties | undefined
  /** Undefined when the message does not expire. */
  readonly expirySec: number | undefined
  readonly ids: readonly number[] | undefined
  readonly alias: number | undefined
}

const MAX_UINT32 = 0xffffffff

/** Returns the remaining lifetime as it is sent: whole seconds, rounded up; undefined when the message does not expire. */
export function remainingSec(message: Message, nowMs: number): number | undefined {
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
  const frames: Frame[] = []
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

/** Returns one PUBLISH for one client. `nowMs` (wall clock) counts the message expiry interval down [MQTT5-3.3.2-6]. */
export function encodePublish(out: OutPublish, version: ProtocolVersion, nowMs: number, alias?: OutAlias): Buffer {
  const isMqtt5 = version === MQTT5
  return encodeFrame(frameOfOut(out, isMqtt5, nowMs, alias), isMqtt5)
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
  const frame: Frame = {
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

function frameOfOut(out: OutPublish, isMqtt5: boolean, nowMs: number, alias: OutAlias | undefined): Frame {
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
): Frame {
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

function encodeFrame(frame: Frame, isMqtt5: boolean): Buffer {
  const length = remainingLength(frame, isMqtt5)
  const out = Buffer.allocUnsafe(1 + varIntBytes(length) + length)
  writeFrame(out, 0, frame, length, isMqtt5)
  return out
}

function remainingLength(frame: Frame, isMqtt5: boolean): number {
  const length = 2 + Buffer.byteLength(frame.topic) + (frame.messageId === 0 ? 0 : 2) + frame.payload.length
  if (!isMqtt5) return length
  const properties = propertiesLength(frame)
  return length + varIntBytes(properties) + properties
}

function writeFrame(out: Buffer, from: number, frame: Frame, length: number, isMqtt5: boolean): number {
  out[from] = frame.first
  let at = writeVarInt(out, length, from + 1)
  at = writeString(out, at, frame.topic)
  if (frame.messageId !== 0) {
    out[at++] = frame.messageId >>> 8
    out[at++] = frame.messageId
  }
  if (isMqtt5) {
    at = writeVarInt(out, propertiesLength(frame), at)
    at = writeProperties(out, at, frame)
  }
  return at + frame.payload.copy(out, at)
}

function propertiesLength(frame: Frame): number {
  let length = frame.expirySec === undefined ? 0 : 5
  if (frame.alias !== undefined) length += 3
  if (frame.ids !== undefined) for (const id of frame.ids) length += 1 + varIntBytes(id)
  const properties = frame.properties
  if (properties === undefined) return length
  if (properties.payloadFormatIndicator !== undefined) length += 2
  if (properties.contentType !== undefined) length += 3 + Buffer.byteLength(properties.contentType)
  if (properties.responseTopic !== undefined) length += 3 + Buffer.byteLength(properties.responseTopic)
  if (properties.correlationData !== undefined) length += 3 + properties.correlationData.length
  const user = properties.userProperties
  if (user === undefined) return length
  for (const name in user) {
    const values = user[name]!
    const fixed = 5 + Buffer.byteLength(name)
    if (typeof values === 'string') length += fixed + Buffer.byteLength(values)
    else for (const value of values) length += fixed + Buffer.byteLength(value)
  }
  return length
}

function writeProperties(out: Buffer, from: number, frame: Frame): number {
  let at = from
  const { properties, expirySec, ids, alias } = frame
  if (expirySec !== undefined) {
    out[at] = PUBLISH_PROPERTY.messageExpiryInterval
    at = out.writeUInt32BE(expirySec, at + 1)
  }
  if (alias !== undefined) {
    out[at] = PUBLISH_PROPERTY.topicAlias
    at = out.writeUInt16BE(alias, at + 1)
  }
  if (ids !== undefined) {
    for (const id of ids) {
      out[at] = PUBLISH_PROPERTY.subscriptionIdentifier
      at = writeVarInt(out, id, at + 1)
    }
  }
  return properties === undefined ? at : writeForwarded(out, at, properties)
}

function writeForwarded(out: Buffer, from: number, properties: ForwardedProperties): number {
  let at = from
  if (properties.payloadFormatIndicator !== undefined) {
    out[at++] = PUBLISH_PROPERTY.payloadFormatIndicator
    out[at++] = properties.payloadFormatIndicator ? 1 : 0
  }
  if (properties.contentType !== undefined) {
    out[at] = PUBLISH_PROPERTY.contentType
    at = writeString(out, at + 1, properties.contentType)
  }
  if (properties.responseTopic !== undefined) {
    out[at] = PUBLISH_PROPERTY.responseTopic
    at = writeString(out, at + 1, properties.responseTopic)
  }
  if (properties.correlationData !== undefined) {
    out[at] = PUBLISH_PROPERTY.correlationData
    at = out.writeUInt16BE(properties.correlationData.length, at + 1)
    at += properties.correlationData.copy(out, at)
  }
  if (properties.userProperties !== undefined) {
    at = writeUserProperties(out, at, properties.userProperties, properties.userPropertyOrder)
  }
  return at
}

function writeUserProperties(
  out: Buffer,
  from: number,
  user: UserProperties,
  order: readonly string[] | undefined,
): number {
  let at = from
  /** How many values of a name are written. */
  const written = new Map<string, number>()
  // A hook may have changed the properties but not the order, so the order decides only what comes first.
  for (const name of order ?? []) {
    const values = user[name]
    const nth = written.get(name) ?? 0
    const value = typeof values === 'string' ? (nth === 0 ? values : undefined) : values?.[nth]
    if (value === undefined) continue
    written.set(name, nth + 1)
    at = writePair(out, at, name, value)
  }
  for (const name in user) {
    const values = user[name]!
    const nth = written.get(name) ?? 0
    if (typeof values !== 'string') for (const value of values.slice(nth)) at = writePair(out, at, name, value)
    else if (nth === 0) at = writePair(out, at, name, values)
  }
  return at
}

function writePair(out: Buffer, from: number, name: string, value: string): number {
  out[from] = USER_PROPERTY
  return writeString(out, writeString(out, from + 1, name), value)
}

function writeString(out: Buffer, from: number, text: string): number {
  const bytes = out.write(text, from + 2)
  out[from] = bytes >>> 8
  out[from + 1] = bytes
  return from + 2 + bytes
}
