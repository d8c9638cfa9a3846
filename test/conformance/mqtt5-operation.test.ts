/**
 * MQTT 5.0, sections 4.2 and 4.5 to 4.7, 4.13: delivery to sessions, order, topics and filters, errors.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import { publishBytes, raw, subscribeBytes } from '../support/bytes.ts'
import type { RawClient } from '../support/raw-client.ts'

const mqtt = useBroker(5)

async function payloads(client: RawClient): Promise<string[]> {
  return (await client.barrier()).flatMap((packet) => (packet.cmd === 'publish' ? [packet.payload.toString()] : []))
}

describe('4.2 to 4.6 delivery and order', () => {
  statement('[MQTT-4.2-1] TCP carries packets in any pieces', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client()
    await client.subscribe(topic)
    const bytes = Buffer.concat([
      publishBytes(5, topic, { payload: 'one' }),
      publishBytes(5, topic, { payload: 'y'.repeat(300) }),
      raw(0xc0, 0),
    ])
    for (const byte of bytes) {
      client.sendBytes(raw(byte))
      await new Promise(setImmediate)
    }
    await client.expectPublish({ payload: 'one' })
    await client.expectPublish({ payload: 'y'.repeat(300) })
    await client.expect('pingresp')
  })

  statement('[MQTT-4.5.0-1] every matching session gets the message, connected or not', async () => {
    const topic = mqtt.topic()
    const options = [mqtt.id(), mqtt.id(), mqtt.id()].map((clientId) => ({
      clientId,
      clean: false,
      properties: { sessionExpiryInterval: 100 },
    }))
    const clients: RawClient[] = []
    for (const option of options) {
      const client = await mqtt.client(option)
      await client.subscribe(topic, 1)
      clients.push(client)
    }
    await clients[0]!.disconnect()
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1 })
    await clients[1]!.expectPublish({ topic })
    await clients[2]!.expectPublish({ topic })
    const back = await mqtt.client(options[0])
    await back.expectPublish({ topic })
  })

  statement(
    '[MQTT-4.6.0-5] [MQTT-4.6.0-6] messages of one publisher, topic and QoS arrive in their order',
    async () => {
      const topic = mqtt.topic()
      const readers = [await mqtt.client(), await mqtt.client({ properties: { receiveMaximum: 3 } })]
      for (const reader of readers) await reader.subscribe(`${topic}/#`, 2)
      const publisher = await mqtt.client()
      const count = 40
      for (const qos of [0, 1, 2] as const) {
        for (let i = 0; i < count; i++) publisher.sendPublish(topic, { qos, payload: `${qos}:${i}` })
      }
      for (let i = 0; i < 2 * count; i++) {
        const packet = await publisher.next()
        if (packet === 'closed') throw new Error('closed')
        if (packet.cmd === 'pubrec') publisher.send({ cmd: 'pubrel', messageId: packet.messageId })
      }
      for (const reader of readers) {
        const got: string[][] = [[], [], []]
        for (let i = 0; i < 3 * count; ) {
          const packet = await reader.next()
          if (packet === 'closed') throw new Error('closed')
          if (packet.cmd === 'pubrel') reader.send({ cmd: 'pubcomp', messageId: packet.messageId })
          if (packet.cmd !== 'publish') continue
          i++
          got[packet.qos]!.push(packet.payload.toString())
          if (packet.qos === 1) reader.send({ cmd: 'puback', messageId: packet.messageId! })
          if (packet.qos === 2) reader.send({ cmd: 'pubrec', messageId: packet.messageId! })
        }
        expect(got).toEqual([0, 1, 2].map((qos) => Array.from({ length: count }, (_, i) => `${qos}:${i}`)))
      }
    },
  )
})

describe('4.7 topics and filters', () => {
  statement('[MQTT-4.7.0-1] a topic name with wildcards closes the connection', async () => {
    for (const topic of ['+', '#', 'a/+/b', 'a/#']) {
      const client = await mqtt.client()
      client.sendBytes(publishBytes(5, topic, { flags: 2, id: 1 }))
      await client.expectClosed([0x81, 0x82, 0x90])
    }
  })

  statement(
    '[MQTT-4.7.1-1] [MQTT-4.7.1-2] a filter with a wildcard inside a level, or # before the end, is not granted',
    async () => {
      for (const filter of ['a#', '#a', 'a/#/b', '#/', 'a/b#', 'a+', '+a', 'a/+b', 'a/b+/c', '++', '##', '+#']) {
        const client = await mqtt.client()
        client.sendBytes(subscribeBytes(5, [[filter, 0]]))
        const answer = await client.next()
        if (answer === 'closed') continue
        if (answer.cmd === 'disconnect') expect([0x81, 0x82, 0x8f]).toContain(answer.reasonCode)
        else expect(answer.bytes.at(-1), filter).toBe(0x8f)
      }
    },
  )

  statement('[MQTT-4.7.1-1] [MQTT-4.7.1-2] wildcards match as they should', async () => {
    const root = mqtt.topic()
    const publisher = await mqtt.client()
    for (const [filter, name, isMatch] of [
      ['/#', '', true],
      ['/#', '/a/b/c', true],
      ['/+', '', false],
      ['/+', '/', true],
      ['/+', '/a', true],
      ['/+', '/a/b', false],
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
      { topic: '#', qos: 0, rh: 2 },
      { topic: '+/+', qos: 0, rh: 2 },
      { topic: `+/${name}/#`, qos: 0, rh: 2 },
      { topic: '$share/g/#', qos: 0 },
    ])
    const publisher = await mqtt.client()
    await publisher.publish(`$other/${name}`, { retain: true })
    expect(await payloads(client)).toEqual([])
    const late = await mqtt.client()
    await late.subscribe(`+/${name}`)
    expect(await payloads(late)).toEqual([])
    const exact = await mqtt.client()
    await exact.subscribe('$other/+')
    await exact.expectPublish({ topic: `$other/${name}` })
  })

  statement('[MQTT-4.7.3-1] an empty filter is refused', async () => {
    const client = await mqtt.client()
    client.sendBytes(subscribeBytes(5, [['', 0]]))
    const answer = await client.next()
    if (answer !== 'closed' && answer.cmd === 'suback') expect(answer.granted).toEqual([0x8f])
    else if (answer !== 'closed') expect(answer.cmd).toBe('disconnect')
  })

  statement('[MQTT-4.7.3-2] U+0000 in a topic name or filter closes the connection', async () => {
    for (const bytes of [publishBytes(5, 'a\0'), subscribeBytes(5, [['\0', 0]])]) {
      const client = await mqtt.client()
      client.sendBytes(bytes)
      await client.expectClosed([0x81, 0x82, 0x8f, 0x90])
    }
  })

  statement('[MQTT-4.7.3-3] a topic of 65,535 bytes is delivered or refused, and nobody else suffers', async () => {
    const healthy = await mqtt.client()
    const client = await mqtt.client()
    client.sendBytes(publishBytes(5, 'x'.repeat(65_535), { flags: 2, id: 1 }))
    const answer = await client.next()
    if (answer !== 'closed') expect(['puback', 'disconnect']).toContain(answer.cmd)
    await healthy.expectNothing()
  })

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

describe('4.13 errors', () => {
  statement(
    '[MQTT-4.13.1-1] a packet of a reserved type, or one that only a server sends, closes the connection',
    async () => {
      for (const bytes of [
        raw(0x00, 0),
        raw(0x20, 3, 0, 0, 0),
        raw(0x90, 4, 0, 1, 0, 0),
        raw(0xb0, 4, 0, 1, 0, 0),
        raw(0xd0, 0),
      ]) {
        const client = await mqtt.client()
        client.sendBytes(bytes)
        await client.expectClosed([0x81, 0x82])
      }
    },
    { mosquitto: 'takes packets that only a server sends, for its bridges' },
  )
})
