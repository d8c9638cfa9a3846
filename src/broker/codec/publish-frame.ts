/**
 * Measures and writes one PUBLISH frame, with the properties of 5.0 or without.
 *
 * Measuring comes first, so that the frame goes into a buffer of just its size, or with others into one that holds a batch.
 * The message expiry interval is the first property, and two bytes hold the property length of any short frame: encode.ts
 * patches it in place.
 */

import type { ForwardedProperties, UserProperties } from '../packet.ts'
import { varIntBytes, writeVarInt } from './frame.ts'
import { PUBLISH_PROPERTY, USER_PROPERTY } from './properties.ts'

/** Everything that one PUBLISH frame depends on. */
export interface PublishFrame {
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

/** Returns the frame in a buffer of just its size. */
export function encodeFrame(frame: PublishFrame, isMqtt5: boolean): Buffer {
  const length = remainingLength(frame, isMqtt5)
  const out = Buffer.allocUnsafe(1 + varIntBytes(length) + length)
  writeFrame(out, 0, frame, length, isMqtt5)
  return out
}

/** Returns the remaining length of the frame: all but its fixed header. */
export function remainingLength(frame: PublishFrame, isMqtt5: boolean): number {
  const length = 2 + Buffer.byteLength(frame.topic) + (frame.messageId === 0 ? 0 : 2) + frame.payload.length
  if (!isMqtt5) return length
  const properties = propertiesLength(frame)
  return length + varIntBytes(properties) + properties
}

/** Writes the frame at `from`; returns the offset after it. `length` is its `remainingLength`. */
export function writeFrame(out: Buffer, from: number, frame: PublishFrame, length: number, isMqtt5: boolean): number {
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

function propertiesLength(frame: PublishFrame): number {
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

function writeProperties(out: Buffer, from: number, frame: PublishFrame): number {
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
