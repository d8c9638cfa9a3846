/**
 * What becomes of messages where several rules of MQTT meet: reconnection with other limits or another version, aliases
 * and redelivery, shared beside ordinary subscriptions, half-closed sockets, a broker that stops.
 */
import { describe, expect, test } from 'vitest'
import { IS_AGNER, IS_MOSQUITTO, startTarget, useBroker } from '../support/broker.ts'
import { connectBytes, publishBytes, raw } from '../support/bytes.ts'
import { RawClient } from '../support/raw-client.ts'

const mqtt = useBroker(5)

const stored = (clientId: string, more: object = {}) => ({
  clientId,
  clean: false,
  properties: { sessionExpiryInterval: 100, ...more },
})

describe('a session that is resumed', () => {
  test.skipIf(IS_MOSQUITTO)('with a smaller receive maximum gets its open messages no faster than that', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const first = await mqtt.client(stored(clientId))
    await first.subscribe(topic, 2)
    const publisher = await mqtt.client()
    for (let i = 0; i < 5; i++) await publisher.publish(topic, { qos: 1, payload: String(i) })
    for (let i = 0; i < 5; i++) await first.expectPublish({ payload: String(i) })
    first.cut()
    const second = await mqtt.client(stored(clientId, { receiveMaximum: 1 }))
    for (let i = 0; i < 5; i++) {
      const packet = await second.expectPublish({ payload: String(i), dup: true })
      await second.expectNothing()
      await second.acknowledge(packet)
    }
    await second.expectNothing()
  })

  test.skipIf(IS_MOSQUITTO)('without topic aliases gets whole topic names for what was sent by alias', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const first = await mqtt.client(stored(clientId, { topicAliasMaximum: 5 }))
    await first.subscribe(`${topic}/#`, 1)
    const publisher = await mqtt.client()
    for (let i = 0; i < 3; i++) await publisher.publish(`${topic}/x`, { qos: 1, payload: String(i) })
    for (let i = 0; i < 3; i++) await first.expectPublish({ payload: String(i) })
    first.cut()
    const second = await mqtt.client(stored(clientId))
    for (let i = 0; i < 3; i++) {
      const packet = await second.expectPublish({ topic: `${topic}/x`, payload: String(i), dup: true })
      expect(packet.properties?.topicAlias).toBeUndefined()
      await second.acknowledge(packet)
    }
  })

  test('by a client of another version goes on in that version', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const five = await mqtt.client(stored(clientId))
    await five.subscribe(topic, 1, { subscriptionIdentifier: 3 })
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1, payload: 'open', properties: { contentType: 'text' } })
    await five.expectPublish({ payload: 'open' })
    five.cut()
    const four = await mqtt.client({ version: 4, clientId, clean: false })
    expect(four.connack?.sessionPresent).toBe(true)
    const packet = await four.expectPublish({ payload: 'open', dup: true })
    expect(packet.bytes.equals(publishBytes(4, topic, { flags: 10, id: packet.messageId ?? 0, payload: 'open' }))).toBe(
      true,
    )
    await four.acknowledge(packet)
    await four.disconnect()
    const again = await mqtt.client(stored(clientId))
    await publisher.publish(topic, { properties: { contentType: 'text' } })
    await again.expectPublish({ properties: { contentType: 'text', subscriptionIdentifier: 3 } })
  })

  test('by take-over gets what the old connection had not acknowledged', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const first = await mqtt.client(stored(clientId))
    await first.subscribe(topic, 2)
    const publisher = await mqtt.client()
    for (let i = 0; i < 10; i++) await publisher.publish(topic, { qos: i % 2 === 0 ? 1 : 2, payload: String(i) })
    for (let i = 0; i < 10; i++) await first.expectPublish({ payload: String(i) })
    const second = await mqtt.client(stored(clientId))
    for (let i = 0; i < 10; i++) await second.expectPublish({ payload: String(i), dup: true })
    await second.expectNothing()
  })

  test('over and over, at any moment, loses nothing and repeats no QoS 2 message', { timeout: 60_000 }, async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const count = 200
    let client = await mqtt.client(stored(clientId))
    await client.subscribe(topic, 2)
    const publisher = await mqtt.client()
    const publishing = (async () => {
      for (let i = 0; i < count; i++) await publisher.publish(topic, { qos: i % 2 === 0 ? 1 : 2, payload: String(i) })
    })()
    const settled: string[] = []
    const open = new Map<number, string>()
    let handled = 0
    while (new Set(settled).size < count) {
      const packet = await client.next()
      if (packet === 'closed') throw new Error('closed by the broker')
      handled++
      // The connection is cut at ever other points of the exchanges, now before and now after the answer.
      if (handled % 7 === 3) {
        client.cut()
        client = await mqtt.client(stored(clientId))
        continue
      }
      if (packet.cmd === 'publish' && packet.qos === 1) {
        settled.push(packet.payload.toString())
        client.send({ cmd: 'puback', messageId: packet.messageId! })
      } else if (packet.cmd === 'publish') {
        open.set(packet.messageId!, packet.payload.toString())
        client.send({ cmd: 'pubrec', messageId: packet.messageId! })
      } else if (packet.cmd === 'pubrel') {
        const payload = open.get(packet.messageId)
        if (payload !== undefined) settled.push(payload)
        open.delete(packet.messageId)
        client.send({ cmd: 'pubcomp', messageId: packet.messageId })
      }
      if (handled % 7 === 6) {
        await client.survives().catch(() => false)
        client.cut()
        client = await mqtt.client(stored(clientId))
      }
    }
    await publishing
    const twice = settled.filter((payload, i) => Number(payload) % 2 === 1 && settled.indexOf(payload) !== i)
    expect(twice).toEqual([])
    expect(new Set(settled).size).toBe(count)
  })
})

describe('subscriptions of several kinds', () => {
  test('a shared and an ordinary subscription of one client to one topic deliver one message each', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client()
    await client.subscribe(topic, 1)
    await client.subscribe(`$share/g/${topic}`, 1)
    await client.subscribe(`$share/h/${topic}`, 1)
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1 })
    for (let i = 0; i < 3; i++) await client.acknowledge(await client.expectPublish({ topic }))
    await client.expectNothing()
    await client.unsubscribe(`$share/g/${topic}`)
    await publisher.publish(topic, { qos: 1 })
    for (let i = 0; i < 2; i++) await client.acknowledge(await client.expectPublish({ topic }))
    await client.expectNothing()
  })

  test('a shared subscription carries its identifier, and the publisher’s own message goes to the group too', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client()
    await client.subscribe(`$share/g/${topic}`, 0, { subscriptionIdentifier: 12 })
    client.sendPublish(topic)
    await client.expectPublish({ topic, properties: { subscriptionIdentifier: 12 } })
  })

  test('a group with only absent members keeps messages for one of them', async () => {
    const topic = mqtt.topic()
    const ids = [mqtt.id(), mqtt.id()]
    for (const clientId of ids) {
      const member = await mqtt.client(stored(clientId))
      await member.subscribe(`$share/g/${topic}`, 1)
      await member.disconnect()
    }
    const publisher = await mqtt.client()
    for (let i = 0; i < 10; i++) await publisher.publish(topic, { qos: 1, payload: String(i) })
    const got: string[] = []
    for (const clientId of ids) {
      const member = await mqtt.client(stored(clientId))
      for (const packet of await member.barrier()) {
        if (packet.cmd !== 'publish') continue
        got.push(packet.payload.toString())
        await member.acknowledge(packet)
      }
    }
    expect(got.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, i) => i))
  })
})

describe('ends of connections', () => {
  test('what comes before a FIN is processed, and the will is published', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(`${topic}/#`, 1)
    const will = { topic: `${topic}/will`, payload: Buffer.from('gone'), qos: 0 as const, retain: false }
    const client = await mqtt.client({ will })
    client.sendBytes(publishBytes(5, `${topic}/last`, { flags: 2, id: 1, payload: 'last words' }))
    client.socket.end()
    await reader.expectPublish({ topic: `${topic}/last`, payload: 'last words' })
    await reader.expectPublish({ topic: `${topic}/will`, payload: 'gone' })
    await client.drainToEnd()
  })

  test('CONNECT, PUBLISH and DISCONNECT in one write are all processed', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    for (const version of [4, 5] as const) {
      const client = await mqtt.socket(version)
      client.sendBytes(connectBytes({ level: version }), publishBytes(version, topic), raw(0xe0, 0))
      await reader.expectPublish({ topic })
      await client.expect('connack')
      await client.expectEnd()
    }
  })

  test('a client that only receives is cut at its keep alive all the same', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client({ keepalive: 1 })
    await client.subscribe(topic)
    const publisher = await mqtt.client()
    let isOver = false
    const publishing = (async () => {
      while (!isOver) {
        await publisher.publish(topic)
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    })()
    await client.drainToEnd()
    isOver = true
    await publishing
  })

  test('an empty retained will clears the retained message', async () => {
    const topic = mqtt.topic()
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1, retain: true, payload: 'kept' })
    const watcher = await mqtt.client()
    await watcher.subscribe([{ topic, qos: 0, rh: 2 }])
    const doomed = await mqtt.client({ will: { topic, payload: Buffer.alloc(0), qos: 1, retain: true } })
    doomed.cut()
    await watcher.expectPublish({ payload: '' })
    const late = await mqtt.client()
    await late.subscribe(topic)
    await late.expectNothing()
  })

  test.skipIf(!IS_AGNER)('a broker that stops tells its 5.0 clients so and closes all', async () => {
    const broker = await startTarget()
    const five = await RawClient.open(broker, 5)
    await five.handshake({ clientId: 'five' })
    const four = await RawClient.open(broker, 4)
    await four.handshake({ clientId: 'four' })
    const silent = await RawClient.open(broker, 4)
    await Promise.all([broker.stop(), five.expectDisconnected(0x8b), four.expectEnd(), silent.expectEnd()])
    await expect(RawClient.open(broker, 4)).rejects.toThrow('ECONNREFUSED')
  })
})
