/** A whole broker with default limits, publishers with large windows, and subscribers that acknowledge what they get. */
import { expect, test } from 'vitest'
import type { QoS } from '../../src/broker/packet.ts'
import { useBroker } from '../support/broker.ts'
import type { RawClient } from '../support/raw-client.ts'

const mqtt = useBroker(4)

/** Publishes `count` messages with at most `window` unacknowledged; settles when all are acknowledged to their end. */
async function publishAll(client: RawClient, topic: string, qos: QoS, count: number, window: number): Promise<void> {
  let sent = 0
  let done = 0
  while (done < count) {
    client.socket.cork()
    for (; sent < count && sent - done < window; sent++) client.sendPublish(topic, { qos, payload: String(sent) })
    client.socket.uncork()
    const packet = await client.next()
    if (packet === 'closed') throw new Error('the broker closed a publisher')
    if (packet.cmd === 'puback' || packet.cmd === 'pubcomp') done += 1
    else if (packet.cmd === 'pubrec') client.send({ cmd: 'pubrel', messageId: packet.messageId })
  }
}

/** Acknowledges all that comes until `count` messages have; returns their payloads. */
async function acknowledgeAll(client: RawClient, count: number): Promise<string[]> {
  const payloads: string[] = []
  let open = 0
  while (payloads.length < count || open > 0) {
    const packet = await client.next()
    if (packet === 'closed') throw new Error('the broker closed a subscriber')
    if (packet.cmd === 'publish') {
      payloads.push(packet.payload.toString())
      const messageId = packet.messageId!
      if (packet.qos === 2) open += 1
      client.send(packet.qos === 2 ? { cmd: 'pubrec', messageId } : { cmd: 'puback', messageId })
    } else if (packet.cmd === 'pubrel') {
      open -= 1
      client.send({ cmd: 'pubcomp', messageId: packet.messageId })
    }
  }
  return payloads
}

const dropped = () => mqtt.broker.metrics['delivery/dropped/queue_full']

test('a subscriber that acknowledges loses nothing of a publisher that has 900 messages under way', async () => {
  for (const qos of [1, 2] as const) {
    const topic = mqtt.topic()
    const subscriber = await mqtt.client()
    await subscriber.subscribe(topic, qos)
    const publisher = await mqtt.client()
    const [, payloads] = await Promise.all([
      publishAll(publisher, topic, qos, 5000, 900),
      acknowledgeAll(subscriber, 5000),
    ])
    expect(payloads).toEqual(Array.from({ length: 5000 }, (_, i) => String(i)))
    expect(dropped()).toBe(0)
  }
})

test('a subscriber that acknowledges loses nothing of twenty publishers that write as fast as they can', async () => {
  const topic = mqtt.topic()
  const subscriber = await mqtt.client({ version: 5 })
  await subscriber.subscribe(topic, 1)
  const publishers = await Promise.all(Array.from({ length: 20 }, () => mqtt.client()))
  const [payloads] = await Promise.all([
    acknowledgeAll(subscriber, 20 * 300),
    ...publishers.map((publisher) => publishAll(publisher, topic, 1, 300, 300)),
  ])
  expect(payloads).toHaveLength(20 * 300)
  expect(dropped()).toBe(0)
})

test('two clients that publish to each other with all that they have under way come to their end', async () => {
  const [a, b] = [await mqtt.client(), await mqtt.client({ version: 5, properties: { receiveMaximum: 1 } })]
  const [toA, toB] = [mqtt.topic(), mqtt.topic()]
  await a.subscribe(toA, 1)
  await b.subscribe(toB, 1)
  const turn = async (client: RawClient, topic: string): Promise<void> => {
    let acks = 0
    let got = 0
    client.socket.cork()
    for (let i = 0; i < 900; i++) client.sendPublish(topic, { qos: 1, payload: String(i) })
    client.socket.uncork()
    while (acks < 900 || got < 900) {
      const packet = await client.next()
      if (packet === 'closed') throw new Error('the broker closed a client')
      if (packet.cmd === 'puback') acks += 1
      else if (packet.cmd === 'publish') {
        expect(packet.payload.toString()).toBe(String(got))
        got += 1
        client.send({ cmd: 'puback', messageId: packet.messageId! })
      }
    }
  }
  await Promise.all([turn(a, toB), turn(b, toA)])
  expect(dropped()).toBe(0)
})

test('a client that subscribes to what it publishes is not held up by itself', async () => {
  const topic = mqtt.topic()
  const client = await mqtt.client({ version: 5, properties: { receiveMaximum: 1 } })
  await client.subscribe(topic, 1)
  client.socket.cork()
  for (let i = 0; i < 900; i++) client.sendPublish(topic, { qos: 1, payload: String(i) })
  client.socket.uncork()
  let acks = 0
  let got = 0
  while (acks < 900 || got < 900) {
    const packet = await client.next()
    if (packet === 'closed') throw new Error('the broker closed a client')
    if (packet.cmd === 'puback') acks += 1
    else if (packet.cmd === 'publish') {
      got += 1
      client.send({ cmd: 'puback', messageId: packet.messageId! })
    }
  }
  expect(dropped()).toBe(0)
})
