/**
 * MQTT 5.0, sections 3.8 to 3.12 and 4.8: SUBSCRIBE, UNSUBSCRIBE, PINGREQ, shared subscriptions.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import { frame, raw, subscribeBytes, u16, unsubscribeBytes } from '../support/bytes.ts'

const mqtt = useBroker(5)

const SUBACK_CODES = [0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]
const UNSUBACK_CODES = [0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]

describe('3.8 SUBSCRIBE and 3.9 SUBACK', () => {
  statement('[MQTT-3.8.1-1] SUBSCRIBE with other flags closes the connection', async () => {
    for (const first of [0x80, 0x81, 0x83, 0x84, 0x8a]) {
      const client = await mqtt.client()
      client.sendBytes(subscribeBytes(5, [['a', 0]], { first }))
      await client.expectClosed([0x81, 0x82])
    }
  })

  statement('[MQTT-3.8.3-1] a filter that runs past the end of SUBSCRIBE closes the connection', async () => {
    for (const body of [raw(0), raw(0, 1, 0, 0, 9, 0x61, 0), raw(0, 1, 0, 0, 1, 0x61)]) {
      const client = await mqtt.client()
      client.sendBytes(frame(0x82, body))
      await client.expectClosed([0x81, 0x82])
    }
  })

  statement('[MQTT-3.8.3-2] SUBSCRIBE without filters closes the connection', async () => {
    const client = await mqtt.client()
    client.sendBytes(subscribeBytes(5, []))
    await client.expectClosed([0x81, 0x82])
  })

  statement(
    '[MQTT-3.8.3-3] with no local a message does not come back, also not for a persistent session',
    async () => {
      const root = mqtt.topic()
      const clientId = mqtt.id()
      const options = { clientId, clean: false, properties: { sessionExpiryInterval: 100 } }
      const client = await mqtt.client(options)
      await client.subscribe([
        { topic: `${root}/silent`, qos: 1, nl: true },
        { topic: `${root}/echo`, qos: 1 },
      ])
      await client.publish(`${root}/silent`, { qos: 1 })
      await client.expectNothing()
      client.sendPublish(`${root}/echo`)
      await client.expectPublish({ topic: `${root}/echo` })
      await client.disconnect()
      const again = await mqtt.client(options)
      await again.publish(`${root}/silent`, { qos: 1 })
      await again.expectNothing()
      const other = await mqtt.client()
      await other.publish(`${root}/silent`)
      await again.expectPublish({ topic: `${root}/silent` })
    },
  )

  statement(
    '[MQTT-3.8.3-4] no local on a shared subscription is a protocol error',
    async () => {
      const client = await mqtt.client()
      client.sendBytes(subscribeBytes(5, [['$share/g/a', 0x04]]))
      await client.expectClosed([0x82])
    },
    { mosquitto: 'takes it' },
  )

  statement('[MQTT-3.8.3-5] reserved option bits, QoS 3 and retain handling 3 close the connection', async () => {
    for (const byte of [0x03, 0x40, 0x80, 0xc0, 0x30]) {
      const client = await mqtt.client()
      client.sendBytes(subscribeBytes(5, [['a', byte]]))
      await client.expectClosed([0x81, 0x82])
    }
  })

  statement('[MQTT-3.8.4-1] [MQTT-3.8.4-2] SUBSCRIBE is answered by SUBACK of the same identifier', async () => {
    const client = await mqtt.client()
    for (const id of [1, 256, 65_535]) {
      client.sendBytes(subscribeBytes(5, [[mqtt.topic(), 0]], { id }))
      await client.expect('suback', { messageId: id })
    }
  })

  statement(
    '[MQTT-3.8.4-3] [MQTT-3.8.4-4] subscribing again replaces the subscription and sends retained messages again',
    async () => {
      const topic = mqtt.topic()
      const client = await mqtt.client()
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 1, retain: true, payload: 'kept' })
      for (const qos of [2, 0, 1] as const) {
        await client.subscribe(topic, qos)
        await client.acknowledge(await client.expectPublish({ payload: 'kept', retain: true, qos: Math.min(qos, 1) }))
        await publisher.publish(topic, { qos: 2, payload: 'live' })
        await client.acknowledge(await client.expectPublish({ payload: 'live', qos }))
        await client.expectNothing()
      }
      await client.unsubscribe(topic)
      await publisher.publish(topic, { qos: 1 })
      await client.expectNothing()
    },
  )

  statement('[MQTT-3.8.4-4] no message is lost while a subscription is replaced', async () => {
    const topic = mqtt.topic()
    const client = await mqtt.client()
    const publisher = await mqtt.client()
    await client.subscribe(topic, 0)
    for (let i = 0; i < 50; i++) {
      publisher.sendPublish(topic, { payload: String(i) })
      client.send({ cmd: 'subscribe', messageId: 900 + i, subscriptions: [{ topic, qos: 0 }] })
    }
    await publisher.barrier()
    const got = (await client.barrier()).flatMap((p) => (p.cmd === 'publish' ? [p.payload.toString()] : []))
    expect(got).toEqual(Array.from({ length: 50 }, (_, i) => String(i)))
  })

  statement(
    '[MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] several filters get one SUBACK with their codes in order',
    async () => {
      const root = mqtt.topic()
      const client = await mqtt.client()
      const suback = await client.subscribe([
        { topic: `${root}/0`, qos: 0 },
        { topic: `${root}/2`, qos: 2 },
        { topic: `${root}/1`, qos: 1 },
        { topic: `${root}/2`, qos: 1 },
      ])
      expect(suback.granted).toEqual([0, 2, 1, 1])
      const publisher = await mqtt.client()
      for (const level of [0, 1, 2]) {
        await publisher.publish(`${root}/${level}`, { qos: 2 })
        await client.acknowledge(await client.expectPublish({ topic: `${root}/${level}`, qos: Math.min(level, 1) }))
      }
    },
  )

  statement('[MQTT-3.8.4-8] delivery is at the lesser of published and granted QoS', async () => {
    const publisher = await mqtt.client()
    for (const granted of [0, 1, 2] as const) {
      const topic = mqtt.topic()
      const client = await mqtt.client()
      await client.subscribe(topic, granted)
      for (const qos of [0, 1, 2] as const) {
        await publisher.publish(topic, { qos })
        await client.acknowledge(await client.expectPublish({ topic, qos: Math.min(qos, granted) }))
      }
      await client.expectNothing()
    }
  })

  statement(
    '[MQTT-3.9.3-2] [MQTT-3.8.4-7] SUBACK uses its reason codes, 0x8F for a filter that is wrong',
    async () => {
      for (const filter of ['a#', 'a/#/b', '+a', 'a+/b', '#/a', '$share/g+/b', '$share//b', '$share/g/']) {
        const client = await mqtt.client()
        client.sendBytes(
          subscribeBytes(5, [
            [filter, 1],
            [mqtt.topic(), 1],
          ]),
        )
        const answer = await client.next()
        if (answer === 'closed' || answer.cmd === 'disconnect') continue
        expect(answer.cmd).toBe('suback')
        if (answer.cmd !== 'suback') continue
        expect(answer.granted).toEqual([0x8f, 1])
        for (const code of answer.granted) expect(SUBACK_CODES).toContain(code)
      }
    },
    { mosquitto: 'takes shared filters without a name' },
  )
})

describe('3.10 UNSUBSCRIBE and 3.11 UNSUBACK', () => {
  statement('[MQTT-3.10.1-1] UNSUBSCRIBE with other flags closes the connection', async () => {
    for (const first of [0xa0, 0xa1, 0xa3, 0xa6]) {
      const client = await mqtt.client()
      client.sendBytes(unsubscribeBytes(5, ['a'], { first }))
      await client.expectClosed([0x81, 0x82])
    }
  })

  statement('[MQTT-3.10.3-1] a filter that runs past the end of UNSUBSCRIBE closes the connection', async () => {
    for (const body of [raw(0), raw(0, 1, 0, 0), raw(0, 1, 0, 0, 9, 0x61)]) {
      const client = await mqtt.client()
      client.sendBytes(frame(0xa2, body))
      await client.expectClosed([0x81, 0x82])
    }
  })

  statement('[MQTT-3.10.3-2] UNSUBSCRIBE without filters closes the connection', async () => {
    const client = await mqtt.client()
    client.sendBytes(unsubscribeBytes(5, []))
    await client.expectClosed([0x81, 0x82])
  })

  statement(
    '[MQTT-3.10.4-1] [MQTT-3.10.4-2] only the very same filter ends a subscription, and it ends at once',
    async () => {
      const root = mqtt.topic()
      const client = await mqtt.client()
      const publisher = await mqtt.client()
      await client.subscribe(`${root}/+`)
      for (const other of [`${root}/a`, `${root}/#`, `${root}/+/`, `${root.toUpperCase()}/+`, root]) {
        expect((await client.unsubscribe(other)).granted).toEqual([0x11])
        await publisher.publish(`${root}/a`)
        await client.expectPublish({ topic: `${root}/a` })
      }
      expect((await client.unsubscribe(`${root}/+`)).granted).toEqual([0])
      await publisher.publish(`${root}/a`)
      await client.expectNothing()
    },
  )

  statement('[MQTT-3.10.4-3] a QoS 2 delivery under way is finished after UNSUBSCRIBE', async () => {
    const options = { clientId: mqtt.id(), clean: false, properties: { sessionExpiryInterval: 100 } }
    const topic = mqtt.topic()
    const client = await mqtt.client(options)
    const publisher = await mqtt.client()
    await client.subscribe(topic, 2)
    await publisher.publish(topic, { qos: 2, payload: 'two' })
    await publisher.publish(topic, { qos: 1, payload: 'one' })
    const two = await client.expectPublish({ qos: 2 })
    await client.expectPublish({ qos: 1 })
    await client.unsubscribe(topic)
    await client.acknowledge(two)
    client.cut()
    const again = await mqtt.client(options)
    await again.acknowledge(await again.expectPublish({ qos: 1, payload: 'one', dup: true }))
    await again.expectNothing()
  })

  statement(
    '[MQTT-3.10.4-4] [MQTT-3.10.4-5] UNSUBACK has the identifier of its request, also when nothing was subscribed',
    async () => {
      const client = await mqtt.client()
      for (const id of [2, 300, 65_535]) {
        client.sendBytes(unsubscribeBytes(5, [mqtt.topic()], { id }))
        await client.expect('unsuback', { messageId: id, granted: [0x11] })
      }
    },
  )

  statement(
    '[MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] several filters get one UNSUBACK with their codes in order',
    async () => {
      const root = mqtt.topic()
      const client = await mqtt.client()
      const publisher = await mqtt.client()
      await client.subscribe(['a', 'b', 'c'].map((name) => ({ topic: `${root}/${name}`, qos: 0 })))
      const unsuback = await client.unsubscribe(`${root}/a`, `${root}/none`, `${root}/c`, `${root}/c`)
      expect(unsuback.granted).toEqual([0, 0x11, 0, 0x11])
      for (const code of unsuback.granted ?? []) expect(UNSUBACK_CODES).toContain(code)
      for (const name of ['a', 'b', 'c']) await publisher.publish(`${root}/${name}`)
      await client.expectPublish({ topic: `${root}/b` })
      await client.expectNothing()
    },
  )
})

describe('3.12 PINGREQ', () => {
  statement('[MQTT-3.12.4-1] each PINGREQ gets a PINGRESP', async () => {
    const client = await mqtt.client()
    client.sendBytes(raw(0xc0, 0, 0xc0, 0, 0xc0, 0))
    for (let i = 0; i < 3; i++) await client.expect('pingresp')
    await client.expectNothing()
  })
})

describe('4.8 shared subscriptions', () => {
  statement(
    '[MQTT-4.8.2-1] [MQTT-4.8.2-2] a shared filter without a proper share name and filter is refused',
    async () => {
      for (const filter of [
        '$share/',
        '$share/g',
        '$share//a',
        '$share/g/',
        '$share/g+/a',
        '$share/g#/a',
        '$share/+/a',
      ]) {
        const client = await mqtt.client()
        client.sendBytes(subscribeBytes(5, [[filter, 0]], { id: 1 }))
        const answer = await client.next()
        if (answer === 'closed') continue
        if (answer.cmd === 'disconnect') expect(answer.reasonCode, filter).toBeGreaterThanOrEqual(0x80)
        else expect(answer.bytes.at(-1), filter).toBe(0x8f)
      }
    },
    { mosquitto: 'takes a share name with wildcards' },
  )

  statement(
    '[MQTT-4.8.2-1] [MQTT-4.8.2-2] each message goes to one member of every group, and to every ordinary subscriber',
    async () => {
      const topic = mqtt.topic()
      const groups = [
        [await mqtt.client(), await mqtt.client(), await mqtt.client()],
        [await mqtt.client(), await mqtt.client()],
      ]
      for (const [i, members] of groups.entries()) {
        for (const member of members) await member.subscribe(`$share/g${i}/${topic}`, 1)
      }
      const ordinary = await mqtt.client()
      await ordinary.subscribe(topic)
      const publisher = await mqtt.client()
      for (let i = 0; i < 30; i++) await publisher.publish(topic, { qos: 1, payload: String(i) })
      const all = Array.from({ length: 30 }, (_, i) => String(i)).sort()
      for (const members of [...groups, [ordinary]]) {
        const got: string[] = []
        for (const member of members) {
          for (const packet of await member.barrier()) if (packet.cmd === 'publish') got.push(packet.payload.toString())
        }
        expect(got.sort()).toEqual(all)
      }
    },
  )

  statement('[MQTT-4.8.2-3] each member gets messages at its own QoS', async () => {
    const topic = mqtt.topic()
    const low = await mqtt.client()
    const high = await mqtt.client()
    await low.subscribe(`$share/g/${topic}`, 0)
    await high.subscribe(`$share/g/${topic}`, 2)
    const publisher = await mqtt.client()
    for (let i = 0; i < 20; i++) await publisher.publish(topic, { qos: 2 })
    const got = [await low.barrier(), await high.barrier()].map((packets) =>
      packets.flatMap((packet) => (packet.cmd === 'publish' ? [packet.qos] : [])),
    )
    expect(new Set(got[0])).toEqual(new Set([0]))
    expect(new Set(got[1])).toEqual(new Set([2]))
    expect(got.flat().length).toBe(20)
  })

  statement('[MQTT-4.8.2-4] a QoS 2 delivery that broke off is completed with the same member', async () => {
    const topic = mqtt.topic()
    const options = { clientId: mqtt.id(), clean: false, properties: { sessionExpiryInterval: 100 } }
    const member = await mqtt.client(options)
    await member.subscribe(`$share/g/${topic}`, 2)
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 2 })
    const open = await member.expectPublish({ qos: 2 })
    const other = await mqtt.client()
    await other.subscribe(`$share/g/${topic}`, 2)
    member.cut()
    await other.expectNothing()
    const back = await mqtt.client(options)
    await back.acknowledge(await back.expectPublish({ qos: 2, dup: true, messageId: open.messageId }))
    await back.expectNothing()
    await other.expectNothing()
  })

  statement('[MQTT-4.8.2-5] a QoS 2 delivery that began goes to no other member when the session ends', async () => {
    const topic = mqtt.topic()
    const member = await mqtt.client({ clean: true })
    await member.subscribe(`$share/g/${topic}`, 2)
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 2 })
    await member.expectPublish({ qos: 2 })
    const other = await mqtt.client()
    await other.subscribe(`$share/g/${topic}`, 2)
    member.cut()
    await mqtt.client({ clientId: member.clientId })
    await other.expectNothing()
  })

  statement('[MQTT-4.8.2-6] a message that a member refuses goes to no other member', async () => {
    const topic = mqtt.topic()
    const member = await mqtt.client()
    await member.subscribe(`$share/g/${topic}`, 2)
    const publisher = await mqtt.client()
    await publisher.publish(topic, { qos: 1 })
    await publisher.publish(topic, { qos: 2 })
    const one = await member.expectPublish({ qos: 1 })
    const two = await member.expectPublish({ qos: 2 })
    const other = await mqtt.client()
    await other.subscribe(`$share/g/${topic}`, 2)
    member.send({ cmd: 'puback', messageId: one.messageId!, reasonCode: 0x80 })
    member.send({ cmd: 'pubrec', messageId: two.messageId!, reasonCode: 0x83 })
    await member.expectNothing()
    await other.expectNothing()
  })

  statement(
    '[MQTT-3.8.4-5] a shared subscription gets no retained messages',
    async () => {
      const topic = mqtt.topic()
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 1, retain: true })
      const member = await mqtt.client()
      await member.subscribe(`$share/g/${topic}`, 1)
      await member.expectNothing()
      expect((await member.unsubscribe(`$share/g/${topic}`)).bytes.subarray(0, 2).equals(u16(0xb004))).toBe(true)
    },
    { mosquitto: 'sends them' },
  )
})
