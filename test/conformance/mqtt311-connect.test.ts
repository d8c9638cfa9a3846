/**
 * MQTT 3.1.1, sections 3.1 and 3.2: CONNECT and CONNACK.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import { connectBytes, field, publishBytes, raw } from '../support/bytes.ts'

const mqtt = useBroker(4)

const join = (...parts: Array<string | Buffer>): Buffer => Buffer.concat(parts.map(field))

/** A client that subscribed to `topic`, for seeing wills. */
async function watcher(topic: string, qos: 0 | 1 | 2 = 2) {
  const client = await mqtt.client()
  await client.subscribe(topic, qos)
  return client
}

describe('3.1.0 the first packet', () => {
  statement('[MQTT-3.1.0-1] any other packet before CONNECT closes the connection', async () => {
    for (const bytes of [
      publishBytes(4, 'a'),
      raw(0xc0, 0),
      raw(0xe0, 0),
      raw(0x82, 6, 0, 1, 0, 1, 0x61, 0),
      raw(0x40, 2, 0, 1),
      raw(0x20, 2, 0, 0),
    ]) {
      const client = await mqtt.socket()
      client.sendBytes(bytes)
      await client.expectClosed()
    }
  })

  statement('[MQTT-3.1.0-2] a second CONNECT closes the connection', async () => {
    const client = await mqtt.client()
    client.sendConnect()
    await client.expectClosed()
  })
})

describe('3.1.2 variable header', () => {
  statement('[MQTT-3.1.2-1] an unknown protocol name is not taken for MQTT 3.1.1', async () => {
    for (const protocolName of ['MQTt', 'mqtt', 'MQT', 'MQTTX', '', 'HTTP']) {
      const client = await mqtt.socket()
      client.sendBytes(connectBytes({ protocolName }))
      await client.expectClosed()
    }
  })

  statement(
    '[MQTT-3.1.2-2] [MQTT-3.2.2-5] an unsupported protocol level gets return code 1 and is closed',
    async () => {
      for (const level of [1, 2]) {
        const client = await mqtt.socket()
        client.sendBytes(connectBytes({ level }))
        await client.expectRefused(1)
      }
    },
  )

  statement('[MQTT-3.1.2-3] the reserved connect flag closes the connection', async () => {
    const client = await mqtt.socket()
    client.sendBytes(connectBytes({ flags: 0x03 }))
    await client.expectClosed()
  })

  statement(
    '[MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.4-3] a persistent session keeps subscriptions and collects QoS 1 and 2 while away',
    async () => {
      const clientId = mqtt.id()
      const topic = mqtt.topic()
      const first = await mqtt.client({ clientId, clean: false })
      await first.subscribe(topic, 2)
      await first.disconnect()
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 1, payload: 'one' })
      await publisher.publish(topic, { qos: 2, payload: 'two' })
      const second = await mqtt.client({ clientId, clean: false })
      expect(second.connack?.sessionPresent).toBe(true)
      await second.acknowledge(await second.expectPublish({ topic, payload: 'one', qos: 1, dup: false }))
      await second.acknowledge(await second.expectPublish({ topic, payload: 'two', qos: 2, dup: false }))
      await publisher.publish(topic, { payload: 'three' })
      await second.expectPublish({ topic, payload: 'three', qos: 0 })
      await second.expectNothing()
    },
  )

  statement('[MQTT-3.1.2-6] [MQTT-3.1.4-3] clean session drops an earlier session and leaves none behind', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const first = await mqtt.client({ clientId, clean: false })
    await first.subscribe(topic, 1)
    await first.disconnect()
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1 })
    const second = await mqtt.client({ clientId, clean: true })
    expect(second.connack?.sessionPresent).toBe(false)
    await second.expectNothing()
    await second.subscribe(topic, 1)
    await second.disconnect()
    await publisher.publish(topic, { qos: 1 })
    const third = await mqtt.client({ clientId, clean: false })
    expect(third.connack?.sessionPresent).toBe(false)
    await publisher.publish(topic, { qos: 1 })
    await third.expectNothing()
  })

  statement('[MQTT-3.1.2.7] retained messages outlive the session that published them', async () => {
    const topic = mqtt.topic()
    const publisher = await mqtt.client({ clean: true })
    await publisher.publish(topic, { qos: 1, retain: true, payload: 'kept' })
    await publisher.disconnect()
    const reader = await watcher(topic)
    await reader.expectPublish({ topic, payload: 'kept', retain: true })
  })
})

describe('3.1.2 wills', () => {
  statement('[MQTT-3.1.2-8] [MQTT-3.1.2-9] a cut connection publishes the will at its QoS', async () => {
    for (const qos of [0, 1, 2] as const) {
      const topic = mqtt.topic()
      const reader = await watcher(topic)
      const doomed = await mqtt.client({ will: { topic, payload: Buffer.from('gone'), qos, retain: false } })
      doomed.cut()
      await reader.acknowledge(await reader.expectPublish({ topic, payload: 'gone', qos, retain: false }))
    }
  })

  statement('[MQTT-3.1.2-8] a protocol error publishes the will', async () => {
    const topic = mqtt.topic()
    const reader = await watcher(topic)
    const doomed = await mqtt.client({ will: { topic, payload: Buffer.from('gone'), qos: 0, retain: false } })
    doomed.sendBytes(raw(0xf0, 0))
    await reader.expectPublish({ topic, payload: 'gone' })
  })

  statement('[MQTT-3.1.2-9] a will flag without will fields closes the connection', async () => {
    for (const payload of [join('c'), join('c', 'topic')]) {
      const client = await mqtt.socket()
      client.sendBytes(connectBytes({ flags: 0x06, payload }))
      await client.expectClosed()
    }
  })

  statement('[MQTT-3.1.2-10] a will is published once', async () => {
    const topic = mqtt.topic()
    const clientId = mqtt.id()
    const reader = await watcher(topic)
    const will = { topic, payload: Buffer.from('gone'), qos: 0 as const, retain: false }
    const doomed = await mqtt.client({ clientId, clean: false, will })
    doomed.cut()
    await reader.expectPublish({ topic })
    const again = await mqtt.client({ clientId, clean: false })
    again.cut()
    const other = await mqtt.client({ clientId, clean: true })
    await other.disconnect()
    await reader.expectNothing()
  })

  statement(
    '[MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-15] will QoS or retain without the will flag closes',
    async () => {
      for (const flags of [0x0a, 0x12, 0x22]) {
        const client = await mqtt.socket()
        client.sendBytes(connectBytes({ flags }))
        await client.expectClosed()
      }
    },
    { mosquitto: 'does not check will QoS without the will flag' },
  )

  statement('[MQTT-3.1.2-11] will fields without the will flag close the connection', async () => {
    const client = await mqtt.socket()
    client.sendBytes(connectBytes({ flags: 0x02, payload: join('c', 'topic', 'message') }))
    await client.expectClosed()
  })

  statement('[MQTT-3.1.2-12] without a will a cut connection publishes nothing', async () => {
    const reader = await watcher('#')
    await reader.barrier() // retained messages of other tests
    const doomed = await mqtt.client()
    doomed.cut()
    await mqtt.client({ clientId: doomed.clientId })
    await reader.expectNothing()
  })

  statement('[MQTT-3.1.2-14] will QoS 3 closes the connection', async () => {
    const client = await mqtt.socket()
    client.sendBytes(connectBytes({ flags: 0x1e, payload: join('c', 'topic', 'message') }))
    await client.expectClosed()
  })

  statement('[MQTT-3.1.2-16] [MQTT-3.1.2-17] a will is retained when it says so, and only then', async () => {
    for (const retain of [false, true]) {
      const topic = mqtt.topic()
      const reader = await watcher(topic)
      const doomed = await mqtt.client({ will: { topic, payload: Buffer.from('gone'), qos: 1, retain } })
      doomed.cut()
      await reader.acknowledge(await reader.expectPublish({ topic, retain: false }))
      const late = await watcher(topic)
      if (retain) await late.acknowledge(await late.expectPublish({ topic, payload: 'gone', retain: true }))
      await late.expectNothing()
    }
  })
})

describe('3.1.2 user name, password, keep alive', () => {
  statement('[MQTT-3.1.2-18] [MQTT-3.1.2-20] fields without their flags close the connection', async () => {
    for (const [flags, payload] of [
      [0x02, join('c', 'user')],
      [0x82, join('c', 'user', 'password')],
    ] as const) {
      const client = await mqtt.socket()
      client.sendBytes(connectBytes({ flags, payload }))
      await client.expectClosed()
    }
  })

  statement('[MQTT-3.1.2-19] [MQTT-3.1.2-21] flags without their fields close the connection', async () => {
    for (const [flags, payload] of [
      [0x82, join('c')],
      [0xc2, join('c', 'user')],
    ] as const) {
      const client = await mqtt.socket()
      client.sendBytes(connectBytes({ flags, payload }))
      await client.expectClosed()
    }
  })

  statement('[MQTT-3.1.2-19] [MQTT-3.1.2-21] a user name and any bytes as password are taken', async () => {
    const client = await mqtt.socket()
    client.sendBytes(connectBytes({ flags: 0xc2, payload: join(mqtt.id(), 'user', raw(0, 0xff, 0x80)) }))
    await client.expect('connack', { returnCode: 0 })
  })

  statement('[MQTT-3.1.2-22] a password without a user name closes the connection', async () => {
    const client = await mqtt.socket()
    client.sendBytes(connectBytes({ flags: 0x42, payload: join('c', 'password') }))
    await client.expectClosed()
  })

  statement(
    '[MQTT-3.1.2-24] a silent client is cut after one and a half times its keep alive, as if it had failed',
    async () => {
      const topic = mqtt.topic()
      const reader = await watcher(topic)
      const since = performance.now()
      const client = await mqtt.client({
        keepalive: 1,
        will: { topic, payload: Buffer.from('silent'), qos: 0, retain: false },
      })
      await reader.expectPublish({ topic, payload: 'silent' })
      await client.expectEnd()
      expect(performance.now() - since).toBeGreaterThan(1_400)
    },
  )
})

describe('3.1.3 payload', () => {
  statement('[MQTT-3.1.3-1] the fields are taken in their order', async () => {
    const topic = mqtt.topic()
    const reader = await watcher(topic)
    const client = await mqtt.socket()
    client.sendBytes(connectBytes({ flags: 0xc6, payload: join(mqtt.id(), topic, 'message', 'user', 'password') }))
    await client.expect('connack', { returnCode: 0 })
    client.cut()
    await reader.expectPublish({ topic, payload: 'message' })
  })

  statement('[MQTT-3.1.3-2] sessions of different client ids, even by case only, are separate', async () => {
    const topic = mqtt.topic()
    const id = mqtt.id()
    const lower = await mqtt.client({ clientId: `${id}a`, clean: false })
    await lower.subscribe(topic, 1)
    await lower.disconnect()
    const upper = await mqtt.client({ clientId: `${id}A`, clean: false })
    expect(upper.connack?.sessionPresent).toBe(false)
    await upper.publish(topic, { qos: 1 })
    await upper.expectNothing()
    const again = await mqtt.client({ clientId: `${id}a`, clean: false })
    expect(again.connack?.sessionPresent).toBe(true)
    await again.expectPublish({ topic })
  })

  statement('[MQTT-3.1.3-3] [MQTT-3.1.3-4] a payload without a client id closes the connection', async () => {
    for (const payload of [raw(), raw(0), raw(0, 5, 0x61)]) {
      const client = await mqtt.socket()
      client.sendBytes(connectBytes({ payload }))
      await client.expectClosed()
    }
  })

  statement('[MQTT-3.1.3-5] every digit and letter, and 1 to 23 bytes, are accepted', async () => {
    for (const clientId of ['0123456789abcdefghijklm', 'nopqrstuvwxyzABCDEFGHIJ', 'KLMNOPQRSTUVWXYZ', 'x']) {
      const client = await mqtt.client({ clientId })
      await client.disconnect()
    }
  })

  statement('[MQTT-3.1.3-6] [MQTT-3.1.3-7] clients without a client id get different ones', async () => {
    const one = await mqtt.socket()
    const two = await mqtt.socket()
    for (const client of [one, two]) {
      client.sendBytes(connectBytes({ flags: 0x02, payload: field('') }))
      await client.expect('connack', { returnCode: 0, sessionPresent: false })
    }
    await one.expectNothing()
    await two.expectNothing()
  })

  statement(
    '[MQTT-3.1.3-7] [MQTT-3.1.3-8] [MQTT-3.1.3-9] no client id and no clean session gets return code 2',
    async () => {
      const client = await mqtt.socket()
      client.sendBytes(connectBytes({ flags: 0x00, payload: field('') }))
      await client.expectRefused(2)
    },
  )

  statement(
    '[MQTT-3.1.3-10] a will topic that is empty or has wildcards closes the connection',
    async () => {
      for (const topic of ['', '#', 'a/+', 'a+', 'a#']) {
        const client = await mqtt.socket()
        client.sendBytes(connectBytes({ flags: 0x06, payload: join('c', topic, 'message') }))
        await client.expectClosed()
      }
    },
    { mosquitto: 'takes an empty will topic in 3.1.1' },
  )

  statement('[MQTT-3.1.3-11] a user name of any UTF-8 is taken', async () => {
    const client = await mqtt.client({ username: 'Zoë 🙂 Ünï', password: Buffer.from('') })
    await client.expectNothing()
  })
})

describe('3.1.4 actions', () => {
  statement('[MQTT-3.1.4-1] [MQTT-3.2.2-6] a CONNECT of the wrong form is closed without CONNACK', async () => {
    for (const bytes of [
      raw(0x10, 0),
      raw(0x10, 3, 0, 4, 0x4d),
      raw(0x10, 7, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4),
      connectBytes({ payload: Buffer.concat([field('c'), raw(1, 2, 3)]) }),
    ]) {
      const client = await mqtt.socket()
      client.sendBytes(bytes)
      await client.expectClosed()
    }
  })

  statement('[MQTT-3.1.4-2] a new connection with the client id of a connected one closes that', async () => {
    for (const clean of [true, false]) {
      const clientId = mqtt.id()
      const first = await mqtt.client({ clientId, clean })
      const second = await mqtt.client({ clientId, clean })
      await first.expectEnd()
      await second.expectNothing()
    }
  })

  statement(
    '[MQTT-3.1.4-4] [MQTT-3.2.0-1] CONNACK 0 is the first packet, before what a session has waiting',
    async () => {
      const clientId = mqtt.id()
      const topic = mqtt.topic()
      const first = await mqtt.client({ clientId, clean: false })
      await first.subscribe(topic, 1)
      await first.disconnect()
      const publisher = await mqtt.client()
      for (let i = 0; i < 10; i++) await publisher.publish(topic, { qos: 1 })
      const second = await mqtt.client({ clientId, clean: false })
      for (let i = 0; i < 10; i++) await second.expectPublish({ topic })
    },
  )

  statement('[MQTT-3.1.4-5] packets behind a refused CONNECT are not processed', async () => {
    const topic = mqtt.topic()
    const reader = await watcher('#')
    await reader.barrier() // retained messages of other tests
    const client = await mqtt.socket()
    client.sendBytes(connectBytes({ flags: 0x00, payload: field('') }), publishBytes(4, topic))
    await client.expectRefused(2)
    await reader.expectNothing()
  })

  statement('[MQTT-3.1.4-4] packets that come right behind an accepted CONNECT are processed', async () => {
    const topic = mqtt.topic()
    const reader = await watcher(topic)
    const client = await mqtt.socket()
    client.sendBytes(connectBytes(), publishBytes(4, topic, { flags: 2, id: 3, payload: 'early' }))
    await client.expect('connack', { returnCode: 0 })
    await client.expect('puback', { messageId: 3 })
    await reader.expectPublish({ topic, payload: 'early' })
  })
})

describe('3.2 CONNACK', () => {
  statement(
    '[MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] session present says whether a session was resumed',
    async () => {
      const clientId = mqtt.id()
      const present: Array<boolean | undefined> = []
      for (const clean of [false, false, true, false, false]) {
        const client = await mqtt.client({ clientId, clean })
        present.push(client.connack?.sessionPresent)
        await client.disconnect()
      }
      expect(present).toEqual([false, true, false, false, true])
    },
  )

  statement('[MQTT-3.2.2-4] [MQTT-3.2.2-5] a refusal has session present 0 and ends the connection', async () => {
    const client = await mqtt.socket()
    client.sendBytes(connectBytes({ level: 2 }))
    const connack = await client.expectRefused(1)
    expect([...connack.bytes]).toEqual([0x20, 2, 0, 1])
  })
})
