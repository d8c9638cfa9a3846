/**
 * Decodes by hand the packets that make up nearly all traffic: PUBLISH, its four acknowledgements when they say no more
 * than success, and PINGREQ. Anything else, and anything that is not right, is answered with undefined and goes the long
 * way (validate.ts), so that there is one behaviour for errors. The checks here are those of the long way.
 */

import type { AckPacket, Packet, ProtocolVersion, PublishPacket, PublishProperties, QoS } from '../packet.ts'
import { Cursor, textFault } from './cursor.ts'
import { readProperties } from './properties.ts'
import { MQTT5, PACKET_TYPE } from './validate.ts'

const TOPIC_SLOTS = 4
const MAX_KEPT_TOPIC = 256
const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23

/**
 * Topic names that a connection used last, so that its next PUBLISH to one of them makes no new string: comparing bytes is
 * cheaper, and the routing table finds a string that it has hashed before. A name is kept when it comes for the second
 * time, so that a client that publishes to ever new topics pays nothing for it.
 */
export class RecentTopics {
  readonly #bytes: (Uint8Array | undefined)[] = new Array<undefined>(TOPIC_SLOTS).fill(undefined)
  readonly #names: string[] = new Array<string>(TOPIC_SLOTS).fill('')
  /** Hash of the name that came last to the slot without being kept. */
  readonly #candidates: number[] = new Array<number>(TOPIC_SLOTS).fill(0)

  /** Returns the topic name in `bytes`, undefined when it is empty or not one that may be published to. */
  read(bytes: Buffer, from: number, to: number): string | undefined {
    const length = to - from
    if (length === 0) return undefined
    const slot = (length + bytes[to - 1]!) % TOPIC_SLOTS
    const recent = this.#bytes[slot]
    if (recent !== undefined && recent.length === length && isSame(recent, bytes, from)) return this.#names[slot]
    return this.#readNew(bytes, from, to, slot)
  }

  #readNew(bytes: Buffer, from: number, to: number, slot: number): string | undefined {
    let high = 0
    let hash = 0
    for (let i = from; i < to; i++) {
      const byte = bytes[i]!
      if (byte < SLASH && (byte === 0 || byte === PLUS || byte === HASH)) return undefined
      high |= byte
      hash = Math.imul(hash, 31) + byte
    }
    if (high >= 0x80 && textFault(bytes, from, to) !== undefined) return undefined
    const topic = bytes.toString(high < 0x80 ? 'latin1' : 'utf8', from, to)
    if (hash !== this.#candidates[slot]) this.#candidates[slot] = hash
    else if (topic.length <= MAX_KEPT_TOPIC) {
      this.#bytes[slot] = Uint8Array.prototype.slice.call(bytes, from, to)
      this.#names[slot] = topic
    }
    return topic
  }
}

/** Compares from the end, where topics differ most. */
function isSame(topic: Uint8Array, bytes: Buffer, from: number): boolean {
  for (let i = topic.length - 1; i >= 0; i--) if (topic[i] !== bytes[from + i]) return false
  return true
}

/** Returns the acknowledgement or PINGREQ whose first byte is `first` and whose rest is `bytes[body..end)`, or undefined. */
export function decodeShort(
  bytes: Buffer,
  first: number,
  body: number,
  end: number,
  version: ProtocolVersion,
): Packet | undefined {
  switch (first >> 4) {
    case PACKET_TYPE.puback:
      return first === 0x40 ? decodeAck('puback', bytes, body, end, version) : undefined
    case PACKET_TYPE.pubrec:
      return first === 0x50 ? decodeAck('pubrec', bytes, body, end, version) : undefined
    case PACKET_TYPE.pubrel:
      return first === 0x62 ? decodeAck('pubrel', bytes, body, end, version) : undefined
    case PACKET_TYPE.pubcomp:
      return first === 0x70 ? decodeAck('pubcomp', bytes, body, end, version) : undefined
    case PACKET_TYPE.pingreq:
      return first === 0xc0 && body === end ? { cmd: 'pingreq' } : undefined
    default:
      return undefined
  }
}

/** Returns the PUBLISH whose first byte is `first` and whose rest is `bytes[body..end)`, or undefined. The payload is a view. */
export function decodePublish(
  bytes: Buffer,
  first: number,
  body: number,
  end: number,
  version: ProtocolVersion,
  topics: RecentTopics,
): PublishPacket | undefined {
  const qos = (first >> 1) & 3
  const dup = (first & 8) !== 0
  if (qos === 3 || (qos === 0 && dup) || end - body < 2) return undefined
  const topicEnd = body + 2 + ((bytes[body]! << 8) | bytes[body + 1]!)
  let at = topicEnd
  let messageId = 0
  if (qos > 0) {
    at += 2
    if (at > end) return undefined
    messageId = (bytes[topicEnd]! << 8) | bytes[topicEnd + 1]!
    if (messageId === 0) return undefined
  }
  let properties: PublishProperties | undefined
  if (version === MQTT5) {
    if (at >= end) return undefined
    if (bytes[at] === 0) at++
    else {
      const cursor = new Cursor(bytes, at, end)
      properties = readProperties(cursor, 'publish')
      if (cursor.fault !== undefined) return undefined
      at = cursor.at
    }
  }
  if (at > end) return undefined
  const isAlias = properties?.topicAlias !== undefined && topicEnd === body + 2
  const topic = isAlias ? '' : topics.read(bytes, body + 2, topicEnd)
  if (topic === undefined) return undefined
  const payload = bytes.subarray(at, end)
  const retain = (first & 1) !== 0
  const packet: PublishPacket =
    qos === 0
      ? { cmd: 'publish', topic, payload, qos: 0, retain, dup: false }
      : { cmd: 'publish', topic, payload, qos: qos as QoS, retain, dup, messageId }
  if (properties !== undefined) packet.properties = properties
  return packet
}

function decodeAck(
  cmd: AckPacket['cmd'],
  bytes: Buffer,
  body: number,
  end: number,
  version: ProtocolVersion,
): AckPacket | undefined {
  const length = end - body
  // 5.0 may spell out success and no properties: 00, or 00 00.
  const isPlain =
    length === 2 ||
    (version === MQTT5 && length < 5 && length > 2 && bytes[body + 2] === 0 && (length === 3 || bytes[body + 3] === 0))
  if (!isPlain) return undefined
  const messageId = (bytes[body]! << 8) | bytes[body + 1]!
  return messageId === 0 ? undefined : { cmd, messageId, reasonCode: 0 }
}
