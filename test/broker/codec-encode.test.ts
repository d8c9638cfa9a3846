import mqttPacket, { type Packet as RarePacket } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import {
  encodeAck,
  encodeBatch,
  encodeBatchWithin,
  encodePublish,
  publishBytes,
} from '../../src/broker/codec/encode.ts'
import { encode } from '../../src/broker/codec.ts'
import { Batch, type Message } from '../../src/broker/message.ts'
import type { ConnackPacket, Packet, ProtocolVersion, SubackPacket } from '../../src/broker/packet.ts'
import type { OutPublish } from '../../src/broker/process-messages.ts'
import { RC } from '../../src/broker/reason-codes.ts'
import { accepted } from './codec-frames.ts'

function message(fields: Partial<Message> = {}): Message {
  return {
    id: '1',
    from: 'publisher',
    topic: 'a/b',
    payload: Buffer.from('data'),
    qos: 1,
    retain: false,
    publishedAtMs: 0,
    expiresAtMs: Infinity,
    properties: undefined,
    ...fields,
  }
}

function out(fields: Partial<OutPublish> = {}): OutPublish {
  return {
    cmd: 'publish',
    message: message(),
    qos: 1,
    retain: false,
    dup: false,
    messageId: 7,
    ids: undefined,
    ...fields,
  }
}

/** Reads frames as a client would. */
function read(bytes: Buffer, version: ProtocolVersion): RarePacket[] {
  const packets: RarePacket[] = []
  const parser = mqttPacket.parser({ protocolVersion: version })
  parser.on('packet', (packet) => packets.push(packet))
  parser.on('error', (error: Error) => {
    throw error
  })
  expect(parser.parse(bytes)).toBe(0)
  return packets
}

describe('encodeBatch', () => {
  it('gives the frames of all messages at QoS 0', () => {
    const batch = new Batch([
      message(),
      message({ payload: Buffer.alloc(0) }),
      message({ payload: Buffer.alloc(300, 'x') }),
    ])
    for (const version of [3, 4, 5] as const) {
      const packets = read(encodeBatch(batch, version, 0), version)
      expect(packets.map((packet) => packet.length)).toEqual(version === 5 ? [10, 6, 306] : [9, 5, 305])
      for (const packet of packets) expect(packet).toMatchObject({ topic: 'a/b', qos: 0, retain: false, dup: false })
    }
  })

  it('encodes once for all subscribers of a version, 3.1 and 3.1.1 together', () => {
    const batch = new Batch([message()])
    const first = encodeBatch(batch, 4, 0)
    expect(encodeBatch(batch, 4, 99)).toBe(first)
    expect(encodeBatch(batch, 3, 0)).toBe(first)
    const mqtt5 = encodeBatch(batch, 5, 0)
    expect(mqtt5).not.toBe(first)
    expect(encodeBatch(batch, 5, 99_999)).toBe(mqtt5)
  })

  it('counts the expiry of each message down, and shares what is sent in the same second', () => {
    const batch = new Batch([message({ expiresAtMs: 10_000 }), message(), message({ expiresAtMs: 60_000 })])
    const secondsAt = (nowMs: number): unknown[] =>
      read(encodeBatch(batch, 5, nowMs), 5).map((packet) =>
        'properties' in packet
          ? (packet.properties as { messageExpiryInterval: number }).messageExpiryInterval
          : undefined,
      )
    expect(secondsAt(0)).toEqual([10, undefined, 60])
    expect(secondsAt(1)).toEqual([10, undefined, 60])
    expect(secondsAt(1000)).toEqual([9, undefined, 59])
    expect(secondsAt(9999)).toEqual([1, undefined, 51])
    expect(secondsAt(20_500)).toEqual([0, undefined, 40])
    expect(secondsAt(30_500)).toEqual([0, undefined, 30])
    expect(encodeBatch(batch, 5, 1200)).toBe(encodeBatch(batch, 5, 1900))
    expect(encodeBatch(batch, 5, 1200)).not.toBe(encodeBatch(batch, 5, 2000))
    expect(encodeBatch(batch, 4, 1200)).toBe(encodeBatch(batch, 4, 90_000))
  })

  it('shares nothing but the same instant when the messages do not count down in step', () => {
    const batch = new Batch([message({ expiresAtMs: 10_000 }), message({ expiresAtMs: 10_300 })])
    const seconds = (nowMs: number): unknown[] =>
      read(encodeBatch(batch, 5, nowMs), 5).map((packet) => (packet as { properties?: unknown }).properties)
    expect(seconds(1000)).toEqual([{ messageExpiryInterval: 9 }, { messageExpiryInterval: 10 }])
    expect(seconds(1300)).toEqual([{ messageExpiryInterval: 9 }, { messageExpiryInterval: 9 }])
    expect(encodeBatch(batch, 5, 1300)).toBe(encodeBatch(batch, 5, 1300))
  })

  it('keeps few encodings of a batch that is sent over a long time', () => {
    const batch = new Batch([message({ expiresAtMs: 1_000_000 })])
    for (let nowMs = 0; nowMs < 100_000; nowMs += 1000) encodeBatch(batch, 5, nowMs)
    expect(batch.wire!.size).toBeLessThanOrEqual(8)
  })

  it('leaves out what is too large for a client, and only that', () => {
    const batch = new Batch([
      message(),
      message({ payload: Buffer.alloc(200) }),
      message({ payload: Buffer.from('end') }),
    ])
    const all = encodeBatch(batch, 4, 0)
    expect(encodeBatchWithin(batch, 4, 0, Infinity)).toEqual({ bytes: all, dropped: 0 })
    expect(encodeBatchWithin(batch, 4, 0, 208)).toEqual({ bytes: all, dropped: 0 })
    const { bytes, dropped } = encodeBatchWithin(batch, 4, 0, 207)
    expect(dropped).toBe(1)
    expect(read(bytes, 4).map((packet) => String((packet as { payload: Buffer }).payload))).toEqual(['data', 'end'])
    expect(encodeBatchWithin(batch, 4, 0, 5)).toEqual({ bytes: Buffer.alloc(0), dropped: 3 })
    expect(encodeBatch(batch, 4, 0)).toBe(all)
  })
})

describe('encodePublish', () => {
  it('patches id, DUP, QoS and expiry into what it encoded for the first subscriber', () => {
    const shared = message({ expiresAtMs: 30_000, topic: 'ä', properties: { contentType: 'x'.repeat(150) } })
    for (const version of [4, 5] as const) {
      for (const [messageId, qos, nowMs] of [
        [1, 1, 0],
        [65_535, 2, 1000],
        [256, 1, 2500],
      ] as const) {
        const bytes = encodePublish(out({ message: shared, messageId, qos }), version, nowMs)
        const [packet] = read(bytes, version)
        expect(packet).toMatchObject({ topic: 'ä', messageId, qos, dup: false, retain: false })
        expect(bytes.length).toBe(publishBytes(out({ message: shared, messageId, qos }), version))
        if (version === 5)
          expect(packet).toMatchObject({ properties: { messageExpiryInterval: Math.ceil(30 - nowMs / 1000) } })
      }
      const again = encodePublish(out({ message: shared, dup: true, messageId: 5 }), version, 0)
      expect(read(again, version)).toMatchObject([{ dup: true, messageId: 5 }])
    }
  })

  it('takes no bytes of a message over into a changed copy of it', () => {
    const original = message()
    encodePublish(out({ message: original }), 4, 0)
    const copy = { ...original, topic: 'other', payload: Buffer.from('changed') }
    expect(read(encodePublish(out({ message: copy }), 4, 0), 4)).toMatchObject([{ topic: 'other' }])
    expect(read(encodePublish(out({ message: original }), 4, 0), 4)).toMatchObject([{ topic: 'a/b' }])
  })

  it('encodes a frozen message, and one too large for a template', () => {
    const frozen = Object.freeze(message())
    const large = message({ payload: Buffer.alloc(5000, 'x') })
    for (const each of [frozen, frozen, large, large]) {
      expect(read(encodePublish(out({ message: each }), 5, 0), 5)).toMatchObject([
        { payload: each.payload, messageId: 7 },
      ])
    }
  })

  it('adds subscription identifiers and the alias of one subscriber in 5.0 only', () => {
    const both = out({ ids: [1, 200], qos: 0, retain: true, messageId: 0 })
    const alias = { alias: 9, topic: true }
    expect(read(encodePublish(both, 5, 0, alias), 5)).toMatchObject([
      { topic: 'a/b', retain: true, qos: 0, properties: { subscriptionIdentifier: [1, 200], topicAlias: 9 } },
    ])
    expect(read(encodePublish(both, 5, 0, { alias: 9, topic: false }), 5)).toMatchObject([{ topic: '' }])
    expect(read(encodePublish(both, 4, 0, { alias: 9, topic: false }), 4)).toMatchObject([{ topic: 'a/b' }])
    expect(encodePublish(both, 5, 0, alias).length).toBe(publishBytes(both, 5, alias))
  })

  it('keeps the order of user properties, also when a hook has changed them', () => {
    const userProperties = { a: ['1', '3'], b: '2' }
    const order = { userProperties, userPropertyOrder: ['a', 'b', 'a'] }
    const bytes = encodePublish(out({ message: message({ properties: order }) }), 5, 0)
    const pairs = ['a', '1', 'b', '2', 'a', '3']
    expect(
      bytes.includes(Buffer.concat([0, 2, 4].map((i) => Buffer.from(`&\0\x01${pairs[i]}\0\x01${pairs[i + 1]}`)))),
    ).toBe(true)
    expect(accepted(5, bytes)).toMatchObject({ properties: order })
    const changed = { userProperties: { a: '1', c: ['4', '5'] }, userPropertyOrder: ['a', 'b', 'a', 'c'] }
    expect(accepted(5, encodePublish(out({ message: message({ properties: changed }) }), 5, 0))).toMatchObject({
      properties: { userProperties: { a: '1', c: ['4', '5'] } },
    })
  })

  it('throws when an id is missing', () => {
    expect(() => encodePublish(out({ messageId: 0 }), 4, 0)).toThrow(RangeError)
  })
})

describe('encodeAck', () => {
  it.each(['puback', 'pubrec', 'pubrel', 'pubcomp'] as const)('writes a %s as mqtt-packet does', (cmd) => {
    for (const version of [3, 4, 5] as const) {
      for (const reasonCode of [
        RC.success,
        cmd === 'puback' || cmd === 'pubrec' ? RC.quota_exceeded : RC.packet_identifier_not_found,
      ]) {
        expect(read(encodeAck(cmd, 513, reasonCode, version), version)).toMatchObject([
          version === 5 ? { cmd, messageId: 513, reasonCode } : { cmd, messageId: 513 },
        ])
      }
    }
  })
})

describe('encode', () => {
  const connack: ConnackPacket = {
    cmd: 'connack',
    sessionPresent: true,
    reasonCode: 0,
    properties: { reasonString: 'r'.repeat(50), userProperties: { k: 'v'.repeat(50) }, receiveMaximum: 3 },
  }
  const suback: SubackPacket = { cmd: 'suback', messageId: 1, granted: [0, 0x80], properties: { reasonString: 'why' } }

  it('writes every packet that a server sends', () => {
    const packets: Packet[] = [
      connack,
      { cmd: 'publish', topic: 't', payload: Buffer.from('p'), qos: 1, retain: true, dup: true, messageId: 3 },
      { cmd: 'puback', messageId: 1, reasonCode: RC.not_authorized, properties: { reasonString: 'no' } },
      { cmd: 'pubrel', messageId: 1 },
      suback,
      { cmd: 'unsuback', messageId: 1, granted: [0, RC.no_subscription_existed] },
      { cmd: 'pingresp' },
      { cmd: 'disconnect', reasonCode: RC.session_taken_over, properties: { serverReference: 'n2' } },
      { cmd: 'auth', reasonCode: RC.continue_authentication, properties: { authenticationMethod: 'm' } },
    ]
    for (const packet of packets) expect(read(encode(packet, 5)!, 5)).toMatchObject([packet])
    const { properties: _, ...bare } = suback
    expect(read(encode(suback, 4)!, 4)).toMatchObject([bare])
    expect(encode({ cmd: 'connack', sessionPresent: false, returnCode: 5 }, 4)).toEqual(Buffer.from([0x20, 2, 0, 5]))
    expect(encode({ cmd: 'unsuback', messageId: 2 }, 4)).toEqual(Buffer.from([0xb0, 2, 0, 2]))
  })

  it('writes a packet whose user properties are empty', () => {
    const empty: Packet = { cmd: 'suback', messageId: 1, granted: [0], properties: { userProperties: {} } }
    expect(encode(empty, 5)).toEqual(Buffer.from([0x90, 4, 0, 1, 0, 0]))
  })

  it('throws on what cannot be written', () => {
    expect(() =>
      encode({ cmd: 'suback', messageId: 1, granted: [], properties: { reasonString: 7 as never } }, 5),
    ).toThrow()
    expect(() => encode({ cmd: 'unsuback', messageId: 1 }, 5)).toThrow()
  })

  it.each([126, 127, 128, 16_382, 16_383, 16_384, 2_097_151, 2_097_152])(
    'writes a remaining length of %i',
    (length) => {
      const payload = Buffer.alloc(length - 3, 'x')
      const publish = { cmd: 'publish', topic: 't', payload, qos: 0, retain: false, dup: false } as const
      expect(encode(publish, 4)!.equals(mqttPacket.generate(publish))).toBe(true)
    },
  )

  it('leaves out what a client did not ask to hear, but for CONNACK, PUBLISH and DISCONNECT', () => {
    const limits = { maxPacketBytes: Infinity, problemInformation: false }
    expect(encode(suback, 5, limits)).toEqual(Buffer.from([0x90, 5, 0, 1, 0, 0, 0x80]))
    expect(encode(connack, 5, limits)).toEqual(encode(connack, 5))
    const ack: Packet = { cmd: 'puback', messageId: 1, reasonCode: 0x87, properties: { userProperties: { k: 'v' } } }
    expect(encode(ack, 5, limits)).toEqual(encodeAck('puback', 1, 0x87, 5))
    expect(suback.properties).toEqual({ reasonString: 'why' })
  })

  it('leaves out user properties, then the reason string, then the packet, as a client has room', () => {
    const sent = (maxPacketBytes: number): unknown => {
      const bytes = encode(connack, 5, { maxPacketBytes, problemInformation: true })
      return bytes === undefined ? undefined : Object.keys((read(bytes, 5)[0] as ConnackPacket).properties!).sort()
    }
    expect(sent(200)).toEqual(['reasonString', 'receiveMaximum', 'userProperties'])
    expect(sent(100)).toEqual(['reasonString', 'receiveMaximum'])
    expect(sent(20)).toEqual(['receiveMaximum'])
    expect(sent(7)).toBeUndefined()
  })

  it('sends no PUBLISH that is too large', () => {
    const publish: Packet = { cmd: 'publish', topic: 't', payload: Buffer.alloc(10), qos: 0, retain: false, dup: false }
    expect(encode(publish, 4, { maxPacketBytes: 14, problemInformation: true })).toBeUndefined()
    expect(encode(publish, 4, { maxPacketBytes: 15, problemInformation: true })).toHaveLength(15)
  })
})
