/**
 * MQTT 3.1.1, sections 4 and 7: session state, redelivery, order, topics and filters, errors.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import { publishBytes, raw, subscribeBytes } from '../support/bytes.ts'
import type { RawClient } from '../support/raw-client.ts'

const mqtt = useBroker(4)

/** The payloads of all PUBLISH packets that had come by a barrier. */
async function payloads(client: RawClient): Promise<string[]> {
  return (await client.barrier()).flatMap((packet) => (packet.cmd === 'publish' ? [packet.payload.toString()] : []))
}

describe('4.1 to 4.5 state and delivery', () => {
  statement('[MQTT-4.1.0-1] [MQTT-4.1.0-2] a session keeps its state through many connections', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const publisher = await mqtt.client()
    const first = await mqtt.client({ clientId, clean: false })
    await first.subscribe(topic, 1)
    await first.disconnect()
    for (let i = 0; i < 5; i++) {
      await publisher.publish(topic, { qos: 1, payload: String(i) })
      const client = await mqtt.client({ clientId, clean: false })
      await client.acknowledge(await client.expectPublish({ payload: String(i) }))
      await client.disconnect()
    }
  })

  statement('[MQTT-4.1.0-2] a clean session lasts as long as its connection', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client({ clean: true })
    await client.subscribe(topic, 1)
    const publisher = await mqtt.client()
    for (let i = 0; i < 3; i++) {
      await publisher.publish(topic, { qos: 1 })
      await client.acknowledge(await client.expectPublish())
      await client.expectNothing()
    }
  })

  statement('[MQTT-4.3.1-1] QoS 0 is delivered with QoS 0 and DUP 0', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client()
    await client.subscribe(topic, 2)
    const publisher = await mqtt.client()
    await publisher.publish(topic)
    const packet = await client.expectPublish({ topic })
    expect(packet.bytes[0]).toBe(0x30)
  })

  statement(
    '[MQTT-4.4.0-1] [MQTT-4.6.0-1] unacknowledged packets are sent again in their order with their identifiers',
    async () => {
      const clientId = mqtt.id()
      const topic = mqtt.topic()
      const first = await mqtt.client({ clientId, clean: false })
      await first.subscribe(topic, 2)
      const publisher = await mqtt.client()
      for (let i = 0; i < 9; i++) await publisher.publish(topic, { qos: i % 3 === 2 ? 2 : 1, payload: String(i) })
      const open = []
      for (let i = 0; i < 9; i++) open.push(await first.expectPublish({ payload: String(i) }))
      await first.acknowledge(open[1]!)
      await first.acknowledge(open[5]!)
      await first.barrier()
      first.cut()
      const second = await mqtt.client({ clientId, clean: false })
      for (const i of [0, 2, 3, 4, 6, 7, 8]) {
        await second.expectPublish({ payload: String(i), dup: true, messageId: open[i]!.messageId })
      }
      await second.expectNothing()
    },
  )

  statement('[MQTT-4.5.0-1] every matching session gets the message, connected or not', async () => {
    const topic = mqtt.topic()
    const ids = [mqtt.id(), mqtt.id(), mqtt.id()]
    const clients = []
    for (const clientId of ids) {
      const client = await mqtt.client({ clientId, clean: false })
      await client.subscribe(topic, 1)
      clients.push(client)
    }
    await clients[0]!.disconnect()
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1 })
    await clients[1]!.expectPublish({ topic })
    await clients[2]!.expectPublish({ topic })
    const back = await mqtt.client({ clientId: ids[0]!, clean: false })
    await back.expectPublish({ topic })
  })
})

describe('4.6 order', () => {
  statement('[MQTT-4.6.0-2] [MQTT-4.6.0-3] acknowledgements come in the order of the messages', async () => {
    const client = await mqtt.client()
    const topic = mqtt.topic()
    const bytes = []
    for (let id = 1; id <= 50; id++) bytes.push(publishBytes(4, topic, { flags: id % 2 === 0 ? 4 : 2, id }))
    client.sendBytes(...bytes)
    const pubacks: number[] = []
    const pubrecs: number[] = []
    for (let i = 0; i < 50; i++) {
      const packet = await client.next()
      if (packet === 'closed') throw new Error('closed')
      if (packet.cmd === 'puback') pubacks.push(packet.messageId)
      else if (packet.cmd === 'pubrec') pubrecs.push(packet.messageId)
    }
    expect(pubacks).toEqual(Array.from({ length: 25 }, (_, i) => 2 * i + 1))
    expect(pubrecs).toEqual(Array.from({ length: 25 }, (_, i) => 2 * i + 2))
  })

  statement('[MQTT-4.6.0-4] PUBRELs come in the order of the PUBRECs', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client()
    await client.subscribe(topic, 2)
    const publisher = await mqtt.client()
    for (let i = 0; i < 5; i++) await publisher.publish(topic, { qos: 2 })
    const ids: number[] = []
    for (let i = 0; i < 5; i++) ids.push((await client.expectPublish()).messageId!)
    const order = [3, 0, 4, 1, 2].map((i) => ids[i]!)
    for (const messageId of order) client.send({ cmd: 'pubrec', messageId })
    for (const messageId of order) await client.expect('pubrel', { messageId })
  })

  statement(
    '[MQTT-4.6.0-5] [MQTT-4.6.0-6] messages of one publisher, topic and QoS arrive in their order',
    async () => {
      const topic = mqtt.topic()
      const readers = [await mqtt.client(), await mqtt.client(), await mqtt.client()]
      await readers[0]!.subscribe(topic, 0)
      await readers[1]!.subscribe(`${topic}/#`, 2)
      await readers[2]!.subscribe('+', 1)
      await readers[2]!.barrier()
      const publisher = await mqtt.client()
      for (let i = 0; i < 60; i++) publisher.sendPublish(topic, { payload: String(i) })
      for (let i = 0; i < 60; i++) await publisher.publish(topic, { qos: 1, payload: String(100 + i) })
      const wanted = Array.from({ length: 60 }, (_, i) => String(i))
      const later = Array.from({ length: 60 }, (_, i) => String(100 + i))
      for (const reader of readers) {
        const got: string[] = []
        for (let i = 0; i < 120; i++) {
          const packet = await reader.expectPublish({ topic })
          await reader.acknowledge(packet)
          got.push(packet.payload.toString())
        }
        expect(got.filter((payload) => payload.length < 3)).toEqual(wanted)
        expect(got.filter((payload) => payload.length === 3)).toEqual(later)
      }
    },
  )
})

describe('4.7 topics and filters', () => {
  statement('[MQTT-4.7.1-1] a topic name with wildcards closes the connection', async () => {
    for (const topic of ['+', '#', 'a/+/b', 'a/#']) {
      const client = await mqtt.client()
      client.sendBytes(publishBytes(4, topic, { flags: 2, id: 1 }))
      await client.expectClosed()
    }
  })

  statement(
    '[MQTT-4.7.1-2] [MQTT-4.7.1-3] a filter with a wildcard inside a level, or # before the end, is not granted',
    async () => {
      for (const filter of ['a#', '#a', 'a/#/b', '#/', 'a/b#', 'a+', '+a', 'a/+b', 'a/b+/c', '++', '##', '+#']) {
        const client = await mqtt.client()
        client.sendBytes(subscribeBytes(4, [[filter, 0]]))
        const answer = await client.next()
        if (answer !== 'closed') expect(answer.bytes.at(-1), filter).toBe(0x80)
      }
    },
  )

  statement('[MQTT-4.7.1-2] [MQTT-4.7.1-3] wildcards match as they should', async () => {
    const root = mqtt.topic()
    const publisher = await mqtt.client()
    for (const [filter, name, isMatch] of [
      ['/#', '', true],
      ['/#', '/a/b/c', true],
      ['/+', '', false],
      ['/+', '/', true],
      ['/+', '/a', true],
      ['/+', '/a/b', false],
      ['/+/+', '/a', false],
      ['/+/+', '/a/b', true],
      ['/+/+', '//', true],
      ['/a/+/c', '/a//c', true],
      ['/a/#', '/a', true],
      ['/a/#', '/ab', false],
    ] as const) {
      const client = await mqtt.client()
      await client.subscribe(root + filter)
      await publisher.publish(root + name)
      expect(await payloads(client), `${filter} ${name}`).toEqual(isMatch ? ['x'] : [])
    }
  })

  statement('[MQTT-4.7.2-1] # and + at the start leave out topics that begin with $', async () => {
    const name = mqtt.topic()
    const client = await mqtt.client()
    await client.subscribe([
      { topic: '#', qos: 0 },
      { topic: '+/+', qos: 0 },
      { topic: `+/${name}/#`, qos: 0 },
    ])
    await client.barrier()
    const publisher = await mqtt.client()
    await publisher.publish(`$other/${name}`, { retain: true })
    expect(await payloads(client)).toEqual([])
    const late = await mqtt.client()
    await late.subscribe(`+/${name}`)
    expect(await payloads(late)).toEqual([])
    const exact = await mqtt.client()
    await exact.subscribe(`$other/+`)
    await exact.expectPublish({ topic: `$other/${name}` })
  })

  statement('[MQTT-4.7.3-1] an empty topic name or filter closes the connection', async () => {
    for (const bytes of [publishBytes(4, ''), subscribeBytes(4, [['', 0]])]) {
      const client = await mqtt.client()
      client.sendBytes(bytes)
      const answer = await client.next()
      if (answer !== 'closed') expect(answer.bytes.at(-1)).toBe(0x80)
    }
  })

  statement('[MQTT-4.7.3-2] U+0000 in a topic name or filter closes the connection', async () => {
    for (const bytes of [publishBytes(4, 'a\0'), subscribeBytes(4, [['\0', 0]])]) {
      const client = await mqtt.client()
      client.sendBytes(bytes)
      await client.expectClosed()
    }
  })

  statement(
    '[MQTT-4.7.3-3] a topic of 65,535 bytes is delivered or refused as too long, and nobody else suffers',
    async () => {
      const topic = 'x'.repeat(65_535)
      const healthy = await mqtt.client()
      const client = await mqtt.client()
      client.sendBytes(publishBytes(4, topic, { flags: 2, id: 1 }))
      const answer = await client.next()
      if (answer !== 'closed') expect(answer.cmd).toBe('puback')
      await healthy.expectNothing()
    },
  )

  statement('[MQTT-4.7.3-4] topics are compared as they are: case, spaces, slashes, composed characters', async () => {
    const root = mqtt.topic()
    const publisher = await mqtt.client()
    const names = ['a', 'A', ' a', 'a ', '/a', 'a/', '\u00e9', 'e\u0301', '\ufffd', '%61']
    for (const filter of names) {
      const client = await mqtt.client()
      await client.subscribe(`${root}/${filter}`)
      for (const name of names) await publisher.publish(`${root}/${name}`, { payload: name })
      expect(await payloads(client)).toEqual([filter])
    }
  })
})

describe('4.8 and 7 errors and conformance', () => {
  statement(
    '[MQTT-4.8.0-1] a packet of a reserved type, or one that only a server sends, closes the connection',
    async () => {
      for (const bytes of [
        raw(0x00, 0),
        raw(0xf0, 0),
        raw(0x20, 2, 0, 0),
        raw(0x90, 3, 0, 1, 0),
        raw(0xb0, 2, 0, 1),
        raw(0xd0, 0),
        raw(0x30, 0xff, 0xff, 0xff, 0xff, 0x01),
        raw(0xc0, 1, 0),
      ]) {
        const client = await mqtt.client()
        client.sendBytes(bytes)
        await client.expectClosed()
      }
    },
    { mosquitto: 'takes packets that only a server sends, for its bridges' },
  )

  statement(
    '[MQTT-7.0.0-2] [MQTT-7.1.1-1] a client that knows nothing but the standard is served over TCP',
    async () => {
      const topic = mqtt.topic()
      const client = await mqtt.client({ username: 'any', password: Buffer.from('one') })
      await client.subscribe(topic, 2)
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 2, payload: 'plain' })
      await client.acknowledge(await client.expectPublish({ topic, payload: 'plain', qos: 2 }))
    },
  )
})
