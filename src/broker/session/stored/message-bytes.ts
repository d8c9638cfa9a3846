/**
 * Messages and wills as bytes, as they lie in the store of sessions.
 *
 * A flag for each thing that is there, then the things in their order; a payload is all that is left. What is read owns its bytes: it is
 * kept for long and must not hold a block of the disc in memory.
 */
import type { BinaryReader, BinaryWriter } from '../../../mnesia/binary.ts'
import { Damaged } from '../../../mnesia/binary.ts'
import type { Message } from '../../message.ts'
import { ownBytes } from '../../own-bytes.ts'
import type { ForwardedProperties, QoS, UserProperties } from '../../packet.ts'
import type { Will } from '../../process-messages.ts'

/** Of a message or will: two bits of QoS, then these. */
const QOS = 3
const RETAIN = 4
const HAS_EXPIRY = 8
const HAS_PROPERTIES = 16

/** Of its properties. */
const FORMAT = 1
const FORMAT_IS_TEXT = 2
const CONTENT_TYPE = 4
const RESPONSE_TOPIC = 8
const CORRELATION_DATA = 16
const USER_PROPERTIES = 32
const USER_PROPERTY_ORDER = 64

/** Appends a message. Times are kept in whole milliseconds. */
export function writeMessage(to: BinaryWriter, message: Message): void {
  const { properties, expiresAtMs } = message
  const expires = expiresAtMs !== Number.POSITIVE_INFINITY
  to.byte(flags(message.qos, message.retain, expires, properties))
  to.text(message.id)
  to.text(message.from)
  to.text(message.topic)
  to.integer(Math.floor(message.publishedAtMs))
  if (expires) to.integer(Math.ceil(expiresAtMs))
  if (properties !== undefined) writeProperties(to, properties)
  to.raw(message.payload)
}

/** Reads a message that goes to the end of the bytes. Throws `Damaged`. */
export function readMessage(from: BinaryReader): Message {
  const flag = from.byte()
  return {
    qos: qosOf(flag),
    retain: (flag & RETAIN) !== 0,
    id: from.text(),
    from: from.text(),
    topic: from.text(),
    publishedAtMs: from.integer(),
    expiresAtMs: flag & HAS_EXPIRY ? from.integer() : Number.POSITIVE_INFINITY,
    properties: flag & HAS_PROPERTIES ? readProperties(from) : undefined,
    payload: ownBytes(from.rest()),
  }
}

/** Appends a will. */
export function writeWill(to: BinaryWriter, will: Will): void {
  const { properties, expirySec } = will
  to.byte(flags(will.qos, will.retain, expirySec !== undefined, properties))
  to.text(will.topic)
  to.varint(will.delaySec)
  if (expirySec !== undefined) to.varint(expirySec)
  if (properties !== undefined) writeProperties(to, properties)
  to.blob(will.payload)
}

/** Reads a will. Throws `Damaged`. */
export function readWill(from: BinaryReader): Will {
  const flag = from.byte()
  return {
    qos: qosOf(flag),
    retain: (flag & RETAIN) !== 0,
    topic: from.text(),
    delaySec: from.varint(),
    expirySec: flag & HAS_EXPIRY ? from.varint() : undefined,
    properties: flag & HAS_PROPERTIES ? readProperties(from) : undefined,
    payload: ownBytes(from.blob()),
  }
}

/** The QoS in the two lowest bits. Throws `Damaged` for 3. */
export function qosOf(flag: number): QoS {
  const qos = flag & QOS
  if (qos === 3) throw new Damaged('QoS 3')
  return qos as QoS
}

function flags(qos: QoS, retain: boolean, expires: boolean, properties: ForwardedProperties | undefined): number {
  return qos | (retain ? RETAIN : 0) | (expires ? HAS_EXPIRY : 0) | (properties === undefined ? 0 : HAS_PROPERTIES)
}

function writeProperties(to: BinaryWriter, properties: ForwardedProperties): void {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData } = properties
  const { userProperties, userPropertyOrder } = properties
  to.byte(
    (payloadFormatIndicator === undefined ? 0 : FORMAT) |
      (payloadFormatIndicator === true ? FORMAT_IS_TEXT : 0) |
      (contentType === undefined ? 0 : CONTENT_TYPE) |
      (responseTopic === undefined ? 0 : RESPONSE_TOPIC) |
      (correlationData === undefined ? 0 : CORRELATION_DATA) |
      (userProperties === undefined ? 0 : USER_PROPERTIES) |
      (userPropertyOrder === undefined ? 0 : USER_PROPERTY_ORDER),
  )
  if (contentType !== undefined) to.text(contentType)
  if (responseTopic !== undefined) to.text(responseTopic)
  if (correlationData !== undefined) to.blob(correlationData)
  if (userProperties !== undefined) writeUserProperties(to, userProperties)
  if (userPropertyOrder !== undefined) writeTexts(to, userPropertyOrder)
}

function readProperties(from: BinaryReader): ForwardedProperties {
  const flag = from.byte()
  const properties: ForwardedProperties = {}
  if (flag & FORMAT) properties.payloadFormatIndicator = (flag & FORMAT_IS_TEXT) !== 0
  if (flag & CONTENT_TYPE) properties.contentType = from.text()
  if (flag & RESPONSE_TOPIC) properties.responseTopic = from.text()
  if (flag & CORRELATION_DATA) properties.correlationData = ownBytes(from.blob())
  if (flag & USER_PROPERTIES) properties.userProperties = readUserProperties(from)
  if (flag & USER_PROPERTY_ORDER) properties.userPropertyOrder = readTexts(from)
  return properties
}

/** Each name with its values; a single text, which is no list, has length 0. */
function writeUserProperties(to: BinaryWriter, properties: UserProperties): void {
  const entries = Object.entries(properties)
  to.varint(entries.length)
  for (const [name, value] of entries) {
    to.text(name)
    if (typeof value === 'string') {
      to.varint(0)
      to.text(value)
    } else writeTexts(to, value)
  }
}

function readUserProperties(from: BinaryReader): UserProperties {
  // Without a prototype: the names are a client's, `__proto__` among them.
  const properties: UserProperties = Object.create(null)
  for (let left = from.varint(); left > 0; left--) {
    const name = from.text()
    const length = from.varint()
    properties[name] = length === 0 ? from.text() : readTextsOf(from, length)
  }
  return properties
}

function writeTexts(to: BinaryWriter, texts: readonly string[]): void {
  to.varint(texts.length)
  for (const text of texts) to.text(text)
}

function readTexts(from: BinaryReader): string[] {
  return readTextsOf(from, from.varint())
}

function readTextsOf(from: BinaryReader, length: number): string[] {
  const texts: string[] = []
  for (let left = length; left > 0; left--) texts.push(from.text())
  return texts
}
