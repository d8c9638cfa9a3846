/**
 * MQTT 5.0, section 3.3: PUBLISH, its flags and properties.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import { field, frame, properties, property, publishBytes, raw, u16, userProperty } from '../support/bytes.ts'
import { elapse } from '../support/eventually.ts'

const mqtt = useBroker(5)

const stored = (clientId: string) => ({ clientId, clean: false, properties: { sessionExpiryInterval: 100 } })

describe('3.3.1 DUP, QoS, RETAIN', () => {
  statement('[MQTT-3.3.1-1] what is sent again on reconnection has DUP set', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const publisher = await mqtt.client()
    const first = await mqtt.client(stored(clientId))
    await first.subscribe(topic, 2)
    await publisher.publish(topic, { qos: 1, payload: 'one' })
    await publisher.publish(topic, { qos: 2, payload: 'two' })
    const one = await first.expectPublish({ payload: 'one', dup: false })
    const two = await first.expectPublish({ payload: 'two', dup: false })
    first.cut()
    const second = await mqtt.client(stored(clientId))
    await second.expectPublish({ payload: 'one', dup: true, messageId: one.messageId })
    await second.expectPublish({ payload: 'two', dup: true, messageId: two.messageId })
  })

  statement('[MQTT-3.3.1-2] [MQTT-3.3.1-3] DUP is not passed on', async () => {
    const topic = mqtt.topic()
    const publisher = await mqtt.client()
    const subscriber = await mqtt.client()
    const plain = await mqtt.client()
    await subscriber.subscribe(topic, 2)
    await plain.subscribe(topic, 0)
    await publisher.publish(topic, { qos: 1, dup: true })
    await publisher.publish(topic, { qos: 2, dup: true })
    await subscriber.expectPublish({ qos: 1, dup: false })
    await subscriber.expectPublish({ qos: 2, dup: false })
    await plain.expectPublish({ qos: 0, dup: false })
    await plain.expectPublish({ qos: 0, dup: false })
  })

  statement(
    '[MQTT-3.3.1-2] a QoS 0 PUBLISH with DUP closes the connection',
    async () => {
      const client = await mqtt.client()
      client.sendBytes(publishBytes(5, mqtt.topic(), { flags: 0x08 }))
      await client.expectClosed([0x81, 0x82])
    },
    { mosquitto: 'ignores DUP at QoS 0' },
  )

  statement('[MQTT-3.3.1-4] QoS 3 closes the connection', async () => {
    for (const flags of [0x06, 0x07, 0x0e]) {
      const client = await mqtt.client()
      client.sendBytes(publishBytes(5, mqtt.topic(), { flags, id: 1 }))
      await client.expectClosed([0x81, 0x82, 0x9b])
    }
  })

  statement('[MQTT-3.3.1-5] a retained message replaces the one before', async () => {
    const topic = mqtt.topic()
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 2, retain: true, payload: 'old' })
    await publisher.publish(topic, { qos: 1, retain: true, payload: 'new' })
    const subscriber = await mqtt.client()
    await subscriber.subscribe(topic, 2)
    await subscriber.expectPublish({ payload: 'new', qos: 1, retain: true })
    await subscriber.expectNothing()
  })

  statement(
    '[MQTT-3.3.1-6] [MQTT-3.3.1-7] an empty retained message is delivered, and removes the retained one',
    async () => {
      const topic = mqtt.topic()
      const publisher = await mqtt.client()
      const established = await mqtt.client()
      await publisher.publish(topic, { qos: 1, retain: true, payload: 'kept' })
      await established.subscribe([{ topic, qos: 0, rap: true }])
      await established.expectPublish({ payload: 'kept', retain: true })
      await publisher.publish(topic, { qos: 1, retain: true, payload: '' })
      await established.expectPublish({ payload: '', retain: true })
      const late = await mqtt.client()
      await late.subscribe(topic)
      await late.expectNothing()
    },
  )

  statement('[MQTT-3.3.1-8] a message without RETAIN leaves the retained one alone, even when empty', async () => {
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

  statement(
    '[MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] retain handling: always, for a new subscription, never',
    async () => {
      const topic = mqtt.topic()
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 1, retain: true, payload: 'kept' })
      for (const [rh, times] of [
        [0, [1, 1, 1]],
        [1, [1, 0, 0]],
        [2, [0, 0, 0]],
      ] as const) {
        const client = await mqtt.client()
        const got: number[] = []
        for (const _ of times) {
          await client.subscribe([{ topic, qos: 0, rh }])
          got.push((await client.barrier()).length)
        }
        expect(got, `retain handling ${rh}`).toEqual(times)
        await client.unsubscribe(topic)
        await client.subscribe([{ topic, qos: 0, rh }])
        expect((await client.barrier()).length).toBe(times[0])
      }
    },
  )

  statement('[MQTT-3.3.1-12] [MQTT-3.3.1-13] RETAIN is forwarded only with retain as published', async () => {
    const topic = mqtt.topic()
    const publisher = await mqtt.client()
    for (const rap of [false, true]) {
      const client = await mqtt.client()
      await client.subscribe([{ topic, qos: 0, rap, rh: 2 }])
      await publisher.publish(topic, { retain: true })
      await client.expectPublish({ retain: rap })
      await publisher.publish(topic, { retain: false })
      await client.expectPublish({ retain: false })
      const late = await mqtt.client()
      await late.subscribe([{ topic, qos: 0, rap }])
      await late.expectPublish({ retain: true })
    }
  })
})

describe('3.3.2 topic name and properties', () => {
  statement('[MQTT-3.3.2-1] a PUBLISH whose topic name runs past its end closes the connection', async () => {
    for (const body of [raw(), raw(0), raw(0, 9, 0x61), raw(0xff, 0xff)]) {
      const client = await mqtt.client()
      client.sendBytes(frame(0x30, body))
      await client.expectClosed([0x81, 0x82])
    }
  })

  statement('[MQTT-3.3.2-2] wildcards in a topic name close the connection and reach nobody', async () => {
    const reader = await mqtt.client()
    const root = mqtt.topic()
    await reader.subscribe(`${root}/#`)
    for (const topic of [`${root}/+`, `${root}/#`, `${root}/a+`, `${root}/#/b`]) {
      const client = await mqtt.client()
      client.sendBytes(publishBytes(5, topic))
      await client.expectClosed([0x81, 0x82, 0x90])
    }
    await reader.expectNothing()
  })

  statement('[MQTT-3.3.2-3] what a subscriber gets matches its filter', async () => {
    const root = mqtt.topic()
    const publisher = await mqtt.client()
    const names = ['', '/', '/a', '/a/b', '/b', 'x', '/A']
    for (const [filter, wanted] of [
      [root, ['']],
      [`${root}/+`, ['/', '/a', '/b', '/A']],
      [`${root}/#`, ['', '/', '/a', '/a/b', '/b', '/A']],
      [`${root}/+/b`, ['/a/b']],
    ] as const) {
      const subscriber = await mqtt.client()
      await subscriber.subscribe(filter)
      for (const name of names) await publisher.publish(root + name)
      const got = (await subscriber.barrier()).map((p) => (p.cmd === 'publish' ? p.topic.slice(root.length) : p.cmd))
      expect(got.sort(), filter).toEqual([...wanted].sort())
    }
  })

  statement(
    '[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-20] all properties of a message reach its subscribers unaltered, retained or not',
    async () => {
      const publisher = await mqtt.client()
      for (const payloadFormatIndicator of [true, false]) {
        const topic = mqtt.topic()
        const sent = {
          payloadFormatIndicator,
          contentType: 'text/plain; charset=ü',
          responseTopic: 'answer/to/ö',
          correlationData: Buffer.from([0, 1, 0xff]),
          userProperties: { colour: ['red', 'red', 'blue'], '': 'empty name', empty: '' },
        }
        const early = await mqtt.client()
        await early.subscribe(topic, 1)
        await publisher.publish(topic, { qos: 1, retain: true, properties: sent })
        await early.expectPublish({ properties: sent })
        const late = await mqtt.client()
        await late.subscribe(topic, 1)
        await late.expectPublish({ retain: true, properties: sent })
      }
    },
  )

  statement('[MQTT-3.3.2-4] a payload format indicator that was not sent is not forwarded', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client()
    await client.subscribe(topic)
    const publisher = await mqtt.client()
    await publisher.publish(topic)
    expect((await client.expectPublish()).bytes.equals(publishBytes(5, topic))).toBe(true)
  })

  statement('[MQTT-3.3.2-17] [MQTT-3.3.2-18] user properties keep their order, whatever their names', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client()
    await client.subscribe(topic)
    const publisher = await mqtt.client()
    const pairs = [
      userProperty('b', '1'),
      userProperty('a', '2'),
      userProperty('b', '3'),
      userProperty('2', '4'),
      userProperty('1', '5'),
      userProperty('__proto__', '6'),
      userProperty('constructor', '7'),
    ]
    publisher.sendBytes(publishBytes(5, topic, { properties: properties(...pairs) }))
    const packet = await client.expectPublish()
    expect(packet.bytes.includes(Buffer.concat(pairs))).toBe(true)
  })

  statement('[MQTT-3.3.2-5] a message that expired while its session was away is not delivered', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const first = await mqtt.client(stored(clientId))
    await first.subscribe(topic, 2)
    await first.disconnect()
    const publisher = await mqtt.client()
    for (const qos of [1, 2] as const) {
      await publisher.publish(topic, { qos, payload: 'brief', properties: { messageExpiryInterval: 1 } })
      await publisher.publish(topic, { qos, payload: 'lasting' })
    }
    await publisher.publish(topic, { qos: 1, retain: true, payload: 'brief', properties: { messageExpiryInterval: 1 } })
    await elapse(2_200)
    const second = await mqtt.client(stored(clientId))
    await second.acknowledge(await second.expectPublish({ payload: 'lasting', qos: 1 }))
    await second.acknowledge(await second.expectPublish({ payload: 'lasting', qos: 2 }))
    await second.expectNothing()
    const late = await mqtt.client()
    await late.subscribe(topic)
    await late.expectNothing()
  })

  statement('[MQTT-3.3.2-6] the expiry interval is counted down while the message waits', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const first = await mqtt.client(stored(clientId))
    await first.subscribe(topic, 1)
    await first.disconnect()
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1, retain: true, properties: { messageExpiryInterval: 100 } })
    await elapse(1_200)
    const second = await mqtt.client(stored(clientId))
    const waited = (await second.expectPublish()).properties?.messageExpiryInterval
    const late = await mqtt.client()
    await late.subscribe(topic)
    const retained = (await late.expectPublish()).properties?.messageExpiryInterval
    for (const left of [waited, retained]) {
      expect(left).toBeLessThan(100)
      expect(left).toBeGreaterThan(80)
    }
  })

  statement(
    '[MQTT-3.3.2-8] [MQTT-3.3.2-9] an alias of 0, or above the server’s maximum, closes with 0x94',
    async () => {
      const probe = await mqtt.client()
      const max = probe.connack?.properties?.topicAliasMaximum ?? 0
      for (const alias of [0, max + 1, 65_535]) {
        const client = await mqtt.client()
        client.sendBytes(publishBytes(5, mqtt.topic(), { properties: properties(property(35, u16(alias))) }))
        await client.expectClosed([0x94, 0x82])
      }
    },
    { mosquitto: 'calls alias 0 malformed' },
  )

  statement('[MQTT-3.3.2-12] every alias up to the server’s maximum is accepted, used and replaced', async () => {
    const root = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(`${root}/#`)
    const client = await mqtt.client()
    const max = client.connack?.properties?.topicAliasMaximum ?? 0
    expect(max).toBeGreaterThan(0)
    for (const alias of [1, Math.ceil(max / 2), max]) {
      const aliased = properties(property(35, u16(alias)))
      client.sendBytes(publishBytes(5, `${root}/${alias}`, { properties: aliased }))
      client.sendBytes(publishBytes(5, '', { properties: aliased, payload: 'by alias' }))
      await reader.expectPublish({ topic: `${root}/${alias}` })
      await reader.expectPublish({ topic: `${root}/${alias}`, payload: 'by alias' })
      client.sendBytes(publishBytes(5, `${root}/other`, { properties: aliased }))
      client.sendBytes(publishBytes(5, '', { properties: aliased, payload: 'replaced' }))
      await reader.expectPublish({ topic: `${root}/other` })
      await reader.expectPublish({ topic: `${root}/other`, payload: 'replaced' })
    }
  })

  statement('[MQTT-3.3.2-7] an alias that was set on another connection is unknown', async () => {
    const clientId = mqtt.id()
    const aliased = properties(property(35, u16(1)))
    const first = await mqtt.client(stored(clientId))
    first.sendBytes(publishBytes(5, mqtt.topic(), { properties: aliased }))
    await first.disconnect()
    const second = await mqtt.client(stored(clientId))
    second.sendBytes(publishBytes(5, '', { properties: aliased }))
    await second.expectClosed([0x82, 0x94])
  })

  statement(
    '[MQTT-3.3.2-13] [MQTT-3.3.2-14] a response topic with wildcards, or empty, closes the connection',
    async () => {
      for (const topic of ['+', 'a/#', 'a+']) {
        const client = await mqtt.client()
        client.sendBytes(publishBytes(5, mqtt.topic(), { properties: properties(property(8, field(topic))) }))
        await client.expectClosed([0x81, 0x82, 0x90])
      }
    },
    { mosquitto: 'does not check response topics' },
  )

  statement('[MQTT-3.3.2-19] a content type that runs past the properties closes the connection', async () => {
    const client = await mqtt.client()
    client.sendBytes(publishBytes(5, mqtt.topic(), { properties: properties(raw(3, 0, 200, 0x61)) }))
    await client.expectClosed([0x81, 0x82])
  })

  statement(
    '[MQTT-3.3.4-6] a PUBLISH from a client with a subscription identifier closes the connection',
    async () => {
      const client = await mqtt.client()
      client.sendBytes(publishBytes(5, mqtt.topic(), { properties: properties(raw(11, 1)) }))
      await client.expectClosed([0x81, 0x82])
    },
    { mosquitto: 'ignores the identifier' },
  )

  statement('[MQTT-4.7.3-1] an empty topic name without an alias closes the connection', async () => {
    const client = await mqtt.client()
    client.sendBytes(publishBytes(5, ''))
    await client.expectClosed([0x81, 0x82, 0x90])
  })
})
