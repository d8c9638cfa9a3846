/**
 * MQTT 3.1.1, sections 3.3 to 3.7: PUBLISH, its acknowledgements, retained messages.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import { field, frame, publishBytes, raw, u16 } from '../support/bytes.ts'

const mqtt = useBroker(4)

describe('3.3.1 DUP and QoS', () => {
  statement('[MQTT-3.3.1-1] what is sent again on reconnection has DUP set', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const publisher = await mqtt.client()
    const first = await mqtt.client({ clientId, clean: false })
    await first.subscribe(topic, 2)
    await publisher.publish(topic, { qos: 1, payload: 'one' })
    await publisher.publish(topic, { qos: 2, payload: 'two' })
    const one = await first.expectPublish({ payload: 'one', dup: false })
    const two = await first.expectPublish({ payload: 'two', dup: false })
    first.cut()
    const second = await mqtt.client({ clientId, clean: false })
    await second.expectPublish({ payload: 'one', dup: true, messageId: one.messageId })
    await second.expectPublish({ payload: 'two', dup: true, messageId: two.messageId })
  })

  statement('[MQTT-3.3.1-2] [MQTT-3.3.1-3] DUP is not passed on', async () => {
    const topic = mqtt.topic()
    const publisher = await mqtt.client()
    const subscriber = await mqtt.client()
    await subscriber.subscribe(topic, 2)
    await publisher.publish(topic, { qos: 1, dup: true })
    await publisher.publish(topic, { qos: 2, dup: true })
    await subscriber.expectPublish({ qos: 1, dup: false })
    await subscriber.expectPublish({ qos: 2, dup: false })
    const plain = await mqtt.client()
    await plain.subscribe(topic, 0)
    await publisher.publish(topic, { qos: 1, dup: true })
    await plain.expectPublish({ qos: 0, dup: false })
  })

  statement(
    '[MQTT-3.3.1-2] a QoS 0 PUBLISH with DUP closes the connection',
    async () => {
      const client = await mqtt.client()
      client.sendBytes(publishBytes(4, mqtt.topic(), { flags: 0x08 }))
      await client.expectClosed()
    },
    { mosquitto: 'ignores DUP at QoS 0' },
  )

  statement('[MQTT-3.3.1-4] QoS 3 closes the connection', async () => {
    for (const flags of [0x06, 0x07, 0x0e]) {
      const client = await mqtt.client()
      client.sendBytes(publishBytes(4, mqtt.topic(), { flags, id: 1 }))
      await client.expectClosed()
    }
  })
})

describe('3.3.1 RETAIN', () => {
  statement(
    '[MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8] a retained message goes to later subscribers, at its QoS, flagged',
    async () => {
      const publisher = await mqtt.client()
      for (const qos of [0, 1, 2] as const) {
        const topic = mqtt.topic()
        await publisher.publish(topic, { qos, retain: true, payload: `kept ${qos}` })
        const subscriber = await mqtt.client()
        await subscriber.subscribe(topic, 2)
        await subscriber.acknowledge(
          await subscriber.expectPublish({ topic, qos, retain: true, payload: `kept ${qos}` }),
        )
        await subscriber.expectNothing()
      }
    },
  )

  statement(
    '[MQTT-3.3.1-6] [MQTT-3.3.1-8] a wildcard subscription gets the retained message of every matching topic',
    async () => {
      const root = mqtt.topic()
      const publisher = await mqtt.client()
      const topics = [root, `${root}/a`, `${root}/a/b`, `${root}/b`, `${root}//`]
      for (const topic of topics) await publisher.publish(topic, { qos: 1, retain: true, payload: topic })
      for (const [filter, wanted] of [
        [`${root}/#`, topics],
        [`${root}/+`, [`${root}/a`, `${root}/b`]],
        [`${root}/+/+`, [`${root}/a/b`, `${root}//`]],
        [`+/a`, [`${root}/a`]],
      ] as const) {
        const subscriber = await mqtt.client()
        await subscriber.subscribe(filter, 0)
        const got = (await subscriber.barrier()).flatMap((packet) =>
          packet.cmd === 'publish' && packet.retain && packet.topic.startsWith(root) ? [packet.topic] : [],
        )
        expect(got.sort()).toEqual([...wanted].sort())
      }
    },
  )

  statement(
    '[MQTT-3.3.1-5] [MQTT-3.3.1-7] the last retained message of a topic replaces the one before, also at QoS 0',
    async () => {
      const topic = mqtt.topic()
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 2, retain: true, payload: 'old' })
      await publisher.publish(topic, { qos: 1, retain: true, payload: 'newer' })
      await publisher.publish(topic, { qos: 0, retain: true, payload: 'newest' })
      const subscriber = await mqtt.client()
      await subscriber.subscribe(topic, 2)
      await subscriber.expectPublish({ payload: 'newest', qos: 0, retain: true })
      await subscriber.expectNothing()
    },
  )

  statement('[MQTT-3.3.1-9] an established subscription gets retained messages unflagged', async () => {
    const topic = mqtt.topic()
    const subscriber = await mqtt.client()
    const publisher = await mqtt.client()
    await subscriber.subscribe(topic, 1)
    for (const qos of [0, 1] as const) {
      await publisher.publish(topic, { qos, retain: true })
      await subscriber.acknowledge(await subscriber.expectPublish({ topic, qos, retain: false }))
    }
  })

  statement(
    '[MQTT-3.3.1-10] [MQTT-3.3.1-11] an empty retained message is delivered, and removes the retained one',
    async () => {
      const topic = mqtt.topic()
      const publisher = await mqtt.client()
      const established = await mqtt.client()
      await publisher.publish(topic, { qos: 1, retain: true, payload: 'kept' })
      await established.subscribe(topic)
      await established.expectPublish({ payload: 'kept', retain: true })
      await publisher.publish(topic, { qos: 1, retain: true, payload: '' })
      await established.expectPublish({ payload: '', retain: false })
      const late = await mqtt.client()
      await late.subscribe(topic)
      await late.expectNothing()
    },
  )

  statement('[MQTT-3.3.1-12] a message without RETAIN leaves the retained one alone, even when empty', async () => {
    const topic = mqtt.topic()
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1, retain: true, payload: 'kept' })
    await publisher.publish(topic, { qos: 1, payload: 'passing' })
    await publisher.publish(topic, { qos: 1, payload: '' })
    const subscriber = await mqtt.client()
    await subscriber.subscribe(topic)
    await subscriber.expectPublish({ payload: 'kept', retain: true })
    await subscriber.expectNothing()
  })
})

describe('3.3.2 topic name', () => {
  statement('[MQTT-3.3.2-1] a PUBLISH whose topic name runs past its end closes the connection', async () => {
    for (const body of [raw(), raw(0), raw(0, 9, 0x61), raw(0xff, 0xff)]) {
      const client = await mqtt.client()
      client.sendBytes(frame(0x30, body))
      await client.expectClosed()
    }
  })

  statement('[MQTT-3.3.2-2] wildcards in a topic name close the connection and reach nobody', async () => {
    const reader = await mqtt.client()
    const root = mqtt.topic()
    await reader.subscribe(`${root}/#`)
    for (const topic of [`${root}/+`, `${root}/#`, `${root}/a+`, `${root}/#/b`]) {
      const client = await mqtt.client()
      client.sendBytes(publishBytes(4, topic))
      await client.expectClosed()
    }
    await reader.expectNothing()
  })

  statement('[MQTT-3.3.2-3] what a subscriber gets matches its filter', async () => {
    const root = mqtt.topic()
    const publisher = await mqtt.client()
    const names = ['', '/', '/a', '/a/b', '/b', '/a/b/c', 'x', '/A']
    for (const [filter, wanted] of [
      [root, ['']],
      [`${root}/+`, ['/', '/a', '/b', '/A']],
      [`${root}/#`, ['', '/', '/a', '/a/b', '/b', '/a/b/c', '/A']],
      [`${root}/+/b`, ['/a/b']],
      [`${root}/+/#`, ['/', '/a', '/a/b', '/b', '/a/b/c', '/A']],
      [`${root}/a/b/c/#`, ['/a/b/c']],
    ] as const) {
      const subscriber = await mqtt.client()
      await subscriber.subscribe(filter)
      for (const name of names) await publisher.publish(root + name)
      const got = (await subscriber.barrier()).map((packet) =>
        packet.cmd === 'publish' ? packet.topic.slice(root.length) : packet.cmd,
      )
      expect(got.sort(), filter).toEqual([...wanted].sort())
    }
  })
})

describe('3.3.4 and 3.3.5 response and delivery', () => {
  statement('[MQTT-3.3.4-1] QoS 0 is not answered, QoS 1 by PUBACK, QoS 2 by PUBREC and PUBCOMP', async () => {
    const client = await mqtt.client()
    client.sendPublish(mqtt.topic())
    await client.expectNothing()
    client.sendPublish(mqtt.topic(), { qos: 1, messageId: 9 })
    await client.expect('puback', { messageId: 9 })
    client.sendPublish(mqtt.topic(), { qos: 2, messageId: 9 })
    await client.expect('pubrec', { messageId: 9 })
    client.send({ cmd: 'pubrel', messageId: 9 })
    await client.expect('pubcomp', { messageId: 9 })
    await client.expectNothing()
  })

  statement('[MQTT-3.3.5-1] overlapping subscriptions deliver at their greatest QoS', async () => {
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
    '[MQTT-3.3.5-1] overlapping subscriptions deliver one copy',
    async () => {
      const root = mqtt.topic()
      const subscriber = await mqtt.client()
      await subscriber.subscribe([
        { topic: `${root}/#`, qos: 1 },
        { topic: `${root}/a`, qos: 0 },
      ])
      const publisher = await mqtt.client()
      await publisher.publish(`${root}/a`, { qos: 1 })
      await subscriber.acknowledge(await subscriber.expectPublish({ qos: 1 }))
      await subscriber.expectNothing()
    },
    { mosquitto: 'delivers one copy for each subscription' },
  )

  statement(
    '[MQTT-3.3.5-2] a PUBLISH that is not allowed is acknowledged or closes the connection, and is not delivered',
    async () => {
      const reader = await mqtt.client()
      await reader.subscribe('$SYS/test/#')
      const client = await mqtt.client()
      for (const qos of [1, 2] as const) {
        client.sendPublish('$SYS/test/denied', { qos, messageId: 7 })
        const answer = await client.next()
        if (answer === 'closed') return
        expect([...answer.bytes]).toEqual([qos === 1 ? 0x40 : 0x50, 2, 0, 7])
      }
      await reader.expectNothing()
    },
  )
})

describe('3.4 to 3.7 acknowledgements', () => {
  statement('[MQTT-3.6.1-1] PUBREL with other flags closes the connection', async () => {
    for (const first of [0x60, 0x61, 0x63, 0x64, 0x6a]) {
      const client = await mqtt.client()
      client.sendPublish(mqtt.topic(), { qos: 2, messageId: 1 })
      await client.expect('pubrec')
      client.sendBytes(frame(first, u16(1)))
      await client.expectClosed()
    }
  })

  statement(
    '[MQTT-4.3.2-1] [MQTT-4.3.2-2] the same identifier after PUBACK is a new message, whatever DUP says',
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

  statement(
    '[MQTT-4.3.2-1] a QoS 1 delivery stays open until PUBACK, and is not sent again on the same connection',
    async () => {
      const clientId = mqtt.id()
      const topic = mqtt.topic()
      const subscriber = await mqtt.client({ clientId, clean: false })
      await subscriber.subscribe(topic, 1)
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 1 })
      const open = await subscriber.expectPublish({ qos: 1, dup: false })
      await subscriber.expectNothing()
      subscriber.send({ cmd: 'puback', messageId: open.messageId ?? 0 })
      await subscriber.disconnect()
      const again = await mqtt.client({ clientId, clean: false })
      await again.expectNothing()
    },
  )

  statement(
    '[MQTT-4.3.3-1] the sender of QoS 2 answers PUBREC with PUBREL and does not send the PUBLISH again',
    async () => {
      const clientId = mqtt.id()
      const topic = mqtt.topic()
      const first = await mqtt.client({ clientId, clean: false })
      await first.subscribe(topic, 2)
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 2 })
      const { messageId = 0 } = await first.expectPublish({ qos: 2, dup: false })
      first.send({ cmd: 'pubrec', messageId })
      await first.expect('pubrel', { messageId })
      first.cut()
      const second = await mqtt.client({ clientId, clean: false })
      await second.expect('pubrel', { messageId })
      second.send({ cmd: 'pubcomp', messageId })
      await second.expectNothing()
      await second.disconnect()
      const third = await mqtt.client({ clientId, clean: false })
      await third.expectNothing()
    },
  )

  statement(
    '[MQTT-4.3.3-2] a repeated QoS 2 PUBLISH is acknowledged again and delivered once',
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
    '[MQTT-4.3.3-2] the same identifier after PUBCOMP is a new message, and PUBREL is always answered',
    async () => {
      const topic = mqtt.topic()
      const subscriber = await mqtt.client()
      await subscriber.subscribe(topic, 0)
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 2, messageId: 3 })
      await publisher.publish(topic, { qos: 2, messageId: 3, dup: true })
      publisher.send({ cmd: 'pubrel', messageId: 3 })
      await publisher.expect('pubcomp', { messageId: 3 })
      await subscriber.expectPublish({ topic })
      await subscriber.expectPublish({ topic })
      await subscriber.expectNothing()
    },
  )

  statement('[MQTT-4.3.3-2] a QoS 2 PUBLISH repeated after reconnection is delivered once', async () => {
    const topic = mqtt.topic()
    const clientId = mqtt.id()
    const subscriber = await mqtt.client()
    await subscriber.subscribe(topic, 0)
    const first = await mqtt.client({ clientId, clean: false })
    first.sendPublish(topic, { qos: 2, messageId: 8 })
    await first.expect('pubrec', { messageId: 8 })
    first.cut()
    const second = await mqtt.client({ clientId, clean: false })
    second.sendPublish(topic, { qos: 2, messageId: 8, dup: true })
    await second.expect('pubrec', { messageId: 8 })
    second.send({ cmd: 'pubrel', messageId: 8 })
    await second.expect('pubcomp', { messageId: 8 })
    await subscriber.expectPublish({ topic })
    await subscriber.expectNothing()
  })

  statement('[MQTT-3.3.2-1] an empty payload is a message like any other', async () => {
    const topic = mqtt.topic()
    const subscriber = await mqtt.client()
    await subscriber.subscribe(topic, 1)
    const publisher = await mqtt.client()
    publisher.sendBytes(frame(0x30, field(topic)))
    await subscriber.expectPublish({ topic, payload: '' })
  })
})
