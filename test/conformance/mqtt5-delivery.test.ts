/**
 * MQTT 5.0, sections 3.3.4 to 3.7, 4.3, 4.4 and 4.9: acknowledgements, redelivery, flow control.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import { frame, publishBytes, raw, u16 } from '../support/bytes.ts'
import { elapse } from '../support/eventually.ts'
import type { RawClient } from '../support/raw-client.ts'

const mqtt = useBroker(5)

const stored = (clientId: string, more: object = {}) => ({
  clientId,
  clean: false,
  properties: { sessionExpiryInterval: 100, ...more },
})

const PUBACK_CODES = [undefined, 0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]

async function published(client: RawClient): Promise<string[]> {
  return (await client.barrier()).flatMap((packet) => (packet.cmd === 'publish' ? [packet.payload.toString()] : []))
}

describe('3.3.4 delivery', () => {
  statement('[MQTT-3.3.4-1] QoS 0 is not answered, QoS 1 by PUBACK, QoS 2 by PUBREC and PUBCOMP', async () => {
    const client = await mqtt.client()
    client.sendPublish(mqtt.topic())
    await client.expectNothing()
    await client.publish(mqtt.topic(), { qos: 1 })
    await client.publish(mqtt.topic(), { qos: 2 })
    await client.expectNothing()
  })

  statement('[MQTT-3.3.4-2] overlapping subscriptions deliver at their greatest QoS', async () => {
    const root = mqtt.topic()
    const subscriber = await mqtt.client()
    await subscriber.subscribe([
      { topic: `${root}/#`, qos: 0 },
      { topic: `${root}/a`, qos: 2 },
      { topic: `${root}/+`, qos: 1 },
    ])
    const publisher = await mqtt.client()
    await publisher.publish(`${root}/a`, { qos: 2 })
    const got = (await subscriber.barrier()).map((packet) => (packet.cmd === 'publish' ? packet.qos : packet.cmd))
    expect(got).toContain(2)
  })

  statement(
    '[MQTT-3.3.4-3] [MQTT-3.3.4-4] one copy carries the identifiers of all matching subscriptions that have one',
    async () => {
      const root = mqtt.topic()
      const client = await mqtt.client()
      await client.subscribe(`${root}/#`, 0, { subscriptionIdentifier: 7 })
      await client.subscribe(`${root}/a`, 1, { subscriptionIdentifier: 268_435_455 })
      await client.subscribe(`${root}/+`, 1)
      await client.subscribe(`${root}/b`, 1, { subscriptionIdentifier: 9 })
      const publisher = await mqtt.client()
      await publisher.publish(`${root}/a`, { qos: 1 })
      const packet = await client.expectPublish({ qos: 1 })
      const ids = packet.properties?.subscriptionIdentifier
      expect([ids].flat().sort()).toEqual([268_435_455, 7].sort())
      await publisher.publish(`${root}/c`)
      expect([(await client.expectPublish()).properties?.subscriptionIdentifier].flat()).toEqual([7])
      await client.expectNothing()
    },
    { mosquitto: 'delivers one copy for each subscription' },
  )

  statement(
    '[MQTT-3.3.4-3] retained messages carry the identifier of their subscription, and a replaced one its new',
    async () => {
      const topic = mqtt.topic()
      const publisher = await mqtt.client()
      await publisher.publish(topic, { retain: true })
      const client = await mqtt.client()
      for (const id of [1, 300]) {
        await client.subscribe(topic, 0, { subscriptionIdentifier: id })
        expect([(await client.expectPublish({ retain: true })).properties?.subscriptionIdentifier].flat()).toEqual([id])
        await publisher.publish(topic)
        expect([(await client.expectPublish()).properties?.subscriptionIdentifier].flat()).toEqual([id])
      }
      await client.subscribe([{ topic, qos: 0, rh: 2 }])
      await publisher.publish(topic)
      expect((await client.expectPublish()).properties?.subscriptionIdentifier).toBeUndefined()
    },
  )

  statement(
    '[MQTT-3.3.4-7] a client that exceeds the server’s receive maximum is sent away with 0x93',
    async () => {
      const client = await mqtt.client()
      const max = client.connack?.properties?.receiveMaximum ?? 65_535
      const packets = []
      for (let id = 1; id <= max + 1 && id <= 65_535; id++) packets.push(publishBytes(5, 'a', { flags: 4, id }))
      client.sendBytes(...packets)
      for (let i = 0; i < Math.min(max, 65_535); i++) {
        const packet = await client.next()
        if (packet === 'closed') throw new Error('closed early')
        if (packet.cmd === 'disconnect') {
          expect(packet.reasonCode).toBe(0x93)
          return
        }
        expect(packet.cmd).toBe('pubrec')
      }
      if (max < 65_535) await client.expectClosed([0x93])
    },
    { mosquitto: 'refuses the message with 0x97 and keeps the connection' },
  )

  statement(
    '[MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] no more messages are under way than the client’s receive maximum',
    async () => {
      const topic = mqtt.topic()
      const client = await mqtt.client({ properties: { receiveMaximum: 2 } })
      await client.subscribe(topic, 2)
      const publisher = await mqtt.client()
      for (let i = 0; i < 6; i++) await publisher.publish(topic, { qos: i % 2 === 0 ? 2 : 1, payload: String(i) })
      const first = await client.expectPublish({ payload: '0', qos: 2 })
      const second = await client.expectPublish({ payload: '1', qos: 1 })
      await client.expectNothing()
      client.send({ cmd: 'pubrec', messageId: first.messageId! })
      await client.expect('pubrel')
      await client.expectNothing()
      client.send({ cmd: 'pubcomp', messageId: first.messageId! })
      const third = await client.expectPublish({ payload: '2', qos: 2 })
      await client.expectNothing()
      await client.acknowledge(second)
      await client.acknowledge(await client.expectPublish({ payload: '3', qos: 1 }))
      await client.acknowledge(await client.expectPublish({ payload: '4', qos: 2 }))
      await client.acknowledge(await client.expectPublish({ payload: '5', qos: 1 }))
      await client.acknowledge(third)
      await client.expectNothing()
    },
    { mosquitto: 'gives the quota back twice for QoS 2' },
  )

  statement('[MQTT-3.3.4-10] [MQTT-4.9.0-3] at a send quota of 0 everything else goes on, QoS 0 too', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client({ properties: { receiveMaximum: 1 } })
    await client.subscribe(topic, 1)
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1, payload: 'one' })
    await publisher.publish(topic, { qos: 1, payload: 'two' })
    const one = await client.expectPublish({ payload: 'one' })
    await client.publish(mqtt.topic(), { qos: 1 })
    await client.publish(mqtt.topic(), { qos: 2 })
    await client.subscribe(mqtt.topic())
    await client.unsubscribe(mqtt.topic())
    await client.expectNothing()
    await client.acknowledge(one)
    await client.expectPublish({ payload: 'two' })
  })
})

describe('3.4 to 3.7 acknowledgements', () => {
  statement('[MQTT-3.4.2-1] [MQTT-3.5.2-1] PUBACK and PUBREC use their reason codes', async () => {
    const client = await mqtt.client()
    for (const topic of [mqtt.topic(), '$SYS/denied']) {
      client.sendPublish(topic, { qos: 1, messageId: 1 })
      client.sendPublish(topic, { qos: 2, messageId: 2 })
      expect(PUBACK_CODES).toContain((await client.expect('puback', { messageId: 1 })).reasonCode)
      expect(PUBACK_CODES).toContain((await client.expect('pubrec', { messageId: 2 })).reasonCode)
    }
  })

  statement(
    '[MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] an acknowledgement with a reason code of another packet closes the connection',
    async () => {
      for (const [first, code] of [
        [0x40, 0x01],
        [0x50, 0x92],
        [0x62, 0x10],
        [0x70, 0x80],
      ] as const) {
        const client = await mqtt.client()
        client.sendBytes(frame(first, u16(1), raw(code)))
        await client.expectClosed([0x81, 0x82])
      }
    },
    { mosquitto: 'does not check reason codes of acknowledgements' },
  )

  statement(
    '[MQTT-3.7.2-1] [MQTT-4.3.3-11] PUBREL of an unknown identifier gets PUBCOMP 0x92',
    async () => {
      const client = await mqtt.client()
      client.send({ cmd: 'pubrel', messageId: 99 })
      await client.expect('pubcomp', { messageId: 99, reasonCode: 0x92 })
    },
    { mosquitto: 'answers 0' },
  )

  statement(
    '[MQTT-3.6.2-1] PUBREC of an unknown identifier gets PUBREL 0x92',
    async () => {
      const client = await mqtt.client()
      client.send({ cmd: 'pubrec', messageId: 99 })
      await client.expect('pubrel', { messageId: 99, reasonCode: 0x92 })
    },
    { mosquitto: 'answers 0' },
  )

  statement('[MQTT-3.6.1-1] PUBREL with other flags closes the connection', async () => {
    for (const first of [0x60, 0x61, 0x63, 0x64, 0x6a]) {
      const client = await mqtt.client()
      client.sendPublish(mqtt.topic(), { qos: 2, messageId: 1 })
      await client.expect('pubrec')
      client.sendBytes(frame(first, u16(1)))
      await client.expectClosed([0x81, 0x82])
    }
  })
})

describe('4.3 quality of service', () => {
  statement('[MQTT-4.3.1-1] QoS 0 is delivered with QoS 0 and DUP 0', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client()
    await client.subscribe(topic, 2)
    const publisher = await mqtt.client()
    await publisher.publish(topic)
    expect((await client.expectPublish({ topic })).bytes[0]).toBe(0x30)
  })

  statement('[MQTT-4.3.2-2] [MQTT-4.3.2-3] a QoS 1 delivery has DUP 0 and stays open until PUBACK', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const first = await mqtt.client(stored(clientId))
    await first.subscribe(topic, 1)
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1, payload: 'x' })
    const open = await first.expectPublish({ qos: 1, dup: false })
    first.cut()
    const second = await mqtt.client(stored(clientId))
    await second.expectPublish({ payload: 'x', dup: true, messageId: open.messageId })
    second.send({ cmd: 'puback', messageId: open.messageId! })
    await second.disconnect()
    const third = await mqtt.client(stored(clientId))
    await third.expectNothing()
  })

  statement(
    '[MQTT-4.3.2-4] [MQTT-4.3.2-5] the same identifier after PUBACK is a new message, whatever DUP says',
    async () => {
      const topic = mqtt.topic()
      const subscriber = await mqtt.client()
      await subscriber.subscribe(topic, 1)
      const publisher = await mqtt.client()
      for (const dup of [false, true, false]) {
        await publisher.publish(topic, { qos: 1, messageId: 5, dup })
        await subscriber.acknowledge(await subscriber.expectPublish({ qos: 1, dup: false }))
      }
      await subscriber.expectNothing()
    },
  )

  statement('[MQTT-4.3.3-2] [MQTT-4.3.3-3] a QoS 2 delivery has DUP 0 and stays open until PUBREC', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const first = await mqtt.client(stored(clientId))
    await first.subscribe(topic, 2)
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 2 })
    const open = await first.expectPublish({ qos: 2, dup: false })
    first.cut()
    const second = await mqtt.client(stored(clientId))
    await second.acknowledge(await second.expectPublish({ qos: 2, dup: true, messageId: open.messageId }))
    await second.expectNothing()
  })

  statement(
    '[MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] PUBREC gets PUBREL, which is sent again in place of the PUBLISH until PUBCOMP',
    async () => {
      const clientId = mqtt.id()
      const topic = mqtt.topic()
      const first = await mqtt.client(stored(clientId))
      await first.subscribe(topic, 2)
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 2 })
      const { messageId = 0 } = await first.expectPublish({ qos: 2 })
      first.send({ cmd: 'pubrec', messageId })
      await first.expect('pubrel', { messageId })
      first.cut()
      const second = await mqtt.client(stored(clientId))
      await second.expect('pubrel', { messageId })
      await second.expectNothing()
      second.send({ cmd: 'pubcomp', messageId })
      await second.disconnect()
      const third = await mqtt.client(stored(clientId))
      await third.expectNothing()
    },
  )

  statement(
    '[MQTT-4.3.3-7] a PUBLISH that was sent does not expire',
    async () => {
      const clientId = mqtt.id()
      const topic = mqtt.topic()
      const first = await mqtt.client(stored(clientId))
      await first.subscribe(topic, 2)
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 2, payload: 'brief', properties: { messageExpiryInterval: 1 } })
      const open = await first.expectPublish({ payload: 'brief' })
      first.cut()
      await elapse(2_200)
      const second = await mqtt.client(stored(clientId))
      await second.acknowledge(await second.expectPublish({ payload: 'brief', dup: true, messageId: open.messageId }))
    },
    { mosquitto: 'drops it' },
  )

  statement(
    '[MQTT-4.3.3-8] [MQTT-4.3.3-10] a repeated QoS 2 PUBLISH gets PUBREC again and is delivered once',
    async () => {
      const topic = mqtt.topic()
      const subscriber = await mqtt.client()
      await subscriber.subscribe(topic, 0)
      const publisher = await mqtt.client()
      for (const dup of [false, true, true]) {
        publisher.sendPublish(topic, { qos: 2, messageId: 3, dup })
        await publisher.expect('pubrec', { messageId: 3 })
      }
      publisher.send({ cmd: 'pubrel', messageId: 3 })
      await publisher.expect('pubcomp', { messageId: 3 })
      await subscriber.expectPublish({ topic })
      await subscriber.expectNothing()
    },
    { mosquitto: 'closes the connection on the second repetition' },
  )

  statement(
    '[MQTT-4.3.3-9] after PUBREC of 0x80 or more the identifier is free',
    async () => {
      const topic = mqtt.topic()
      const subscriber = await mqtt.client()
      await subscriber.subscribe(topic, 0)
      const client = await mqtt.client()
      client.sendPublish('$SYS/denied', { qos: 2, messageId: 4 })
      const refused = await client.expect('pubrec', { messageId: 4 })
      expect(refused.reasonCode).toBeGreaterThanOrEqual(0x80)
      await client.publish(topic, { qos: 2, messageId: 4 })
      await subscriber.expectPublish({ topic })
    },
    { mosquitto: 'accepts the topic' },
  )

  statement('[MQTT-4.3.3-11] [MQTT-4.3.3-12] the same identifier after PUBCOMP is a new message', async () => {
    const topic = mqtt.topic()
    const subscriber = await mqtt.client()
    await subscriber.subscribe(topic, 0)
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 2, messageId: 3 })
    await publisher.publish(topic, { qos: 2, messageId: 3, dup: true })
    await subscriber.expectPublish({ topic })
    await subscriber.expectPublish({ topic })
    await subscriber.expectNothing()
  })

  statement('[MQTT-4.3.3-13] the acknowledgements of QoS 2 go on when the message has expired', async () => {
    const client = await mqtt.client()
    client.sendPublish(mqtt.topic(), { qos: 2, messageId: 6, properties: { messageExpiryInterval: 1 } })
    await client.expect('pubrec', { messageId: 6 })
    await elapse(1_500)
    client.send({ cmd: 'pubrel', messageId: 6 })
    const pubcomp = await client.expect('pubcomp', { messageId: 6 })
    expect(pubcomp.reasonCode ?? 0).toBe(0)
  })
})

describe('4.4 redelivery', () => {
  statement(
    '[MQTT-4.4.0-1] [MQTT-4.6.0-1] unacknowledged packets are sent again in their order, and only on reconnection',
    async () => {
      const clientId = mqtt.id()
      const topic = mqtt.topic()
      const first = await mqtt.client(stored(clientId))
      await first.subscribe(topic, 2)
      const publisher = await mqtt.client()
      for (let i = 0; i < 9; i++) await publisher.publish(topic, { qos: i % 3 === 2 ? 2 : 1, payload: String(i) })
      const open = []
      for (let i = 0; i < 9; i++) open.push(await first.expectPublish({ payload: String(i) }))
      await first.acknowledge(open[1]!)
      await first.acknowledge(open[5]!)
      await first.expectNothing()
      first.cut()
      const second = await mqtt.client(stored(clientId))
      for (const i of [0, 2, 3, 4, 6, 7, 8]) {
        await second.expectPublish({ payload: String(i), dup: true, messageId: open[i]!.messageId })
      }
      await second.expectNothing()
    },
  )

  statement('[MQTT-4.4.0-2] PUBACK or PUBREC of 0x80 or more settles the message', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const first = await mqtt.client(stored(clientId, { receiveMaximum: 1 }))
    await first.subscribe(topic, 2)
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1, payload: 'one' })
    await publisher.publish(topic, { qos: 2, payload: 'two' })
    await publisher.publish(topic, { qos: 1, payload: 'three' })
    const one = await first.expectPublish({ payload: 'one' })
    first.send({ cmd: 'puback', messageId: one.messageId!, reasonCode: 0x80 })
    const two = await first.expectPublish({ payload: 'two' })
    first.send({ cmd: 'pubrec', messageId: two.messageId!, reasonCode: 0x97 })
    const three = await first.expectPublish({ payload: 'three' })
    await first.acknowledge(three)
    await first.expectNothing()
    first.cut()
    const second = await mqtt.client(stored(clientId))
    expect(await published(second)).toEqual([])
  })
})
