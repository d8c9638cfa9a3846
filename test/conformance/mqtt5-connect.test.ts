/**
 * MQTT 5.0, section 3.1: CONNECT but for its properties (mqtt5-connect-properties.test.ts).
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import { connectBytes, field, properties, property, publishBytes, raw, u32, userProperty } from '../support/bytes.ts'

const mqtt = useBroker(5)

const join = (...parts: Array<string | Buffer>): Buffer => Buffer.concat(parts.map((part) => field(part)))
const NO_PROPERTIES = raw(0)

async function watcher(topic: string) {
  const client = await mqtt.client()
  await client.subscribe(topic, 2)
  return client
}

const will = (topic: string, more: object = {}) => ({
  topic,
  payload: Buffer.from('gone'),
  qos: 0 as const,
  retain: false,
  ...more,
})

/** A handshake by hand that must fail, possibly after a CONNACK with one of `codes`. */
async function refuse(parts: Parameters<typeof connectBytes>[0], codes = [0x81, 0x82]) {
  const client = await mqtt.socket()
  client.sendBytes(connectBytes({ level: 5, ...parts }))
  await client.expectClosed(codes)
}

describe('3.1.0 and 3.1.2 the first packet and its header', () => {
  statement('[MQTT-3.1.0-1] any other packet before CONNECT closes the connection', async () => {
    for (const bytes of [
      publishBytes(5, 'a'),
      raw(0xc0, 0),
      raw(0xe0, 0),
      raw(0x82, 7, 0, 1, 0, 0, 1, 0x61, 0),
      raw(0xf0, 0),
    ]) {
      const client = await mqtt.socket()
      client.sendBytes(bytes)
      await client.expectEnd()
    }
  })

  statement('[MQTT-3.1.0-2] a second CONNECT is a protocol error', async () => {
    const client = await mqtt.client()
    client.sendConnect()
    await client.expectClosed([0x82])
  })

  statement('[MQTT-3.1.2-1] an unknown protocol name closes the connection', async () => {
    for (const protocolName of ['MQTt', 'mqtt', 'MQT', 'MQTTX', '', 'HTTP'])
      await refuse({ protocolName }, [0x81, 0x82, 0x84])
  })

  statement('[MQTT-3.1.2-2] an unsupported protocol version closes the connection', async () => {
    for (const level of [6, 7, 255]) {
      const client = await mqtt.socket()
      client.sendBytes(connectBytes({ level }))
      const answer = await client.next()
      if (answer === 'closed') continue
      expect(answer.cmd).toBe('connack')
      expect([0x01, 0x84]).toContain(answer.bytes[3])
      await client.expectEnd()
    }
  })

  statement('[MQTT-3.1.2-3] the reserved connect flag closes the connection', async () => {
    await refuse({ flags: 0x03 })
  })

  statement('[MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2] clean start drops an earlier session', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const stored = { clientId, properties: { sessionExpiryInterval: 100 } }
    const first = await mqtt.client({ ...stored, clean: false })
    await first.subscribe(topic, 1)
    await first.disconnect()
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1 })
    const second = await mqtt.client({ ...stored, clean: true })
    expect(second.connack?.sessionPresent).toBe(false)
    await publisher.publish(topic, { qos: 1 })
    await second.expectNothing()
  })

  statement(
    '[MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.2-23] [MQTT-3.2.2-3] without clean start a stored session is resumed, or a new one made',
    async () => {
      const clientId = mqtt.id()
      const topic = mqtt.topic()
      const stored = { clientId, clean: false, properties: { sessionExpiryInterval: 100 } }
      const first = await mqtt.client(stored)
      expect(first.connack?.sessionPresent).toBe(false)
      await first.subscribe(topic, 1)
      await first.disconnect()
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 1, payload: 'waiting' })
      const second = await mqtt.client(stored)
      expect(second.connack?.sessionPresent).toBe(true)
      await second.acknowledge(await second.expectPublish({ payload: 'waiting', dup: false }))
      await publisher.publish(topic, { payload: 'live' })
      await second.expectPublish({ payload: 'live' })
    },
  )

  statement(
    '[MQTT-3.1.2-22] [MQTT-3.2.2-22] a silent client is cut after one and a half times its keep alive',
    async () => {
      const topic = mqtt.topic()
      const reader = await watcher(topic)
      const since = performance.now()
      const client = await mqtt.client({ keepalive: 1, will: will(topic) })
      expect(client.connack?.properties?.serverKeepAlive).toBeUndefined()
      await reader.expectPublish({ payload: 'gone' })
      await client.expectClosed([0x8d])
      expect(performance.now() - since).toBeGreaterThan(1_400)
    },
  )
})

describe('3.1.2 will and credentials', () => {
  statement(
    '[MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-9] a cut connection publishes the will at its QoS with its properties',
    async () => {
      for (const qos of [0, 1, 2] as const) {
        const topic = mqtt.topic()
        const reader = await watcher(topic)
        const more = {
          payloadFormatIndicator: true,
          contentType: 'text/plain',
          responseTopic: 'answers',
          correlationData: Buffer.from([1, 2]),
        }
        const doomed = await mqtt.client({
          will: will(topic, { qos, properties: { ...more, messageExpiryInterval: 60 } }),
        })
        doomed.cut()
        const packet = await reader.expectPublish({ topic, payload: 'gone', qos, retain: false, properties: more })
        expect(packet.properties?.messageExpiryInterval).toBeGreaterThan(57)
        await reader.acknowledge(packet)
      }
    },
  )

  statement('[MQTT-3.1.2-9] a will flag without the will fields closes the connection', async () => {
    for (const rest of [raw(), NO_PROPERTIES, Buffer.concat([NO_PROPERTIES, field('t')])]) {
      await refuse({ flags: 0x06, payload: Buffer.concat([field('c'), rest]) })
    }
  })

  statement('[MQTT-3.1.2-10] a will is published once', async () => {
    const topic = mqtt.topic()
    const clientId = mqtt.id()
    const reader = await watcher(topic)
    const stored = { clientId, clean: false, properties: { sessionExpiryInterval: 100 } }
    const doomed = await mqtt.client({ ...stored, will: will(topic) })
    doomed.cut()
    await reader.expectPublish({ topic })
    const again = await mqtt.client(stored)
    again.cut()
    const other = await mqtt.client({ clientId, clean: true })
    await other.disconnect()
    await reader.expectNothing()
  })

  statement(
    '[MQTT-3.1.2-11] [MQTT-3.1.2-13] will QoS or will retain without the will flag closes the connection',
    async () => {
      for (const flags of [0x0a, 0x12, 0x22]) await refuse({ flags })
    },
    { mosquitto: 'does not check will QoS without the will flag' },
  )

  statement('[MQTT-3.1.2-12] will QoS 3 closes the connection', async () => {
    await refuse(
      { flags: 0x1e, payload: Buffer.concat([field('c'), NO_PROPERTIES, join('t', 'm')]) },
      [0x81, 0x82, 0x9b],
    )
  })

  statement('[MQTT-3.1.2-14] [MQTT-3.1.2-15] a will is retained when it says so, and only then', async () => {
    for (const retain of [false, true]) {
      const topic = mqtt.topic()
      const reader = await watcher(topic)
      const doomed = await mqtt.client({ will: will(topic, { retain }) })
      doomed.cut()
      await reader.expectPublish({ topic, retain: false })
      const late = await watcher(topic)
      if (retain) await late.expectPublish({ topic, payload: 'gone', retain: true })
      await late.expectNothing()
    }
  })

  statement('[MQTT-3.1.2-16] [MQTT-3.1.2-18] fields without their flags close the connection', async () => {
    await refuse({ flags: 0x02, payload: join('c', 'user') })
    await refuse({ flags: 0x82, payload: join('c', 'user', 'password') })
  })

  statement('[MQTT-3.1.2-17] [MQTT-3.1.2-19] flags without their fields close the connection', async () => {
    await refuse({ flags: 0x82, payload: join('c') })
    await refuse({ flags: 0xc2, payload: join('c', 'user') })
  })

  statement('[MQTT-3.1.2-17] [MQTT-3.1.2-19] a user name, a password, and a password alone are taken', async () => {
    for (const [flags, fields] of [
      [0x82, ['user']],
      [0xc2, ['user', raw(0, 0xff)]],
      [0x42, ['password']],
    ] as const) {
      const client = await mqtt.socket()
      client.sendBytes(connectBytes({ level: 5, flags, payload: join(mqtt.id(), ...fields) }))
      await client.expect('connack', { reasonCode: 0 })
    }
  })
})

describe('3.1.2.5 will delay', () => {
  statement(
    '[MQTT-3.1.2-8] the will waits for its delay',
    async () => {
      const topic = mqtt.topic()
      const reader = await watcher(topic)
      const doomed = await mqtt.client({
        clean: false,
        properties: { sessionExpiryInterval: 100 },
        will: will(topic, { properties: { willDelayInterval: 1 } }),
      })
      const since = performance.now()
      doomed.cut()
      await reader.expectPublish({ payload: 'gone' })
      expect(performance.now() - since).toBeGreaterThan(900)
    },
    { mosquitto: 'counts the delay in whole seconds of its own clock' },
  )

  statement(
    '[MQTT-3.1.2-8] the will does not wait longer than its session lives',
    async () => {
      const topic = mqtt.topic()
      const reader = await watcher(topic)
      for (const sessionExpiryInterval of [0, 1]) {
        const doomed = await mqtt.client({
          clean: false,
          properties: { sessionExpiryInterval },
          will: will(topic, { properties: { willDelayInterval: 1_000 } }),
        })
        doomed.cut()
        await reader.expectPublish({ payload: 'gone' })
      }
    },
    { mosquitto: 'looks at expired sessions only now and then' },
  )

  statement(
    '[MQTT-3.1.2-8] a clean start ends the session, and so the wait of its will',
    async () => {
      const topic = mqtt.topic()
      const reader = await watcher(topic)
      const clientId = mqtt.id()
      const doomed = await mqtt.client({
        clientId,
        properties: { sessionExpiryInterval: 100 },
        will: will(topic, { properties: { willDelayInterval: 1_000 } }),
      })
      doomed.cut()
      await mqtt.client({ clientId, clean: true })
      await reader.expectPublish({ payload: 'gone' })
    },
    { mosquitto: 'drops the will' },
  )

  statement('[MQTT-3.1.3-9] a new connection within the delay keeps the will from being sent', async () => {
    const topic = mqtt.topic()
    const reader = await watcher(topic)
    const clientId = mqtt.id()
    const stored = { clientId, clean: false, properties: { sessionExpiryInterval: 100 } }
    const first = await mqtt.client({ ...stored, will: will(topic, { properties: { willDelayInterval: 1 } }) })
    first.cut()
    await mqtt.client(stored)
    // A second will with the same delay, of another session, comes after the first one would have.
    const marker = await mqtt.client({
      properties: { sessionExpiryInterval: 100 },
      will: will(topic, { payload: Buffer.from('marker'), properties: { willDelayInterval: 1 } }),
    })
    marker.cut()
    await reader.expectPublish({ payload: 'marker' })
    await reader.expectNothing()
  })
})

describe('3.1.3 payload', () => {
  statement('[MQTT-3.1.3-1] the fields are taken in their order', async () => {
    const topic = mqtt.topic()
    const reader = await watcher(topic)
    const client = await mqtt.socket()
    const payload = Buffer.concat([
      field(mqtt.id()),
      properties(userProperty('a', '1')),
      join(topic, 'message', 'user', 'password'),
    ])
    client.sendBytes(connectBytes({ level: 5, flags: 0xc6, payload }))
    await client.expect('connack', { reasonCode: 0 })
    client.cut()
    await reader.expectPublish({ topic, payload: 'message', properties: { userProperties: { a: '1' } } })
  })

  statement('[MQTT-3.1.3-2] sessions of different client ids, even by case only, are separate', async () => {
    const id = mqtt.id()
    const stored = { clean: false, properties: { sessionExpiryInterval: 100 } }
    await (await mqtt.client({ ...stored, clientId: `${id}a` })).disconnect()
    const upper = await mqtt.client({ ...stored, clientId: `${id}A` })
    expect(upper.connack?.sessionPresent).toBe(false)
    const lower = await mqtt.client({ ...stored, clientId: `${id}a` })
    expect(lower.connack?.sessionPresent).toBe(true)
  })

  statement('[MQTT-3.1.3-3] [MQTT-3.1.3-4] a payload without a client id closes the connection', async () => {
    for (const payload of [raw(), raw(0), raw(0, 5, 0x61)]) await refuse({ payload })
  })

  statement('[MQTT-3.1.3-5] every digit and letter, and 1 to 23 bytes, are accepted', async () => {
    for (const clientId of ['0123456789abcdefghijklm', 'nopqrstuvwxyzABCDEFGHIJ', 'KLMNOPQRSTUVWXYZ', 'x']) {
      const client = await mqtt.client({ clientId })
      await client.disconnect()
    }
  })

  statement(
    '[MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] an empty client id gets an assigned one that can be used again',
    async () => {
      const seen = new Set<string>()
      for (const clean of [true, false]) {
        const client = await mqtt.socket()
        const expiry = properties(property(17, u32(100)))
        client.sendBytes(connectBytes({ level: 5, flags: clean ? 2 : 0, properties: expiry, payload: field('') }))
        const connack = await client.expect('connack', { reasonCode: 0, sessionPresent: false })
        const assigned = connack.properties?.assignedClientIdentifier ?? ''
        expect(assigned).not.toBe('')
        seen.add(assigned)
        await client.disconnect()
        const again = await mqtt.client({ clientId: assigned, clean: false })
        expect(again.connack?.sessionPresent).toBe(true)
        expect(again.connack?.properties?.assignedClientIdentifier).toBeUndefined()
      }
      expect(seen.size).toBe(2)
    },
  )

  statement('[MQTT-3.1.3-8] a client id that is too long, if refused, is refused with 0x85 and closed', async () => {
    const client = await mqtt.socket()
    client.sendConnect({ clientId: 'x'.repeat(65_535) })
    const answer = await client.next()
    if (answer === 'closed' || answer.cmd !== 'connack' || answer.reasonCode === 0) return
    expect(answer.reasonCode).toBe(0x85)
    await client.expectEnd()
  })

  statement('[MQTT-3.1.3-10] user properties of a will keep their order', async () => {
    const topic = mqtt.topic()
    const reader = await watcher(topic)
    const client = await mqtt.socket()
    const pairs = [userProperty('b', '1'), userProperty('a', '2'), userProperty('b', '3'), userProperty('1', '4')]
    const payload = Buffer.concat([field(mqtt.id()), properties(...pairs), join(topic, 'm')])
    client.sendBytes(connectBytes({ level: 5, flags: 0x06, payload }))
    await client.expect('connack', { reasonCode: 0 })
    client.cut()
    const packet = await reader.expectPublish({ topic })
    expect(packet.bytes.includes(Buffer.concat(pairs))).toBe(true)
  })

  statement('[MQTT-3.1.3-11] a will topic that is empty or has wildcards closes the connection', async () => {
    for (const topic of ['', '#', 'a/+', 'a+', 'a#']) {
      await refuse(
        { flags: 0x06, payload: Buffer.concat([field('c'), NO_PROPERTIES, join(topic, 'm')]) },
        [0x81, 0x82, 0x90],
      )
    }
  })

  statement('[MQTT-3.1.3-12] a user name of any UTF-8 is taken', async () => {
    const client = await mqtt.client({ username: 'Zoë 🙂 Ünï' })
    await client.expectNothing()
  })
})

describe('3.1.4 actions', () => {
  statement('[MQTT-3.1.4-1] a CONNECT of the wrong form closes the connection', async () => {
    for (const bytes of [raw(0x10, 0), raw(0x10, 3, 0, 4, 0x4d), raw(0x10, 7, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5)]) {
      const client = await mqtt.socket()
      client.sendBytes(bytes)
      await client.expectClosed([0x81, 0x82])
    }
    await refuse({ payload: Buffer.concat([field('c'), raw(1, 2, 3)]) })
  })

  statement('[MQTT-3.1.4-2] [MQTT-3.1.4-6] packets behind a refused CONNECT are not processed', async () => {
    const reader = await watcher('#')
    await reader.barrier()
    const client = await mqtt.socket()
    const authentication = properties(Buffer.concat([raw(21), field('no such method')]))
    client.sendBytes(connectBytes({ level: 5, properties: authentication }), publishBytes(5, mqtt.topic()))
    await client.expectClosed([0x8c, 0x87, 0x82])
    await reader.expectNothing()
  })

  statement(
    '[MQTT-3.1.4-3] a new connection with the same client id sends the old one away with 0x8E',
    async () => {
      for (const clean of [true, false]) {
        const clientId = mqtt.id()
        const first = await mqtt.client({ clientId, clean })
        const second = await mqtt.client({ clientId, clean })
        await first.expectDisconnected(0x8e)
        await second.expectNothing()
      }
    },
    { mosquitto: 'closes a taken over connection without DISCONNECT' },
  )

  statement('[MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2] CONNACK 0 is the first packet and comes once', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const stored = { clientId, clean: false, properties: { sessionExpiryInterval: 100 } }
    const first = await mqtt.client(stored)
    await first.subscribe(topic, 1)
    await first.disconnect()
    const publisher = await mqtt.client()
    for (let i = 0; i < 5; i++) await publisher.publish(topic, { qos: 1 })
    const second = await mqtt.client(stored)
    for (let i = 0; i < 5; i++) await second.expectPublish({ topic })
    await second.expectNothing()
  })

  statement('[MQTT-3.1.4-5] packets that come right behind an accepted CONNECT are processed', async () => {
    const topic = mqtt.topic()
    const reader = await watcher(topic)
    const client = await mqtt.socket()
    client.sendBytes(connectBytes({ level: 5 }), publishBytes(5, topic, { flags: 2, id: 3, payload: 'early' }))
    await client.expect('connack', { reasonCode: 0 })
    await client.expect('puback', { messageId: 3 })
    await reader.expectPublish({ topic, payload: 'early' })
  })
})
