/**
 * MQTT 3.1 (protocol name MQIsdp, level 3), which has no numbered statements: that its clients are served, and how it
 * differs from 3.1.1.
 */
import { expect, test } from 'vitest'
import { useBroker } from '../support/broker.ts'
import { connectBytes, field, publishBytes } from '../support/bytes.ts'

const mqtt = useBroker(3)

test('a 3.1 client publishes and subscribes at every QoS', async () => {
  const topic = mqtt.topic()
  const reader = await mqtt.client()
  await reader.subscribe(topic, 2)
  const publisher = await mqtt.client()
  for (const qos of [0, 1, 2] as const) {
    await publisher.publish(topic, { qos, payload: `at ${qos}` })
    await reader.acknowledge(await reader.expectPublish({ topic, qos, payload: `at ${qos}` }))
  }
  await reader.unsubscribe(topic)
  await publisher.publish(topic)
  await reader.expectNothing()
  await publisher.disconnect()
})

test('a 3.1 CONNACK has no session present flag', async () => {
  const clientId = mqtt.id()
  for (let i = 0; i < 2; i++) {
    const client = await mqtt.socket()
    client.sendConnect({ clientId, clean: false })
    expect([...(await client.expect('connack')).bytes]).toEqual([0x20, 2, 0, 0])
    await client.disconnect()
  }
})

test('a 3.1 session without clean session is resumed', async () => {
  const clientId = mqtt.id()
  const topic = mqtt.topic()
  const first = await mqtt.client({ clientId, clean: false })
  await first.subscribe(topic, 1)
  await first.disconnect()
  const publisher = await mqtt.client()
  await publisher.publish(topic, { qos: 1, payload: 'waiting' })
  const second = await mqtt.client({ clientId, clean: false })
  await second.acknowledge(await second.expectPublish({ topic, payload: 'waiting' }))
})

test('a 3.1 will is published when the connection is cut, and not after DISCONNECT', async () => {
  const topic = mqtt.topic()
  const reader = await mqtt.client()
  await reader.subscribe(topic, 1)
  const will = { topic, payload: Buffer.from('gone'), qos: 1 as const, retain: false }
  await (await mqtt.client({ will })).disconnect()
  await reader.expectNothing()
  const doomed = await mqtt.client({ will })
  doomed.cut()
  await reader.acknowledge(await reader.expectPublish({ topic, payload: 'gone' }))
})

test('3.1, 3.1.1 and 5.0 clients exchange messages', async () => {
  const topic = mqtt.topic()
  const clients = [await mqtt.client(), await mqtt.client({ version: 4 }), await mqtt.client({ version: 5 })]
  for (const client of clients) await client.subscribe(topic, 2)
  for (const sender of clients) {
    sender.sendPublish(topic, { qos: 1, payload: `from ${sender.version}` })
    for (const client of clients) {
      let packet = await client.next()
      if (packet !== 'closed' && packet.cmd === 'puback') packet = await client.next()
      if (packet === 'closed' || packet.cmd !== 'publish') throw new Error(`no message for ${client.version}`)
      expect(packet.payload.toString()).toBe(`from ${sender.version}`)
      await client.acknowledge(packet)
    }
    for (const client of clients) await client.barrier()
  }
})

test('a 5.0 message loses its properties on the way to a 3.1 client', async () => {
  const topic = mqtt.topic()
  const reader = await mqtt.client()
  await reader.subscribe(topic)
  const publisher = await mqtt.client({ version: 5 })
  await publisher.publish(topic, { payload: 'plain', properties: { contentType: 'text', userProperties: { a: 'b' } } })
  const packet = await reader.expectPublish({ topic, payload: 'plain' })
  expect(packet.bytes.equals(publishBytes(3, topic, { payload: 'plain' }))).toBe(true)
})

test('a 3.1 protocol name with the level of 3.1.1, or the other way round, is refused', async () => {
  for (const parts of [
    { protocolName: 'MQIsdp', level: 4 },
    { protocolName: 'MQTT', level: 3 },
  ]) {
    const client = await mqtt.socket()
    client.sendBytes(connectBytes(parts))
    const answer = await client.next()
    if (answer !== 'closed') {
      expect(answer.bytes[3]).toBe(1)
      await client.expectEnd()
    }
  }
})

test('an empty 3.1 client id is refused with return code 2', async () => {
  const client = await mqtt.socket()
  client.sendBytes(connectBytes({ level: 3, payload: field('') }))
  await client.expectRefused(2)
})
