/**
 * MQTT 5.0, sections 1.5 and 2: strings, integers, fixed header, packet identifiers, properties.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import {
  BAD_STRINGS,
  connectBytes,
  field,
  frame,
  properties,
  property,
  publishBytes,
  raw,
  subscribeBytes,
  u16,
  u32,
  unsubscribeBytes,
  userProperty,
} from '../support/bytes.ts'

const mqtt = useBroker(5)

/** Reason codes with which a string may be refused: malformed, protocol error, or the field's own. */
const MALFORMED = [0x81, 0x82, 0x85, 0x86, 0x87, 0x8f, 0x90, 0x99]

const connectPayload = (...parts: Array<string | Buffer>): Buffer => Buffer.concat(parts.map((part) => field(part)))
const willPayload = (willProperties: Buffer, topic: string | Buffer): Buffer =>
  Buffer.concat([field('will'), properties(willProperties), field(topic), field('m')])

/** Every string field, in the packet that has it. */
const WITH_STRING: ReadonlyArray<readonly [string, (bytes: Buffer) => Buffer, isConnect?: boolean]> = [
  ['client id', (bytes) => connectBytes({ level: 5, payload: field(bytes) }), true],
  ['will topic', (bytes) => connectBytes({ level: 5, flags: 6, payload: willPayload(raw(), bytes) }), true],
  ['user name', (bytes) => connectBytes({ level: 5, flags: 0x82, payload: connectPayload('u', bytes) }), true],
  [
    'user property of CONNECT',
    (bytes) => connectBytes({ level: 5, properties: properties(userProperty('n', bytes)) }),
    true,
  ],
  [
    'authentication method',
    (bytes) => connectBytes({ level: 5, properties: properties(property(21, field(bytes))) }),
    true,
  ],
  [
    'content type of a will',
    (bytes) => connectBytes({ level: 5, flags: 6, payload: willPayload(property(3, field(bytes)), 't') }),
    true,
  ],
  [
    'response topic of a will',
    (bytes) => connectBytes({ level: 5, flags: 6, payload: willPayload(property(8, field(bytes)), 't') }),
    true,
  ],
  ['topic name', (bytes) => publishBytes(5, bytes)],
  ['content type', (bytes) => publishBytes(5, 'a', { properties: properties(property(3, field(bytes))) })],
  ['response topic', (bytes) => publishBytes(5, 'a', { properties: properties(property(8, field(bytes))) })],
  ['user property name', (bytes) => publishBytes(5, 'a', { properties: properties(userProperty(bytes, 'v')) })],
  ['user property value', (bytes) => publishBytes(5, 'a', { properties: properties(userProperty('n', bytes)) })],
  ['filter of SUBSCRIBE', (bytes) => subscribeBytes(5, [[bytes, 0]])],
  [
    'user property of SUBSCRIBE',
    (bytes) => subscribeBytes(5, [['a', 0]], { properties: properties(userProperty('n', bytes)) }),
  ],
  ['filter of UNSUBSCRIBE', (bytes) => unsubscribeBytes(5, [bytes])],
  ['reason string of DISCONNECT', (bytes) => frame(0xe0, raw(0), properties(property(31, field(bytes))))],
]

describe('1.5 data representation', () => {
  for (const [place, packet, isConnect = false] of WITH_STRING) {
    const isUserProperty = place.startsWith('user property')
    const ids = isUserProperty ? '[MQTT-1.5.7-1] [MQTT-1.5.4-1] [MQTT-1.5.4-2]' : '[MQTT-1.5.4-1] [MQTT-1.5.4-2]'
    statement(`${ids} a ${place} that is no valid string closes the connection`, async () => {
      for (const [, bytes] of BAD_STRINGS) {
        const client = isConnect ? await mqtt.socket() : await mqtt.client()
        client.sendBytes(packet(bytes))
        await client.expectClosed(MALFORMED)
      }
    })
  }

  statement(
    '[MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] a bad string in a user property of PUBLISH reaches nobody',
    async () => {
      const topic = mqtt.topic()
      const reader = await mqtt.client()
      await reader.subscribe(topic)
      for (const [, bytes] of BAD_STRINGS) {
        const client = await mqtt.client()
        client.sendBytes(publishBytes(5, topic, { properties: properties(userProperty('n', bytes)) }))
        await client.expectClosed(MALFORMED)
      }
      await reader.expectNothing()
    },
  )

  statement('[MQTT-1.5.4-3] a byte order mark is a character like any other', async () => {
    const client = await mqtt.client()
    const topic = `\u{FEFF}${mqtt.topic()}\u{FEFF}`
    await client.subscribe(topic)
    await client.subscribe(topic.slice(1))
    client.sendPublish(topic, { properties: { contentType: '\u{FEFF}text' } })
    const packet = await client.expectPublish()
    expect(packet.bytes.includes(Buffer.from(topic))).toBe(true)
    expect(packet.bytes.includes(field('\u{FEFF}text'))).toBe(true)
    await client.expectNothing()
  })

  statement('[MQTT-1.5.5-1] a variable byte integer of five bytes closes the connection', async () => {
    for (const bytes of [
      raw(0x30, 0xff, 0xff, 0xff, 0xff, 0x01),
      raw(0xc0, 0x80, 0x80, 0x80, 0x80, 0x00),
      frame(0x30, field('a'), raw(0xff, 0xff, 0xff, 0xff, 0x01)),
      frame(0x82, u16(1), raw(6, 0x0b, 0xff, 0xff, 0xff, 0xff, 0x01), field('a'), raw(0)),
    ]) {
      const client = await mqtt.client()
      client.sendBytes(bytes)
      await client.expectClosed([0x81, 0x82, 0x95])
    }
  })

  statement('[MQTT-1.5.5-1] the server writes lengths in their shortest form', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    const publisher = await mqtt.client()
    for (const size of [0, 127 - 3 - topic.length, 128 - 3 - topic.length, 16_383 - 3 - topic.length, 16_384]) {
      await publisher.publish(topic, { payload: Buffer.alloc(size) })
      const packet = await reader.expectPublish()
      const length = packet.bytes.length
      expect(packet.bytes.equals(frame(0x30, packet.bytes.subarray(length - (2 + topic.length + 1 + size))))).toBe(true)
    }
  })
})

describe('2 packet format', () => {
  const FLAGGED: ReadonlyArray<readonly [string, number, Buffer]> = [
    ['PUBACK', 0x41, u16(1)],
    ['PUBREC', 0x52, u16(1)],
    ['PUBREL', 0x60, u16(1)],
    ['PUBCOMP', 0x78, u16(1)],
    ['SUBSCRIBE', 0x80, Buffer.concat([u16(1), raw(0), field('a'), raw(0)])],
    ['UNSUBSCRIBE', 0xa0, Buffer.concat([u16(1), raw(0), field('a')])],
    ['PINGREQ', 0xc1, raw()],
    ['DISCONNECT', 0xe1, raw()],
    ['AUTH', 0xf1, raw()],
  ]
  for (const [name, first, body] of FLAGGED) {
    statement(
      `[MQTT-2.1.3-1] ${name} with other flags than its own closes the connection`,
      async () => {
        const client = await mqtt.client()
        client.sendBytes(frame(first, body))
        await client.expectClosed([0x81, 0x82])
      },
      { mosquitto: 'ignores the flags of PUBACK, PUBREC, PUBCOMP and PINGREQ' },
    )
  }

  statement('[MQTT-2.1.3-1] CONNECT with flags closes the connection', async () => {
    const client = await mqtt.socket()
    client.sendBytes(connectBytes({ level: 5, first: 0x12 }))
    await client.expectClosed([0x81, 0x82])
  })

  statement('[MQTT-2.2.1-2] a PUBLISH at QoS 0 has no packet identifier', async () => {
    const client = await mqtt.client()
    const topic = mqtt.topic()
    await client.subscribe(topic, 2)
    client.sendBytes(publishBytes(5, topic, { payload: raw(0, 7) }))
    const packet = await client.expectPublish({ qos: 0, payload: Buffer.from([0, 7]) })
    expect(packet.bytes.length).toBe(2 + 2 + topic.length + 1 + 2)
  })

  statement('[MQTT-2.2.1-3] a packet identifier of 0 closes the connection', async () => {
    for (const bytes of [
      publishBytes(5, 'a', { flags: 2, id: 0 }),
      publishBytes(5, 'a', { flags: 4, id: 0 }),
      subscribeBytes(5, [['a', 0]], { id: 0 }),
      unsubscribeBytes(5, ['a'], { id: 0 }),
    ]) {
      const client = await mqtt.client()
      client.sendBytes(bytes)
      await client.expectClosed([0x81, 0x82])
    }
  })

  statement(
    '[MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] identifiers of messages under way are all different and not 0',
    async () => {
      const subscriber = await mqtt.client()
      const publisher = await mqtt.client()
      const topic = mqtt.topic()
      await subscriber.subscribe(topic, 2)
      for (let i = 0; i < 20; i++) await publisher.publish(topic, { qos: i % 2 === 0 ? 1 : 2 })
      const ids = new Set<number | undefined>()
      for (let i = 0; i < 20; i++) ids.add((await subscriber.expectPublish({ dup: false })).messageId)
      expect(ids.size).toBe(20)
      expect(ids.has(0)).toBe(false)
      expect(ids.has(undefined)).toBe(false)
    },
  )

  statement('[MQTT-2.2.1-5] acknowledgements carry the identifier of their PUBLISH', async () => {
    const client = await mqtt.client()
    for (const messageId of [1, 77, 65_535]) {
      client.sendPublish(mqtt.topic(), { qos: 1, messageId })
      await client.expect('puback', { messageId })
      client.sendPublish(mqtt.topic(), { qos: 2, messageId })
      await client.expect('pubrec', { messageId })
      client.send({ cmd: 'pubrel', messageId })
      await client.expect('pubcomp', { messageId })
    }
  })

  statement('[MQTT-2.2.1-6] SUBACK and UNSUBACK carry the identifier of their request', async () => {
    const client = await mqtt.client()
    for (const messageId of [1, 513, 65_535]) {
      client.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: mqtt.topic(), qos: 0 }] })
      await client.expect('suback', { messageId })
      client.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [mqtt.topic()] })
      await client.expect('unsuback', { messageId })
    }
  })

  statement('[MQTT-2.2.2-1] packets without properties say so by a length of 0', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    const suback = await reader.subscribe(topic, 1)
    expect([...suback.bytes]).toEqual([0x90, 4, ...u16(suback.messageId), 0, 1])
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1, payload: 'x' })
    const { bytes, messageId = 0 } = await reader.expectPublish()
    expect(bytes.equals(publishBytes(5, topic, { flags: 2, id: messageId, payload: 'x' }))).toBe(true)
    const unsuback = await reader.unsubscribe(topic)
    expect([...unsuback.bytes]).toEqual([0xb0, 4, ...u16(unsuback.messageId), 0, 0])
  })

  statement('[MQTT-2.2.2-1] a missing property length closes the connection', async () => {
    for (const bytes of [
      frame(0x82, u16(1)),
      frame(0x30, field('a')),
      frame(0xa2, u16(1)),
      frame(0x10, field('MQTT'), raw(5, 2), u16(0)),
    ]) {
      const client = bytes[0] === 0x10 ? await mqtt.socket() : await mqtt.client()
      client.sendBytes(bytes)
      await client.expectClosed([0x81, 0x82])
    }
  })
})

describe('4.13.1 malformed properties', () => {
  const CONNECT_PROPERTIES: ReadonlyArray<readonly [string, Buffer]> = [
    ['an unknown property', property(0x7f, raw(0))],
    ['a property of PUBLISH', property(35, u16(1))],
    ['a property of CONNACK', property(36, raw(1))],
    ['session expiry twice', Buffer.concat([property(17, u32(1)), property(17, u32(1))])],
    ['receive maximum 0', property(33, u16(0))],
    ['receive maximum twice', Buffer.concat([property(33, u16(1)), property(33, u16(1))])],
    ['maximum packet size 0', property(39, u32(0))],
    ['topic alias maximum twice', Buffer.concat([property(34, u16(1)), property(34, u16(1))])],
    ['request response information 2', property(25, raw(2))],
    ['request problem information 2', property(23, raw(2))],
    ['authentication data without a method', property(22, field('data'))],
    ['a truncated property', raw(17, 0, 0)],
  ]
  for (const [name, bytes] of CONNECT_PROPERTIES) {
    statement(
      `[MQTT-4.13.1-1] [MQTT-3.1.4-1] CONNECT with ${name} closes the connection`,
      async () => {
        const client = await mqtt.socket()
        client.sendBytes(connectBytes({ level: 5, properties: properties(bytes) }))
        await client.expectClosed([0x81, 0x82, 0x8c, 0x87])
      },
      { mosquitto: 'takes authentication data without a method' },
    )
  }

  const PUBLISH_PROPERTIES: ReadonlyArray<readonly [string, Buffer]> = [
    ['an unknown property', property(0x7f, raw(0))],
    ['a property of CONNECT', property(17, u32(0))],
    ['payload format 2', property(1, raw(2))],
    ['payload format twice', Buffer.concat([property(1, raw(1)), property(1, raw(1))])],
    ['message expiry twice', Buffer.concat([property(2, u32(1)), property(2, u32(1))])],
    ['content type twice', Buffer.concat([property(3, field('a')), property(3, field('a'))])],
    ['response topic twice', Buffer.concat([property(8, field('a')), property(8, field('a'))])],
    ['correlation data twice', Buffer.concat([property(9, field('a')), property(9, field('a'))])],
    ['topic alias twice', Buffer.concat([property(35, u16(1)), property(35, u16(1))])],
    ['a property past the end', raw(8, 0, 9, 0x61)],
  ]
  for (const [name, bytes] of PUBLISH_PROPERTIES) {
    statement(
      `[MQTT-4.13.1-1] PUBLISH with ${name} closes the connection`,
      async () => {
        const client = await mqtt.client()
        client.sendBytes(publishBytes(5, mqtt.topic(), { properties: properties(bytes) }))
        await client.expectClosed([0x81, 0x82, 0x94, 0x99])
      },
      { mosquitto: 'takes any payload format indicator' },
    )
  }

  const OTHERS: ReadonlyArray<readonly [string, Buffer]> = [
    ['SUBSCRIBE with subscription identifier 0', subscribeBytes(5, [['a', 0]], { properties: properties(raw(11, 0)) })],
    [
      'SUBSCRIBE with two subscription identifiers',
      subscribeBytes(5, [['a', 0]], { properties: properties(raw(11, 1, 11, 2)) }),
    ],
    [
      'SUBSCRIBE with a property of PUBLISH',
      subscribeBytes(5, [['a', 0]], { properties: properties(property(1, raw(0))) }),
    ],
    ['UNSUBSCRIBE with a subscription identifier', unsubscribeBytes(5, ['a'], { properties: properties(raw(11, 1)) })],
    ['DISCONNECT with an unknown property', frame(0xe0, raw(0), properties(property(0x7f, raw(0))))],
    [
      'DISCONNECT with two reason strings',
      frame(0xe0, raw(0), properties(property(31, field('a')), property(31, field('a')))),
    ],
    ['PUBACK with a property of CONNECT', frame(0x40, u16(1), raw(0), properties(property(33, u16(1))))],
    ['PUBREL with properties past its end', frame(0x62, u16(1), raw(0, 9, 31))],
    ['PINGREQ with a body', raw(0xc0, 1, 0)],
  ]
  for (const [name, bytes] of OTHERS) {
    statement(
      `[MQTT-4.13.1-1] ${name} closes the connection`,
      async () => {
        const client = await mqtt.client()
        client.sendBytes(bytes)
        await client.expectClosed([0x81, 0x82])
      },
      { mosquitto: 'takes some of these' },
    )
  }
})
