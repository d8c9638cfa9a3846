/**
 * MQTT 3.1.1, sections 3.8 to 3.14: SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import { field, frame, raw, subscribeBytes, u16, unsubscribeBytes } from '../support/bytes.ts'

const mqtt = useBroker(4)

describe('3.8 SUBSCRIBE', () => {
  statement('[MQTT-3.8.1-1] SUBSCRIBE with other flags closes the connection', async () => {
    for (const first of [0x80, 0x81, 0x83, 0x84, 0x8a]) {
      const client = await mqtt.client()
      client.sendBytes(subscribeBytes(4, [['a', 0]], { first }))
      await client.expectClosed()
    }
  })

  statement('[MQTT-3.8.3-1] a filter of SUBSCRIBE that runs past its end closes the connection', async () => {
    for (const body of [raw(0), u16(1), raw(0, 1, 0, 9, 0x61, 0), raw(0, 1, 0, 1, 0x61)]) {
      const client = await mqtt.client()
      client.sendBytes(frame(0x82, body))
      await client.expectClosed()
    }
  })

  statement('[MQTT-3.8.3-3] SUBSCRIBE without filters closes the connection', async () => {
    const client = await mqtt.client()
    client.sendBytes(subscribeBytes(4, []))
    await client.expectClosed()
  })

  statement(
    '[MQTT-3-8.3-4] reserved bits beside the QoS, and QoS 3, close the connection',
    async () => {
      for (const byte of [0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff]) {
        const client = await mqtt.client()
        client.sendBytes(subscribeBytes(4, [['a', byte]]))
        await client.expectClosed()
      }
    },
    { mosquitto: 'takes some reserved bits in 3.1.1' },
  )

  statement('[MQTT-3.8.4-1] [MQTT-3.8.4-2] SUBSCRIBE is answered by SUBACK of the same identifier', async () => {
    const client = await mqtt.client()
    for (const id of [1, 256, 65_535]) {
      client.sendBytes(subscribeBytes(4, [[mqtt.topic(), 0]], { id }))
      await client.expect('suback', { messageId: id })
    }
  })

  statement(
    '[MQTT-3.8.4-3] subscribing again replaces the subscription and sends retained messages again',
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

  statement('[MQTT-3.8.4-3] no message is lost while a subscription is replaced', async () => {
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
    '[MQTT-3.8.4-4] [MQTT-3.8.4-5] [MQTT-3.9.3-1] several filters get one SUBACK with their codes in order',
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

  statement('[MQTT-3.8.4-6] delivery is at the lesser of published and granted QoS', async () => {
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
    '[MQTT-3.8.4-5] [MQTT-3.9.3-2] only the codes 0, 1, 2 and 0x80 are used, 0x80 for a filter that is refused',
    async () => {
      const client = await mqtt.client()
      for (const filter of ['a#', 'a/#/b', '+a', 'a+/b', '#/a', '$share', '$share/', '$share/g', '$share/a+/b']) {
        const one = await mqtt.client()
        one.sendBytes(
          subscribeBytes(4, [
            [filter, 1],
            [mqtt.topic(), 1],
          ]),
        )
        const answer = await one.next()
        if (answer === 'closed') continue
        expect(answer.cmd).toBe('suback')
        for (const code of answer.bytes.subarray(4)) expect([0, 1, 2, 0x80]).toContain(code)
      }
      await client.expectNothing()
    },
  )
})

describe('3.10 UNSUBSCRIBE', () => {
  statement('[MQTT-3.10.1-1] UNSUBSCRIBE with other flags closes the connection', async () => {
    for (const first of [0xa0, 0xa1, 0xa3, 0xa6]) {
      const client = await mqtt.client()
      client.sendBytes(unsubscribeBytes(4, ['a'], { first }))
      await client.expectClosed()
    }
  })

  statement('[MQTT-3.10.3-1] a filter of UNSUBSCRIBE that runs past its end closes the connection', async () => {
    for (const body of [raw(0), raw(0, 1, 0), raw(0, 1, 0, 9, 0x61), raw(0, 1, 0, 1, 0x61, 0)]) {
      const client = await mqtt.client()
      client.sendBytes(frame(0xa2, body))
      await client.expectClosed()
    }
  })

  statement('[MQTT-3.10.3-2] UNSUBSCRIBE without filters closes the connection', async () => {
    const client = await mqtt.client()
    client.sendBytes(unsubscribeBytes(4, []))
    await client.expectClosed()
  })

  statement(
    '[MQTT-3.10.4-1] [MQTT-3.10.4-2] only the very same filter ends a subscription, and it ends at once',
    async () => {
      const root = mqtt.topic()
      const client = await mqtt.client()
      const publisher = await mqtt.client()
      await client.subscribe(`${root}/+`)
      for (const other of [`${root}/a`, `${root}/#`, `${root}/+/`, `${root.toUpperCase()}/+`, `${root}`]) {
        await client.unsubscribe(other)
        await publisher.publish(`${root}/a`)
        await client.expectPublish({ topic: `${root}/a` })
      }
      await client.unsubscribe(`${root}/+`)
      await publisher.publish(`${root}/a`)
      await client.expectNothing()
    },
  )

  statement('[MQTT-3.10.4-3] a QoS 2 delivery under way is finished after UNSUBSCRIBE', async () => {
    const clientId = mqtt.id()
    const topic = mqtt.topic()
    const client = await mqtt.client({ clientId, clean: false })
    const publisher = await mqtt.client()
    await client.subscribe(topic, 2)
    await publisher.publish(topic, { qos: 2, payload: 'two' })
    await publisher.publish(topic, { qos: 1, payload: 'one' })
    const two = await client.expectPublish({ qos: 2 })
    await client.expectPublish({ qos: 1 })
    await client.unsubscribe(topic)
    await client.acknowledge(two)
    client.cut()
    const again = await mqtt.client({ clientId, clean: false })
    await again.acknowledge(await again.expectPublish({ qos: 1, payload: 'one', dup: true }))
    await again.expectNothing()
  })

  statement(
    '[MQTT-3.10.4-4] [MQTT-3.10.4-5] UNSUBACK has the identifier of its request, also when nothing was subscribed',
    async () => {
      const client = await mqtt.client()
      for (const id of [2, 300, 65_535]) {
        client.sendBytes(unsubscribeBytes(4, [mqtt.topic()], { id }))
        const unsuback = await client.expect('unsuback', { messageId: id })
        expect([...unsuback.bytes]).toEqual([0xb0, 2, id >> 8, id & 0xff])
      }
    },
  )

  statement('[MQTT-3.10.4-6] several filters are unsubscribed with one UNSUBACK', async () => {
    const root = mqtt.topic()
    const client = await mqtt.client()
    const publisher = await mqtt.client()
    await client.subscribe(['a', 'b', 'c'].map((name) => ({ topic: `${root}/${name}`, qos: 0 })))
    await client.unsubscribe(`${root}/a`, `${root}/none`, `${root}/c`)
    for (const name of ['a', 'b', 'c']) await publisher.publish(`${root}/${name}`)
    await client.expectPublish({ topic: `${root}/b` })
    await client.expectNothing()
  })
})

describe('3.12 PINGREQ and 3.14 DISCONNECT', () => {
  statement('[MQTT-3.12.4-1] each PINGREQ gets a PINGRESP', async () => {
    const client = await mqtt.client()
    client.sendBytes(raw(0xc0, 0, 0xc0, 0, 0xc0, 0))
    for (let i = 0; i < 3; i++) await client.expect('pingresp')
    await client.expectNothing()
  })

  statement(
    '[MQTT-3.14.1-1] DISCONNECT with flags is no DISCONNECT: the connection closes and the will is published',
    async () => {
      const topic = mqtt.topic()
      const reader = await mqtt.client()
      await reader.subscribe(topic)
      const client = await mqtt.client({ will: { topic, payload: Buffer.from('gone'), qos: 0, retain: false } })
      client.sendBytes(raw(0xe1, 0))
      await client.expectClosed()
      await reader.expectPublish({ payload: 'gone' })
    },
  )

  statement('[MQTT-3.14.4-3] [MQTT-3.1.2-10] DISCONNECT discards the will, and the server closes', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    const client = await mqtt.client({ will: { topic, payload: Buffer.from('gone'), qos: 0, retain: true } })
    await client.disconnect()
    await reader.expectNothing()
    const late = await mqtt.client()
    await late.subscribe(topic)
    await late.expectNothing()
  })

  statement('[MQTT-3.14.4-3] what comes behind DISCONNECT is ignored', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    const client = await mqtt.client()
    client.sendBytes(raw(0xe0, 0), frame(0x30, field(topic)))
    await client.expectEnd()
    await reader.expectNothing()
  })
})
