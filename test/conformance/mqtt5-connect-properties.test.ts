/**
 * MQTT 5.0, sections 3.1.2.11, 3.2 and 3.14: properties of CONNECT, CONNACK, DISCONNECT by either side.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import {
  connectBytes,
  field,
  frame,
  properties,
  property,
  publishBytes,
  raw,
  subscribeBytes,
  u32,
} from '../support/bytes.ts'
import { elapse } from '../support/eventually.ts'

const mqtt = useBroker(5)

/** Reason codes of CONNACK (table 3-1) and DISCONNECT (table 3-13). */
const CONNACK_CODES = [
  0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
  0x9c, 0x9d, 0x9f,
]
const DISCONNECT_CODES = [
  0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
  0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
]

const stored = (seconds: number) => ({ clean: false, properties: { sessionExpiryInterval: seconds } })

describe('session expiry', () => {
  statement('[MQTT-4.1.0-2] [MQTT-3.1.2-23] a session is kept for its expiry interval and no longer', async () => {
    const clientId = mqtt.id()
    await (await mqtt.client({ clientId, ...stored(1) })).disconnect()
    const second = await mqtt.client({ clientId, ...stored(1) })
    expect(second.connack?.sessionPresent).toBe(true)
    await second.disconnect()
    await elapse(2_500)
    const third = await mqtt.client({ clientId, ...stored(1) })
    expect(third.connack?.sessionPresent).toBe(false)
  })

  statement('[MQTT-4.1.0-2] an expiry interval of 0, or none, ends the session with its connection', async () => {
    for (const options of [stored(0), { clean: false }]) {
      const clientId = mqtt.id()
      await (await mqtt.client({ clientId, ...options })).disconnect()
      const again = await mqtt.client({ clientId, ...options })
      expect(again.connack?.sessionPresent).toBe(false)
    }
  })

  statement('[MQTT-4.1.0-1] a session does not expire while its connection is open', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const client = await mqtt.client({ clientId, ...stored(1) })
    await client.subscribe(topic)
    await elapse(1_500)
    const publisher = await mqtt.client()
    await publisher.publish(topic)
    await client.expectPublish({ topic })
  })

  statement('[MQTT-3.1.2-23] [MQTT-4.1.0-2] DISCONNECT may change the expiry interval, but not from 0', async () => {
    const clientId = mqtt.id()
    const first = await mqtt.client({ clientId, ...stored(100) })
    await first.disconnect({ reasonCode: 0, properties: { sessionExpiryInterval: 0 } })
    const second = await mqtt.client({ clientId, ...stored(0) })
    expect(second.connack?.sessionPresent).toBe(false)
    second.sendBytes(frame(0xe0, raw(0), properties(property(17, u32(100)))))
    await second.expectClosed([0x82])
    const third = await mqtt.client({ clientId, ...stored(0) })
    expect(third.connack?.sessionPresent).toBe(false)
  })
})

describe('maximum packet size', () => {
  statement(
    '[MQTT-3.1.2-24] [MQTT-3.1.2-25] a message above the client’s maximum is dropped, and counts as delivered',
    async () => {
      const topic = mqtt.topic()
      const clientId = mqtt.id()
      const options = {
        clientId,
        clean: false,
        properties: { sessionExpiryInterval: 100, maximumPacketSize: 100, receiveMaximum: 1 },
      }
      const small = await mqtt.client(options)
      const large = await mqtt.client()
      await small.subscribe(topic, 2)
      await large.subscribe(topic, 2)
      const publisher = await mqtt.client()
      for (const qos of [0, 1, 2] as const) {
        await publisher.publish(topic, { qos, payload: 'x'.repeat(200) })
        await publisher.publish(topic, { qos, payload: 'fits' })
        await large.expectPublish({ qos, payload: 'x'.repeat(200) })
        await large.expectPublish({ qos, payload: 'fits' })
        await small.acknowledge(await small.expectPublish({ qos, payload: 'fits' }))
      }
      await small.barrier()
      small.cut()
      const again = await mqtt.client({ ...options, properties: { sessionExpiryInterval: 100 } })
      await again.expectNothing()
    },
    { mosquitto: 'does not give back the send quota of a dropped message' },
  )

  statement(
    '[MQTT-3.1.2-24] a packet of exactly the maximum is sent',
    async () => {
      const topic = mqtt.topic()
      const size = 2 + 2 + topic.length + 1 + 50
      const client = await mqtt.client({ properties: { maximumPacketSize: size } })
      await client.subscribe(topic)
      const publisher = await mqtt.client()
      await publisher.publish(topic, { payload: 'y'.repeat(51) })
      await publisher.publish(topic, { payload: 'x'.repeat(50) })
      const packet = await client.expectPublish({ payload: 'x'.repeat(50) })
      expect(packet.bytes.length).toBe(size)
    },
    { mosquitto: 'leaves out the fixed header when it measures' },
  )

  statement(
    '[MQTT-3.9.2-1] [MQTT-3.11.2-1] [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.7.2-2] [MQTT-3.1.2-24] no reason string makes an answer larger than the client’s maximum',
    async () => {
      const client = await mqtt.client({ properties: { maximumPacketSize: 40 } })
      client.sendBytes(
        subscribeBytes(
          5,
          [
            ['$share/g/+x', 0],
            ['a/#/b', 0],
          ],
          { id: 1 },
        ),
      )
      const answer = await client.next()
      if (answer === 'closed') throw new Error('closed')
      expect(answer.bytes.length).toBeLessThanOrEqual(40)
      const other = await mqtt.client({ properties: { maximumPacketSize: 40 } })
      await other.unsubscribe('none')
      other.sendPublish('$SYS/test', { qos: 1, messageId: 1 })
      other.sendPublish('$SYS/test', { qos: 2, messageId: 2 })
      other.send({ cmd: 'pubrel', messageId: 3 })
      for (let i = 0; i < 3; i++) {
        const packet = await other.next()
        if (packet === 'closed') break
        expect(packet.bytes.length).toBeLessThanOrEqual(40)
      }
    },
  )

  statement(
    '[MQTT-3.2.2-19] [MQTT-3.14.2-3] no reason string makes CONNACK or DISCONNECT larger than the client’s maximum',
    async () => {
      const refused = await mqtt.socket()
      refused.sendBytes(
        connectBytes({
          level: 5,
          properties: properties(property(39, u32(20)), property(21, field('no such method'))),
        }),
      )
      const connack = await refused.next()
      if (connack !== 'closed') expect(connack.bytes.length).toBeLessThanOrEqual(20)
      const client = await mqtt.client({ properties: { maximumPacketSize: 40 } })
      client.sendConnect()
      const farewell = await client.next()
      if (farewell !== 'closed') expect(farewell.bytes.length).toBeLessThanOrEqual(40)
    },
  )

  statement(
    '[MQTT-3.2.2-15] a packet above the server’s maximum closes the connection with 0x95',
    async () => {
      const client = await mqtt.client()
      const max = client.connack?.properties?.maximumPacketSize
      if (max === undefined) throw new Error('the server announces no maximum packet size')
      client.sendBytes(
        raw(0x30),
        raw(
          0x80 | ((max + 1) % 128),
          0x80 | (Math.floor((max + 1) / 128) % 128),
          0x80 | (Math.floor((max + 1) / 16_384) % 128),
          Math.floor((max + 1) / 2_097_152),
        ),
      )
      await client.expectClosed([0x95])
    },
    { mosquitto: 'announces no maximum packet size' },
  )
})

describe('topic aliases, request and response, problem information', () => {
  statement(
    '[MQTT-3.1.2-26] [MQTT-3.3.2-11] aliases stay within the client’s maximum and stand for their topics',
    async () => {
      const root = mqtt.topic()
      const client = await mqtt.client({ properties: { topicAliasMaximum: 2 } })
      await client.subscribe(`${root}/#`)
      const publisher = await mqtt.client()
      const aliases = new Map<number, string>()
      for (let i = 0; i < 20; i++) {
        const topic = `${root}/${i % 5}`
        await publisher.publish(topic, { payload: topic })
        const packet = await client.expectPublish({ payload: topic })
        const alias = packet.properties?.topicAlias
        if (alias !== undefined) {
          expect([1, 2]).toContain(alias)
          if (packet.topic !== '') aliases.set(alias, packet.topic)
        }
        expect(packet.topic === '' ? aliases.get(alias ?? 0) : packet.topic).toBe(topic)
      }
    },
  )

  statement('[MQTT-3.1.2-27] without a topic alias maximum there are no aliases', async () => {
    for (const more of [{}, { properties: { topicAliasMaximum: 0 } }]) {
      const topic = mqtt.topic()
      const client = await mqtt.client(more)
      await client.subscribe(topic)
      const publisher = await mqtt.client()
      for (let i = 0; i < 5; i++) {
        await publisher.publish(topic)
        const packet = await client.expectPublish({ topic })
        expect(packet.properties?.topicAlias).toBeUndefined()
      }
    }
  })

  statement('[MQTT-3.1.2-28] response information comes only when asked for', async () => {
    for (const more of [{}, { properties: { requestResponseInformation: false } }]) {
      const client = await mqtt.client(more)
      expect(client.connack?.properties?.responseInformation).toBeUndefined()
    }
  })

  statement(
    '[MQTT-3.1.2-29] without problem information no answer has a reason string or user properties',
    async () => {
      const client = await mqtt.client({ properties: { requestProblemInformation: false } })
      client.sendBytes(subscribeBytes(5, [['$share/g/a', 0]], { id: 1 }))
      const suback = await client.expect('suback')
      expect(suback.properties?.reasonString).toBeUndefined()
      const unsuback = await client.unsubscribe('none')
      expect(unsuback.properties?.reasonString).toBeUndefined()
      client.send({ cmd: 'pubrel', messageId: 77 })
      const pubcomp = await client.expect('pubcomp')
      expect(pubcomp.properties?.reasonString).toBeUndefined()
      const other = await mqtt.client({ properties: { requestProblemInformation: false } })
      other.sendBytes(subscribeBytes(5, [['a/#/b', 0]], { id: 1 }))
      const refusal = await other.next()
      if (refusal !== 'closed' && refusal.cmd === 'suback') {
        expect(refusal.properties?.reasonString).toBeUndefined()
        expect(refusal.properties?.userProperties).toBeUndefined()
      }
      other.sendPublish('$SYS/denied', { qos: 1, messageId: 2 })
      const puback = await other.next()
      if (puback !== 'closed' && puback.cmd === 'puback') expect(puback.properties?.reasonString).toBeUndefined()
    },
  )
})

describe('3.2 CONNACK', () => {
  statement('[MQTT-3.2.2-1] [MQTT-3.2.2-3] the flags of CONNACK are 0, or 1 for a session present', async () => {
    const clientId = mqtt.id()
    for (const flags of [0, 1, 1]) {
      const client = await mqtt.socket()
      client.sendConnect({ clientId, ...stored(100) })
      expect((await client.expect('connack')).bytes[2]).toBe(flags)
      await client.disconnect()
    }
  })

  statement(
    '[MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1] a refusal has a listed code, no session, and closes',
    async () => {
      const clientId = mqtt.id()
      await (await mqtt.client({ clientId, ...stored(100) })).disconnect()
      for (const refused of [
        connectBytes({
          level: 5,
          properties: properties(property(21, field('no such method'))),
          flags: 0,
          payload: field(clientId),
        }),
        connectBytes({ level: 5, properties: properties(property(33, raw(0, 0))), flags: 0, payload: field(clientId) }),
        connectBytes({
          level: 5,
          flags: 0x1c,
          payload: Buffer.concat([field(clientId), raw(0), field('t'), field('m')]),
        }),
      ]) {
        const client = await mqtt.socket()
        client.sendBytes(refused)
        const connack = await client.next()
        if (connack === 'closed') continue
        expect(connack.bytes[0]).toBe(0x20)
        expect(connack.bytes[2]).toBe(0)
        expect(CONNACK_CODES).toContain(connack.bytes[3])
        await client.expectEnd()
      }
    },
  )
})

describe('3.14 DISCONNECT', () => {
  statement('[MQTT-3.14.0-1] before CONNACK there is no DISCONNECT', async () => {
    for (const bytes of [
      publishBytes(5, 'a'),
      connectBytes({ level: 5, flags: 0x03 }),
      connectBytes({ level: 5, properties: properties(property(0x7f, raw(0))) }),
      raw(0xf0, 0),
    ]) {
      const client = await mqtt.socket()
      client.sendBytes(bytes)
      const answer = await client.next()
      if (answer !== 'closed') expect(answer.cmd).toBe('connack')
    }
  })

  statement('[MQTT-3.14.1-1] DISCONNECT with flags is malformed', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    const client = await mqtt.client({ will: { topic, payload: Buffer.from('gone'), qos: 0, retain: false } })
    client.sendBytes(raw(0xe1, 0))
    await client.expectClosed([0x81])
    await reader.expectPublish({ payload: 'gone' })
  })

  statement(
    '[MQTT-3.14.2-1] [MQTT-4.13.2-1] a DISCONNECT of the server has a listed reason code, and closes',
    async () => {
      for (const bytes of [
        raw(0xf0, 0),
        raw(0x00, 0),
        publishBytes(5, 'a/+'),
        publishBytes(5, 'a', { properties: properties(property(35, raw(0xff, 0xff))) }),
        connectBytes({ level: 5 }),
      ]) {
        const client = await mqtt.client()
        client.sendBytes(bytes)
        const code = await client.expectClosed()
        if (code !== undefined) expect(DISCONNECT_CODES).toContain(code)
      }
    },
  )

  statement(
    '[MQTT-3.14.2-1] a DISCONNECT with a code that is not for clients closes with a protocol error, and counts as failed',
    async () => {
      const topic = mqtt.topic()
      const reader = await mqtt.client()
      await reader.subscribe(topic)
      for (const code of [0x01, 0x02, 0x8e, 0xff]) {
        const client = await mqtt.client({ will: { topic, payload: Buffer.from('gone'), qos: 0, retain: false } })
        client.sendBytes(raw(0xe0, 1, code))
        await client.expectClosed([0x81, 0x82])
        await reader.expectPublish({ payload: 'gone' })
      }
    },
    { mosquitto: 'takes any reason code' },
  )

  statement(
    '[MQTT-3.14.2-2] [MQTT-3.14.4-1] [MQTT-3.14.4-2] a DISCONNECT of the server has no session expiry and is its last word',
    async () => {
      const clientId = mqtt.id()
      const first = await mqtt.client({ clientId, ...stored(100) })
      await mqtt.client({ clientId, ...stored(100) })
      const packet = await first.expect('disconnect', { reasonCode: 0x8e })
      expect(packet.properties?.sessionExpiryInterval).toBeUndefined()
      await first.expectEnd()
    },
    { mosquitto: 'closes a taken over connection without DISCONNECT' },
  )

  statement(
    '[MQTT-3.14.4-1] [MQTT-3.14.4-2] what comes behind DISCONNECT is ignored, and the server closes',
    async () => {
      const topic = mqtt.topic()
      const reader = await mqtt.client()
      await reader.subscribe(topic)
      const client = await mqtt.client()
      client.sendBytes(raw(0xe0, 0), publishBytes(5, topic))
      await client.expectEnd()
      await reader.expectNothing()
    },
  )

  statement('[MQTT-3.14.4-3] [MQTT-3.1.2-10] DISCONNECT 0 discards the will, 0x04 does not', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    const options = { will: { topic, payload: Buffer.from('gone'), qos: 0 as const, retain: false } }
    await (await mqtt.client(options)).disconnect()
    await (await mqtt.client(options)).disconnect({ reasonCode: 0 })
    await reader.expectNothing()
    await (await mqtt.client(options)).disconnect({ reasonCode: 4 })
    await reader.expectPublish({ payload: 'gone' })
  })
})
