/**
 * MQTT 3.1.1, sections 1.5 and 2: strings, fixed header, packet identifiers.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import {
  BAD_STRINGS,
  connectBytes,
  field,
  frame,
  publishBytes,
  raw,
  subscribeBytes,
  u16,
  unsubscribeBytes,
} from '../support/bytes.ts'

const mqtt = useBroker(4)

const NUL = Buffer.from('a\0b')

/** Every packet that has a string, with `bytes` in it, after a CONNECT unless it is one. */
const WITH_STRING: ReadonlyArray<readonly [string, (bytes: Buffer) => Buffer, isConnect?: boolean]> = [
  ['client id', (bytes) => connectBytes({ payload: field(bytes) }), true],
  [
    'will topic',
    (bytes) => connectBytes({ flags: 6, payload: Buffer.concat([field('w'), field(bytes), field('m')]) }),
    true,
  ],
  ['user name', (bytes) => connectBytes({ flags: 0x82, payload: Buffer.concat([field('u'), field(bytes)]) }), true],
  ['topic name', (bytes) => publishBytes(4, bytes)],
  ['filter of SUBSCRIBE', (bytes) => subscribeBytes(4, [[bytes, 0]])],
  ['filter of UNSUBSCRIBE', (bytes) => unsubscribeBytes(4, [bytes])],
]

describe('1.5 data representations', () => {
  for (const [place, packet, isConnect = false] of WITH_STRING) {
    statement(`[MQTT-1.5.3-1] a ${place} that is not well-formed UTF-8 closes the connection`, async () => {
      for (const [, bytes] of BAD_STRINGS.filter(([name]) => name !== 'U+0000')) {
        const client = isConnect ? await mqtt.socket() : await mqtt.client()
        client.sendBytes(packet(bytes))
        await client.expectClosed()
      }
    })

    statement(`[MQTT-1.5.3-2] a ${place} with U+0000 closes the connection`, async () => {
      const client = isConnect ? await mqtt.socket() : await mqtt.client()
      client.sendBytes(packet(NUL))
      await client.expectClosed()
    })
  }

  statement('[MQTT-1.5.3-3] a byte order mark in a topic is a character like any other', async () => {
    const client = await mqtt.client()
    const topic = `\u{FEFF}${mqtt.topic()}\u{FEFF}`
    await client.subscribe(topic)
    await client.subscribe(topic.slice(1))
    client.sendPublish(topic)
    const packet = await client.expectPublish()
    expect(packet.bytes.includes(Buffer.from(topic))).toBe(true)
    await client.expectNothing()
  })
})

describe('2.2 fixed header', () => {
  const FLAGGED: ReadonlyArray<readonly [string, number, Buffer]> = [
    ['PUBACK', 0x41, u16(1)],
    ['PUBREC', 0x52, u16(1)],
    ['PUBREL', 0x60, u16(1)],
    ['PUBCOMP', 0x78, u16(1)],
    ['SUBSCRIBE', 0x80, Buffer.concat([u16(1), field('a'), raw(0)])],
    ['UNSUBSCRIBE', 0xa0, Buffer.concat([u16(1), field('a')])],
    ['PINGREQ', 0xc1, raw()],
    ['DISCONNECT', 0xe1, raw()],
  ]
  for (const [name, first, body] of FLAGGED) {
    statement(
      `[MQTT-2.2.2-1] [MQTT-2.2.2-2] ${name} with other flags than its own closes the connection`,
      async () => {
        const client = await mqtt.client()
        client.sendBytes(frame(first, body))
        await client.expectClosed()
      },
      { mosquitto: 'ignores the flags of PUBACK, PUBREC, PUBCOMP and PINGREQ' },
    )
  }

  statement('[MQTT-2.2.2-1] [MQTT-2.2.2-2] CONNECT with flags closes the connection', async () => {
    const client = await mqtt.socket()
    client.sendBytes(connectBytes({ first: 0x11 }))
    await client.expectClosed()
  })

  statement('[MQTT-2.2.2-1] what the server sends has the flags that are listed', async () => {
    const subscriber = await mqtt.client()
    const publisher = await mqtt.client()
    const topic = mqtt.topic()
    expect((await subscriber.subscribe(topic, 2)).bytes[0]).toBe(0x90)
    const { messageId = 0 } = publisher.sendPublish(topic, { qos: 2 })
    expect((await publisher.expect('pubrec')).bytes[0]).toBe(0x50)
    publisher.send({ cmd: 'pubrel', messageId })
    expect((await publisher.expect('pubcomp')).bytes[0]).toBe(0x70)
    publisher.sendPublish(topic, { qos: 1 })
    expect((await publisher.expect('puback')).bytes[0]).toBe(0x40)
    const publish = await subscriber.expectPublish()
    expect(publish.bytes[0]).toBe(0x34)
    expect((await subscriber.expectPublish()).bytes[0]).toBe(0x32)
    subscriber.send({ cmd: 'pubrec', messageId: publish.messageId ?? 0 })
    expect((await subscriber.expect('pubrel')).bytes[0]).toBe(0x62)
    expect((await subscriber.unsubscribe(topic)).bytes[0]).toBe(0xb0)
    subscriber.send({ cmd: 'pingreq' })
    expect((await subscriber.expect('pingresp')).bytes[0]).toBe(0xd0)
  })
})

describe('2.3 packet identifiers', () => {
  statement('[MQTT-2.3.1-1] a packet identifier of 0 closes the connection', async () => {
    for (const bytes of [
      publishBytes(4, 'a', { flags: 2, id: 0 }),
      publishBytes(4, 'a', { flags: 4, id: 0 }),
      subscribeBytes(4, [['a', 0]], { id: 0 }),
      unsubscribeBytes(4, ['a'], { id: 0 }),
    ]) {
      const client = await mqtt.client()
      client.sendBytes(bytes)
      await client.expectClosed()
    }
  })

  statement(
    '[MQTT-2.3.1-4] identifiers of messages under way are all different, and free again when acknowledged',
    async () => {
      const subscriber = await mqtt.client()
      const publisher = await mqtt.client()
      const topic = mqtt.topic()
      await subscriber.subscribe(topic, 2)
      for (let i = 0; i < 20; i++) await publisher.publish(topic, { qos: i % 2 === 0 ? 1 : 2 })
      const open = []
      for (let i = 0; i < 20; i++) open.push(await subscriber.expectPublish())
      const ids = new Set(open.map(({ messageId }) => messageId))
      expect(ids.size).toBe(20)
      expect(ids.has(0)).toBe(false)
      for (const packet of open) await subscriber.acknowledge(packet)
      await publisher.publish(topic, { qos: 1 })
      const next = await subscriber.expectPublish({ dup: false })
      expect(next.messageId).toBeGreaterThan(0)
    },
  )

  statement('[MQTT-2.3.1-5] a PUBLISH at QoS 0 has no packet identifier', async () => {
    const client = await mqtt.client()
    const topic = mqtt.topic()
    await client.subscribe(topic, 2)
    client.sendBytes(publishBytes(4, topic, { payload: raw(0, 7) }))
    const packet = await client.expectPublish({ qos: 0, payload: Buffer.from([0, 7]) })
    expect(packet.bytes.length).toBe(2 + 2 + topic.length + 2)
  })

  statement('[MQTT-2.3.1-6] acknowledgements carry the identifier of their PUBLISH', async () => {
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

  statement('[MQTT-2.3.1-7] SUBACK and UNSUBACK carry the identifier of their request', async () => {
    const client = await mqtt.client()
    for (const messageId of [1, 513, 65_535]) {
      client.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: mqtt.topic(), qos: 0 }] })
      await client.expect('suback', { messageId })
      client.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [mqtt.topic()] })
      await client.expect('unsuback', { messageId })
    }
  })
})
