/**
 * Reads the properties of a 5.0 packet that a client sent, with all checks of [MQTT5-2.2.2] and of the single properties.
 *
 * `mqtt-packet` reads properties too, but takes any property in any packet, any value and any repetition, loses an empty
 * user property that is repeated, and the order among user properties of different names; so its reading is replaced by
 * this one.
 */

import type { PublishProperties, UserProperties, WillProperties } from '../packet.ts'
import { RC } from '../reason-codes.ts'
import type { Cursor } from './cursor.ts'
import { topicNameFault } from './topic-syntax.ts'

/** Every property that a client may send; which of them can be set depends on the packet. */
export interface ReadProperties extends Omit<PublishProperties, 'subscriptionIdentifier'>, WillProperties {
  sessionExpiryInterval?: number
  receiveMaximum?: number
  maximumPacketSize?: number
  topicAliasMaximum?: number
  requestResponseInformation?: boolean
  requestProblemInformation?: boolean
  authenticationMethod?: string
  authenticationData?: Buffer
  subscriptionIdentifier?: number
  reasonString?: string
}

/** Where properties stand: the packet type, or the will within CONNECT. */
export type PropertyPlace = 'connect' | 'will' | 'publish' | 'ack' | 'subscribe' | 'unsubscribe' | 'disconnect' | 'auth'

type Kind = 'boolean' | 'uint16' | 'uint32' | 'varint' | 'string' | 'binary'

interface Row {
  readonly name: keyof ReadProperties | 'serverReference'
  readonly kind: Kind
  readonly places: readonly PropertyPlace[]
  /** Packets in which only a server may send it. */
  readonly serverPlaces?: readonly PropertyPlace[]
  /** Reason code for the value 0, where that is forbidden. */
  readonly zeroIs?: number
}

/** Identifier of the user property, the only one that may be repeated in each packet; it is allowed in all of them. */
export const USER_PROPERTY = 0x26

/** Identifiers of the properties of PUBLISH [MQTT5-3.3.2.3]. */
export const PUBLISH_PROPERTY = {
  payloadFormatIndicator: 0x01,
  messageExpiryInterval: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionIdentifier: 0x0b,
  topicAlias: 0x23,
} as const

const ROWS = new Map<number, Row>([
  [
    PUBLISH_PROPERTY.payloadFormatIndicator,
    { name: 'payloadFormatIndicator', kind: 'boolean', places: ['publish', 'will'] },
  ],
  [
    PUBLISH_PROPERTY.messageExpiryInterval,
    { name: 'messageExpiryInterval', kind: 'uint32', places: ['publish', 'will'] },
  ],
  [PUBLISH_PROPERTY.contentType, { name: 'contentType', kind: 'string', places: ['publish', 'will'] }],
  [PUBLISH_PROPERTY.responseTopic, { name: 'responseTopic', kind: 'string', places: ['publish', 'will'] }],
  [PUBLISH_PROPERTY.correlationData, { name: 'correlationData', kind: 'binary', places: ['publish', 'will'] }],
  [
    PUBLISH_PROPERTY.subscriptionIdentifier,
    // [MQTT5-3.3.4-6] for PUBLISH; [MQTT5-3.8.2.1.2] for 0.
    {
      name: 'subscriptionIdentifier',
      kind: 'varint',
      places: ['subscribe'],
      serverPlaces: ['publish'],
      zeroIs: RC.protocol_error,
    },
  ],
  [0x11, { name: 'sessionExpiryInterval', kind: 'uint32', places: ['connect', 'disconnect'] }],
  [0x15, { name: 'authenticationMethod', kind: 'string', places: ['connect', 'auth'] }],
  [0x16, { name: 'authenticationData', kind: 'binary', places: ['connect', 'auth'] }],
  [0x17, { name: 'requestProblemInformation', kind: 'boolean', places: ['connect'] }],
  [0x18, { name: 'willDelayInterval', kind: 'uint32', places: ['will'] }],
  [0x19, { name: 'requestResponseInformation', kind: 'boolean', places: ['connect'] }],
  [0x1c, { name: 'serverReference', kind: 'string', places: [], serverPlaces: ['disconnect'] }],
  [0x1f, { name: 'reasonString', kind: 'string', places: ['ack', 'disconnect', 'auth'] }],
  [0x21, { name: 'receiveMaximum', kind: 'uint16', places: ['connect'], zeroIs: RC.protocol_error }],
  [0x22, { name: 'topicAliasMaximum', kind: 'uint16', places: ['connect'] }],
  [
    PUBLISH_PROPERTY.topicAlias,
    { name: 'topicAlias', kind: 'uint16', places: ['publish'], zeroIs: RC.topic_alias_invalid },
  ], // [MQTT5-3.3.2-8]
  [0x27, { name: 'maximumPacketSize', kind: 'uint32', places: ['connect'], zeroIs: RC.protocol_error }],
])

/** Reads the property length and the properties; returns undefined when there are none, or after a fault. */
export function readProperties(cursor: Cursor, place: PropertyPlace): ReadProperties | undefined {
  const length = cursor.varInt('property length')
  if (length > cursor.left) cursor.fail(RC.malformed_packet, 'properties are longer than the packet')
  if (length === 0 || cursor.fault !== undefined) return undefined
  const packetEnd = cursor.end
  cursor.end = cursor.at + length
  const properties: ReadProperties = {}
  const userPairs: string[] = []
  while (cursor.left > 0) {
    const id = cursor.varInt('property identifier')
    if (id === USER_PROPERTY) userPairs.push(cursor.string('user property'), cursor.string('user property'))
    else readProperty(cursor, id, place, properties)
  }
  if (cursor.fault !== undefined) return undefined
  cursor.end = packetEnd
  if (userPairs.length > 0) addUserProperties(properties, userPairs)
  checkTogether(cursor, properties, place)
  return properties
}

function readProperty(cursor: Cursor, id: number, place: PropertyPlace, into: ReadProperties): undefined {
  const row = ROWS.get(id)
  if (row?.serverPlaces?.includes(place)) {
    return cursor.fail(RC.protocol_error, `${row.name} is not for a client to send in ${place}`)
  }
  if (!row?.places.includes(place)) {
    // [MQTT5-2.2.2.2]: an identifier that is not valid for the packet type makes the packet malformed.
    return cursor.fail(RC.malformed_packet, `property ${row?.name ?? `0x${id.toString(16)}`} is unknown in ${place}`)
  }
  if (row.name in into) return cursor.fail(RC.protocol_error, `${row.name} occurs twice`)
  const value = readValue(cursor, row)
  if (value === 0 && row.zeroIs !== undefined) return cursor.fail(row.zeroIs, `${row.name} is 0`)
  ;(into as Record<string, unknown>)[row.name] = value
}

function readValue(cursor: Cursor, row: Row): unknown {
  switch (row.kind) {
    case 'boolean': {
      const value = cursor.byte(row.name)
      if (value > 1) cursor.fail(RC.protocol_error, `${row.name} is neither 0 nor 1`)
      return value === 1
    }
    case 'uint16':
      return cursor.uint16(row.name)
    case 'uint32':
      return cursor.uint32(row.name)
    case 'varint':
      return cursor.varInt(row.name)
    case 'string':
      return cursor.string(row.name)
    case 'binary':
      return cursor.binary(row.name)
  }
}

function checkTogether(cursor: Cursor, properties: ReadProperties, place: PropertyPlace): void {
  if (properties.responseTopic !== undefined) {
    const fault = topicNameFault(properties.responseTopic) // [MQTT5-3.3.2-14]
    if (fault !== undefined) cursor.fail(RC.protocol_error, `response topic: ${fault}`)
  }
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    cursor.fail(RC.protocol_error, 'authentication data without authentication method') // [MQTT5-3.1.2.11.10]
  }
  if (place === 'auth' && properties.authenticationMethod === undefined) {
    cursor.fail(RC.protocol_error, 'AUTH without authentication method') // [MQTT5-3.15.2.2.2]
  }
}

/** Adds the pairs (name, value, name, value, …) to `properties`. */
function addUserProperties(properties: ReadProperties, pairs: readonly string[]): void {
  // Without a prototype: the names are the client's, `__proto__` among them.
  const record: UserProperties = Object.create(null)
  const names: string[] = []
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i]!
    const value = pairs[i + 1]!
    names.push(name)
    const before = record[name]
    if (before === undefined) record[name] = value
    else if (typeof before === 'string') record[name] = [before, value]
    else before.push(value)
  }
  properties.userProperties = record
  if (!isOwnOrder(record, names)) properties.userPropertyOrder = names
}

/** Whether walking the record gives the names in this order; not so for `a b a`, nor for names like `7`, which JavaScript puts first. */
function isOwnOrder(record: UserProperties, names: readonly string[]): boolean {
  let i = 0
  for (const name of Object.keys(record)) {
    const values = record[name]!
    const count = typeof values === 'string' ? 1 : values.length
    for (let n = 0; n < count; n++) if (names[i++] !== name) return false
  }
  return true
}
