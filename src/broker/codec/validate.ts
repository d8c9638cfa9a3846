/**
 * Checks one frame from a client against the standard, byte by byte, and reads what `mqtt-packet` reads wrongly.
 *
 * `mqtt-packet` accepts, among others: ill-formed UTF-8 and U+0000, packet id 0, wildcards in topic names, will QoS 3,
 * reserved bits, trailing bytes, acknowledgements that are too short, and any property anywhere. Here every byte of the
 * frame is accounted for, so that what passes has one meaning only. The reason codes are those that the standard names
 * for the fault; where it says just MUST: 0x81 when the bytes cannot be read, 0x82 when they can but are not allowed.
 *
 * Not checked, since it takes more than one packet: topic alias against its maximum, receive maximum, session expiry in
 * DISCONNECT, authentication method in AUTH, empty client id with clean session 0, the limits of the broker.
 */

import type { ProtocolVersion, PublishPacket, QoS } from '../packet.ts'
import { RC } from '../reason-codes.ts'
import type { Cursor } from './cursor.ts'
import { type ReadProperties, readProperties } from './properties.ts'
import { isShared, topicFilterFault, topicNameFault } from './topic-syntax.ts'

/** Control packet types [MQTT5-2.1.2]: the upper four bits of the first byte. */
export const PACKET_TYPE = {
  connect: 1,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  unsubscribe: 10,
  pingreq: 12,
  disconnect: 14,
  auth: 15,
} as const

/** Level of MQTT 5.0 in CONNECT; also the `ProtocolVersion` whose packets have properties. */
export const MQTT5 = 5
const BRIDGE_BIT = 0x80

/** What a CONNECT says of itself; `fault` is in the cursor. */
export interface ConnectFacts {
  /** Undefined when the protocol name or level is not supported. */
  readonly version: ProtocolVersion | undefined
  /** The level as it was sent without the bridge bit; undefined when the packet is not MQTT at all. */
  readonly level: number | undefined
  readonly bridge: boolean
  readonly properties: ReadProperties | undefined
  readonly willProperties: ReadProperties | undefined
}

/** Reads a CONNECT from the cursor, which stands behind the fixed header. */
export function checkConnect(cursor: Cursor, first: number): ConnectFacts {
  if ((first & 0x0f) !== 0) cursor.fail(RC.malformed_packet, 'CONNECT has reserved bits set')
  const name = cursor.string('protocol name')
  const sent = cursor.byte('protocol level')
  if (cursor.fault !== undefined) return unsupported(undefined)
  if (name !== 'MQTT' && name !== 'MQIsdp') {
    cursor.fail(RC.unsupported_protocol_version, 'protocol name is not MQTT') // [MQTT5-3.1.2-1]
    return unsupported(undefined)
  }
  const bridge = sent >= BRIDGE_BIT
  const level = sent & ~BRIDGE_BIT
  const version = name === 'MQIsdp' ? (level === 3 ? 3 : undefined) : level === 4 ? 4 : level === 5 ? 5 : undefined
  // Only bridges of 3.1 and 3.1.1 have the bit.
  if (version === undefined || (bridge && version === MQTT5)) {
    cursor.fail(RC.unsupported_protocol_version, 'protocol level is not supported') // [MQTT5-3.1.2-2]
    return unsupported(level)
  }
  return { version, level, bridge, ...checkConnectRest(cursor, version) }
}

function unsupported(level: number | undefined): ConnectFacts {
  return { version: undefined, level, bridge: false, properties: undefined, willProperties: undefined }
}

function checkConnectRest(
  cursor: Cursor,
  version: ProtocolVersion,
): Pick<ConnectFacts, 'properties' | 'willProperties'> {
  const flags = cursor.byte('connect flags')
  const hasUsername = (flags & 0x80) !== 0
  const hasPassword = (flags & 0x40) !== 0
  const willQos = (flags >> 3) & 0x03
  const hasWill = (flags & 0x04) !== 0
  if ((flags & 0x01) !== 0) cursor.fail(RC.malformed_packet, 'reserved connect flag is set') // [MQTT5-3.1.2-3]
  if (hasWill && willQos === 3) cursor.fail(RC.malformed_packet, 'will QoS is 3') // [MQTT5-3.1.2-12]
  // [MQTT5-3.1.2-11] [MQTT5-3.1.2-13]
  if (!hasWill && (flags & 0x38) !== 0) cursor.fail(RC.malformed_packet, 'will QoS or will retain without a will')
  if (version !== MQTT5 && hasPassword && !hasUsername) {
    cursor.fail(RC.malformed_packet, 'password without user name') // [MQTT311-3.1.2-22]
  }
  cursor.uint16('keep alive')
  const properties = version === MQTT5 ? readProperties(cursor, 'connect') : undefined
  cursor.string('client identifier')
  const willProperties = hasWill ? checkWill(cursor, version) : undefined
  if (hasUsername) cursor.string('user name')
  if (hasPassword) cursor.skipPrefixed('password')
  checkNothingLeft(cursor)
  return { properties, willProperties }
}

function checkWill(cursor: Cursor, version: ProtocolVersion): ReadProperties | undefined {
  const properties = version === MQTT5 ? readProperties(cursor, 'will') : undefined
  const topic = cursor.string('will topic')
  const fault = topicNameFault(topic)
  if (fault !== undefined) cursor.fail(RC.topic_name_invalid, `will: ${fault}`)
  cursor.skipPrefixed('will payload')
  return properties
}

/** Reads a PUBLISH; returns undefined after a fault. The payload is a view of the cursor's bytes. */
export function readPublish(cursor: Cursor, first: number, version: ProtocolVersion): PublishPacket | undefined {
  const qos = (first >> 1) & 0x03
  const dup = (first & 0x08) !== 0
  const retain = (first & 0x01) !== 0
  if (qos === 3) cursor.fail(RC.malformed_packet, 'PUBLISH has QoS 3') // [MQTT5-3.3.1-4]
  if (qos === 0 && dup) cursor.fail(RC.malformed_packet, 'PUBLISH with QoS 0 has DUP set') // [MQTT5-3.3.1-2]
  const topic = cursor.string('topic name')
  const messageId = qos > 0 ? cursor.packetId() : 0
  const properties = version === MQTT5 ? readProperties(cursor, 'publish') : undefined
  if (topic.length > 0) {
    const fault = topicNameFault(topic)
    if (fault !== undefined) cursor.fail(RC.topic_name_invalid, fault)
  } else if (properties?.topicAlias === undefined) {
    cursor.fail(RC.protocol_error, 'PUBLISH has neither topic name nor topic alias') // [MQTT5-3.3.2.1] [MQTT311-4.7.3-1]
  }
  if (cursor.fault !== undefined) return undefined
  const payload = cursor.bytes.subarray(cursor.at, cursor.end)
  const packet: PublishPacket = { cmd: 'publish', topic, payload, qos: qos as QoS, retain, dup }
  if (qos > 0) packet.messageId = messageId
  if (properties !== undefined) packet.properties = properties
  return packet
}

/** Checks a frame of any type but CONNECT and PUBLISH; returns its properties. The fault is in the cursor. */
export function checkFrame(cursor: Cursor, first: number, version: ProtocolVersion): ReadProperties | undefined {
  const type = first >> 4
  const flags = first & 0x0f
  switch (type) {
    case PACKET_TYPE.puback:
    case PACKET_TYPE.pubrec:
      checkFlags(cursor, flags, 0)
      return checkAck(cursor, version, PUBACK_CODES)
    case PACKET_TYPE.pubrel:
      checkFlags(cursor, flags, 2) // [MQTT5-3.6.1-1]
      return checkAck(cursor, version, PUBREL_CODES)
    case PACKET_TYPE.pubcomp:
      checkFlags(cursor, flags, 0)
      return checkAck(cursor, version, PUBREL_CODES)
    case PACKET_TYPE.subscribe:
      checkFlags(cursor, flags, 2) // [MQTT5-3.8.1-1]
      return checkSubscribe(cursor, version)
    case PACKET_TYPE.unsubscribe:
      checkFlags(cursor, flags, 2) // [MQTT5-3.10.1-1]
      return checkUnsubscribe(cursor, version)
    case PACKET_TYPE.pingreq:
      checkFlags(cursor, flags, 0)
      return checkNothingLeft(cursor)
    case PACKET_TYPE.disconnect:
      checkFlags(cursor, flags, 0) // [MQTT5-3.14.1-1]
      return version === MQTT5 ? checkDisconnect(cursor) : checkNothingLeft(cursor)
    case PACKET_TYPE.auth:
      checkFlags(cursor, flags, 0) // [MQTT5-3.15.1-1]
      if (version === MQTT5) return checkAuth(cursor)
      return cursor.fail(RC.malformed_packet, 'packet type is reserved')
    case 0:
      return cursor.fail(RC.malformed_packet, 'packet type is reserved')
    case PACKET_TYPE.connect:
      return cursor.fail(RC.protocol_error, 'second CONNECT') // [MQTT5-3.1.0-2]
    default:
      return cursor.fail(RC.protocol_error, 'packet is not for a client to send')
  }
}

// [MQTT5-3.4.2.1] [MQTT5-3.5.2.1]
const PUBACK_CODES: ReadonlySet<number> = new Set([
  RC.success,
  RC.no_matching_subscribers,
  RC.unspecified_error,
  RC.implementation_specific_error,
  RC.not_authorized,
  RC.topic_name_invalid,
  RC.packet_identifier_in_use,
  RC.quota_exceeded,
  RC.payload_format_invalid,
])

// [MQTT5-3.6.2.1] [MQTT5-3.7.2.1]
const PUBREL_CODES: ReadonlySet<number> = new Set([RC.success, RC.packet_identifier_not_found])

// Those of [MQTT5-3.14.2.1] that a client may send.
const DISCONNECT_CODES: ReadonlySet<number> = new Set([
  RC.normal_disconnection,
  RC.disconnect_with_will,
  RC.unspecified_error,
  RC.malformed_packet,
  RC.protocol_error,
  RC.implementation_specific_error,
  RC.topic_name_invalid,
  RC.receive_maximum_exceeded,
  RC.topic_alias_invalid,
  RC.packet_too_large,
  RC.message_rate_too_high,
  RC.quota_exceeded,
  RC.administrative_action,
  RC.payload_format_invalid,
])

// Those of [MQTT5-3.15.2.1] that a client may send.
const AUTH_CODES: ReadonlySet<number> = new Set([RC.continue_authentication, RC.reauthenticate])

function checkAck(cursor: Cursor, version: ProtocolVersion, codes: ReadonlySet<number>): ReadProperties | undefined {
  cursor.packetId()
  if (version !== MQTT5 || cursor.left === 0) return checkNothingLeft(cursor)
  checkReasonCode(cursor, codes)
  const properties = cursor.left > 0 ? readProperties(cursor, 'ack') : undefined
  checkNothingLeft(cursor)
  return properties
}

function checkSubscribe(cursor: Cursor, version: ProtocolVersion): ReadProperties | undefined {
  cursor.packetId()
  const properties = version === MQTT5 ? readProperties(cursor, 'subscribe') : undefined
  // [MQTT5-3.8.3-2] [MQTT311-3.8.3-3]
  if (cursor.left === 0) cursor.fail(RC.protocol_error, 'SUBSCRIBE has no topic filter')
  while (cursor.left > 0) {
    const filter = checkFilter(cursor)
    const options = cursor.byte('subscription options')
    const reserved = version === MQTT5 ? 0xc0 : 0xfc
    // [MQTT5-3.8.3-5] [MQTT311-3.8.3-4]
    if ((options & reserved) !== 0) cursor.fail(RC.malformed_packet, 'subscription options have reserved bits set')
    if ((options & 0x03) === 3) cursor.fail(RC.protocol_error, 'subscription asks for QoS 3') // [MQTT5-3.8.3.1]
    if ((options & 0x30) === 0x30) cursor.fail(RC.protocol_error, 'retain handling is 3') // [MQTT5-3.8.3.1]
    if ((options & 0x04) !== 0 && isShared(filter)) {
      cursor.fail(RC.protocol_error, 'no local on a shared subscription') // [MQTT5-3.8.3-4]
    }
  }
  return properties
}

function checkUnsubscribe(cursor: Cursor, version: ProtocolVersion): ReadProperties | undefined {
  cursor.packetId()
  const properties = version === MQTT5 ? readProperties(cursor, 'unsubscribe') : undefined
  // [MQTT5-3.10.3-2] [MQTT311-3.10.3-2]
  if (cursor.left === 0) cursor.fail(RC.protocol_error, 'UNSUBSCRIBE has no topic filter')
  while (cursor.left > 0) checkFilter(cursor)
  return properties
}

function checkDisconnect(cursor: Cursor): ReadProperties | undefined {
  if (cursor.left === 0) return undefined
  checkReasonCode(cursor, DISCONNECT_CODES)
  const properties = cursor.left > 0 ? readProperties(cursor, 'disconnect') : undefined
  checkNothingLeft(cursor)
  return properties
}

function checkAuth(cursor: Cursor): ReadProperties | undefined {
  // Without a reason code it means success, which only a server says [MQTT5-3.15.2.1].
  if (cursor.left === 0) return cursor.fail(RC.protocol_error, 'AUTH from a client has reason code success')
  checkReasonCode(cursor, AUTH_CODES)
  const properties = readProperties(cursor, 'auth')
  if (properties === undefined) cursor.fail(RC.protocol_error, 'AUTH without authentication method')
  checkNothingLeft(cursor)
  return properties
}

function checkReasonCode(cursor: Cursor, codes: ReadonlySet<number>): void {
  const code = cursor.byte('reason code')
  if (!codes.has(code)) cursor.fail(RC.protocol_error, 'reason code is not for a client to send in this packet')
}

function checkFilter(cursor: Cursor): string {
  const filter = cursor.string('topic filter')
  const fault = topicFilterFault(filter)
  if (fault !== undefined) cursor.fail(RC.topic_filter_invalid, fault)
  return filter
}

function checkFlags(cursor: Cursor, flags: number, required: number): void {
  // [MQTT5-2.1.3-1] [MQTT311-2.2.2-2]
  if (flags !== required) cursor.fail(RC.malformed_packet, 'fixed header has reserved bits set')
}

function checkNothingLeft(cursor: Cursor): undefined {
  if (cursor.left > 0) cursor.fail(RC.malformed_packet, 'packet has trailing bytes')
}
