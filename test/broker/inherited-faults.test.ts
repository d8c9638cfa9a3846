/**
 * Faults of emqttd that this broker must not have, each as what must hold instead. Real sockets, one node.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { type BrokerUnderTest, IS_AGNER, startTarget, useBroker } from '../support/broker.ts'
import { connectBytes, field, properties, property, u32 } from '../support/bytes.ts'
import { eventually } from '../support/eventually.ts'
import { RawClient } from '../support/raw-client.ts'

const MAX_AWAITING_REL = 5
const QUEUE_LENGTH = 5
const MAX_RETAINED = 3
const MAX_SUBSCRIPTIONS = 4

const will = (topic: string, delaySec = 0) => ({
  topic,
  payload: Buffer.from('gone'),
  qos: 0 as const,
  retain: false,
  ...(delaySec > 0 && { properties: { willDelayInterval: delaySec } }),
})

describe.skipIf(!IS_AGNER)('with small limits', () => {
  const mqtt = useBroker(5, {
    'session.max_awaiting_rel': MAX_AWAITING_REL,
    'session.queue.max_length': QUEUE_LENGTH,
    'retained.max_message_num': MAX_RETAINED,
    'session.max_subscriptions': MAX_SUBSCRIPTIONS,
    'broker.sys_interval': 'off',
  })
  const hooks: Array<() => void> = []
  afterEach(() => {
    for (const remove of hooks.splice(0)) remove()
  })

  test('a QoS 2 message is delivered although its PUBREL never comes', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    const publisher = await mqtt.client({ version: 4 })
    publisher.sendPublish(topic, { qos: 2, messageId: 1 })
    await publisher.expect('pubrec')
    publisher.cut()
    await reader.expectPublish({ topic })
    await reader.expectNothing()
  })

  test('a 5.0 publisher above its receive maximum is told so with 0x93, and nothing that was taken is lost', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    const publisher = await mqtt.client()
    expect(publisher.connack?.properties?.receiveMaximum).toBe(MAX_AWAITING_REL)
    for (let id = 1; id <= MAX_AWAITING_REL; id++) {
      publisher.sendPublish(topic, { qos: 2, messageId: id, payload: String(id) })
      await publisher.expect('pubrec', { messageId: id })
    }
    publisher.sendPublish(topic, { qos: 2, messageId: 100 })
    await publisher.expectDisconnected(0x93)
    for (let id = 1; id <= MAX_AWAITING_REL; id++) await reader.expectPublish({ payload: String(id) })
    await reader.expectNothing()
  })

  test('a 3.1.1 publisher above the limit is neither ignored nor robbed: every message is acknowledged or the connection closed', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    const publisher = await mqtt.client({ version: 4 })
    const total = MAX_AWAITING_REL + 3
    for (let id = 1; id <= total; id++) publisher.sendPublish(topic, { qos: 2, messageId: id, payload: String(id) })
    const taken: number[] = []
    for (;;) {
      const packet = await publisher.next()
      if (packet === 'closed') break
      if (packet.cmd === 'pubrec') {
        taken.push(packet.messageId)
        publisher.send({ cmd: 'pubrel', messageId: packet.messageId })
      }
      if (packet.cmd === 'pubcomp' && packet.messageId === total) break
    }
    expect(taken.length).toBeGreaterThanOrEqual(MAX_AWAITING_REL)
    for (const id of taken) await reader.expectPublish({ payload: String(id) })
    await reader.expectNothing()
  })

  test('a full queue drops QoS 0 first, then the oldest, and counts each drop', async () => {
    const topic = mqtt.topic()
    const options = { clientId: mqtt.id(), clean: false, properties: { sessionExpiryInterval: 60 } }
    const away = await mqtt.client(options)
    await away.subscribe(topic, 1)
    await away.disconnect()
    const publisher = await mqtt.client()
    const before = mqtt.broker.metrics['delivery/dropped/queue_full']
    for (const [qos, payload] of [
      [1, 'one'],
      [0, 'zero'],
      [1, 'two'],
      [1, 'three'],
      [1, 'four'],
      [1, 'five'],
      [1, 'six'],
    ] as const) {
      await publisher.publish(topic, { qos, payload })
    }
    const back = await mqtt.client(options)
    for (const payload of ['two', 'three', 'four', 'five', 'six']) {
      await back.acknowledge(await back.expectPublish({ payload }))
    }
    await back.expectNothing()
    expect(mqtt.broker.metrics['delivery/dropped/queue_full'] - before).toBe(2)
  })

  test('the retained store takes exactly its limit, refuses more, and still replaces and removes', async () => {
    const root = mqtt.topic()
    const publisher = await mqtt.client()
    const retained = async () => {
      const reader = await mqtt.client()
      await reader.subscribe(`${root}/#`)
      return (await reader.barrier())
        .flatMap((p) => (p.cmd === 'publish' ? [`${p.topic.slice(root.length + 1)}=${p.payload}`] : []))
        .sort()
    }
    for (let i = 0; i < MAX_RETAINED + 2; i++) await publisher.publish(`${root}/${i}`, { retain: true, payload: 'old' })
    expect(await retained()).toEqual(['0=old', '1=old', '2=old'])
    await publisher.publish(`${root}/1`, { retain: true, payload: 'new' })
    expect(await retained()).toEqual(['0=old', '1=new', '2=old'])
    await publisher.publish(`${root}/0`, { retain: true, payload: '' })
    await publisher.publish(`${root}/9`, { retain: true, payload: 'late' })
    expect(await retained()).toEqual(['1=new', '2=old', '9=late'])
    for (const name of ['1', '2', '9']) await publisher.publish(`${root}/${name}`, { retain: true, payload: '' })
    expect(await retained()).toEqual([])
  })

  test('filters above the limit are refused one by one, and there is room again after UNSUBSCRIBE', async () => {
    const root = mqtt.topic()
    const filters = Array.from({ length: MAX_SUBSCRIPTIONS + 2 }, (_, i) => ({
      topic: `${root}/${i}`,
      qos: 0 as const,
    }))
    for (const [version, refusal] of [
      [4, 0x80],
      [5, 0x97],
    ] as const) {
      const client = await mqtt.client({ version })
      const granted = filters.map((_, i) => (i < MAX_SUBSCRIPTIONS ? 0 : refusal))
      expect((await client.subscribe(filters)).granted).toEqual(granted)
      expect((await client.subscribe(filters)).granted).toEqual(granted)
      await client.unsubscribe(`${root}/0`)
      expect((await client.subscribe(`${root}/new`)).granted).toEqual([0])
    }
  })

  test('one denied filter leaves the others of its SUBSCRIBE alone', async () => {
    hooks.push(
      mqtt.broker.hooks.on('client.authorize', (_, __, ___, topic) =>
        topic.startsWith('denied') ? 'deny' : undefined,
      ),
    )
    const topic = mqtt.topic()
    for (const [version, refusal] of [
      [4, 0x80],
      [5, 0x87],
    ] as const) {
      const client = await mqtt.client({ version })
      const suback = await client.subscribe([
        { topic: `${topic}/a`, qos: 1 },
        { topic: 'denied/b', qos: 1 },
        { topic: `${topic}/c`, qos: 2 },
      ])
      expect(suback.granted).toEqual([1, refusal, 2])
      const publisher = await mqtt.client()
      await publisher.publish(`${topic}/c`)
      await client.expectPublish({ topic: `${topic}/c` })
    }
  })

  test('a denied publish is acknowledged, so that its client does not retry for ever, and reaches nobody', async () => {
    hooks.push(mqtt.broker.hooks.on('client.authorize', (_, __, action) => (action === 'publish' ? 'deny' : undefined)))
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic, 2)
    const old = await mqtt.client({ version: 4 })
    await old.publish(topic, { qos: 1 })
    await old.publish(topic, { qos: 2 })
    const client = await mqtt.client()
    client.sendPublish(topic, { qos: 1, messageId: 1 })
    await client.expect('puback', { messageId: 1, reasonCode: 0x87 })
    client.sendPublish(topic, { qos: 2, messageId: 2 })
    await client.expect('pubrec', { messageId: 2, reasonCode: 0x87 })
    await reader.expectNothing()
  })
})

describe.skipIf(!IS_AGNER)('with the defaults', () => {
  const mqtt = useBroker(5, { 'broker.sys_interval': 'off' })

  test('every limit on what one client can make the broker remember is finite', () => {
    const { mqtt: packets, session, retained } = mqtt.broker.services.config
    for (const limit of [
      packets.maxPacketBytes,
      packets.idleTimeoutMs,
      session.maxInflight,
      session.maxAwaitingRel,
      session.maxSubscriptions,
      session.queue.maxLength,
      session.queue.maxBytes,
      retained.maxMessages,
    ]) {
      expect(limit).toBeLessThan(Number.POSITIVE_INFINITY)
    }
  })

  test('nothing listens beyond this host until it is told to', () => {
    expect(mqtt.broker.services.config.listeners.tcp.host).toBe('127.0.0.1')
  })

  test('a take-over publishes the will of the old connection and reports it', async () => {
    const node = mqtt.broker.runtime.node.name
    for (const version of [4, 5] as const) {
      const topic = mqtt.topic()
      const clientId = mqtt.id()
      const reader = await mqtt.client()
      await reader.subscribe([
        { topic, qos: 0 },
        { topic: `$SYS/brokers/${node}/clients/${clientId}/+`, qos: 0 },
      ])
      await mqtt.client({ version, clientId, will: will(topic) })
      await reader.expectPublish({ topic: `$SYS/brokers/${node}/clients/${clientId}/connected` })
      await mqtt.client({ version, clientId })
      const got: string[] = []
      while (got.length < 2) {
        const packet = await reader.expectPublish()
        if (packet.topic === topic) got.push('will')
        else if (packet.topic.endsWith('/connected')) got.push('connected')
      }
      expect(got.sort()).toEqual(['connected', 'will'])
    }
  })

  test('a crash of the session closes its client and publishes the will', async () => {
    const topic = mqtt.topic()
    const clientId = mqtt.id()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    const client = await mqtt.client({ clientId, will: will(topic) })
    const session = mqtt.broker.services.sessions.lookup(clientId)
    if (session === undefined) throw new Error('there is no session')
    mqtt.broker.runtime.exit(session.pid, 'kill')
    await reader.expectPublish({ topic, payload: 'gone' })
    await client.expectClosed()
    await reader.expectNothing()
    const again = await mqtt.client({ clientId, clean: false })
    expect(again.connack?.sessionPresent).toBe(false)
  })

  test('a silent client is cut at one and a half times its keep alive: after 2 s and before 4 s for a keep alive of 2 s', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    // Wills that the broker's own timers delay are the clock that the order is read from.
    const delayed = (delaySec: number) => ({
      properties: { sessionExpiryInterval: 60 },
      will: { ...will(topic, delaySec), payload: Buffer.from(`after ${delaySec} s`) },
    })
    const early = await mqtt.client(delayed(2))
    const late = await mqtt.client(delayed(4))
    await mqtt.client({ keepalive: 2, will: { ...will(topic), payload: Buffer.from('cut') } })
    early.cut()
    late.cut()
    const order: string[] = []
    for (let i = 0; i < 3; i++) order.push((await reader.expectPublish({ topic })).payload.toString())
    expect(order).toEqual(['after 2 s', 'cut', 'after 4 s'])
  })

  test('a client that sends anything at all within its keep alive stays', async () => {
    const client = await mqtt.client({ keepalive: 1 })
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 700))
      client.sendPublish(mqtt.topic())
    }
    await client.expectNothing()
  })

  test('no topic that begins with $ reaches a filter that begins with a wildcard, retained or live', async () => {
    const name = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe([
      { topic: '#', qos: 0 },
      { topic: `+/${name}`, qos: 0 },
      { topic: `$share/g/+/${name}`, qos: 0 },
    ])
    await reader.barrier()
    const publisher = await mqtt.client()
    for (const root of ['$', '$own', '$$', '$share2']) await publisher.publish(`${root}/${name}`, { retain: true })
    await reader.expectNothing()
    const late = await mqtt.client()
    await late.subscribe(`+/${name}`)
    await late.expectNothing()
  })

  test('a wildcard gets all of thousands of retained messages, and one topic among them just its own', async () => {
    const root = mqtt.topic()
    const count = 3_000
    const publisher = await mqtt.client()
    for (let i = 0; i < count; i++) publisher.sendPublish(`${root}/${i}/x`, { retain: true, payload: String(i) })
    await publisher.survives()
    for (const qos of [0, 1] as const) {
      const all = await mqtt.client()
      await all.subscribe(`${root}/+/x`, qos)
      const seen = new Set<string>()
      for (let i = 0; i < count; i++) seen.add((await all.expectPublish({ retain: true })).payload.toString())
      expect(seen.size).toBe(count)
      await all.expectNothing()
    }
    const one = await mqtt.client()
    await one.subscribe(`${root}/7/+`)
    await one.expectPublish({ payload: '7' })
    await one.expectNothing()
  })

  test('connections that fight for a client id are each answered, and leave one session', async () => {
    const clientId = mqtt.id()
    const rivals = await Promise.all(Array.from({ length: 50 }, () => mqtt.socket(5)))
    for (const rival of rivals) rival.sendConnect({ clientId, clean: false, properties: { sessionExpiryInterval: 1 } })
    for (const rival of rivals) await rival.expect('connack')
    const sessions = [...mqtt.broker.services.sessions.list()].filter((row) => row.clientId === clientId)
    expect(sessions.length).toBe(1)
    const alive = await Promise.all(rivals.map((rival) => rival.survives()))
    expect(alive.filter(Boolean).length).toBe(1)
    for (const rival of rivals) rival.cut()
    await eventually(() => mqtt.broker.services.sessions.lookup(clientId) === undefined)
  })

  test('what is published right after SUBACK is delivered', async () => {
    const publisher = await mqtt.client()
    for (let i = 0; i < 100; i++) {
      const topic = mqtt.topic()
      const client = await mqtt.client({ version: i % 2 === 0 ? 4 : 5 })
      await client.subscribe(i % 3 === 0 ? `${topic}/#` : topic)
      publisher.sendPublish(topic)
      await client.expectPublish({ topic })
      client.cut()
    }
  })

  for (const prefix of ['$share/group/', '$queue/']) {
    test(`${prefix} delivers each message once in its group`, async () => {
      const topic = mqtt.topic()
      const members = [await mqtt.client(), await mqtt.client({ version: 4 }), await mqtt.client()]
      for (const member of members) await member.subscribe(prefix + topic, 1)
      const publisher = await mqtt.client()
      for (let i = 0; i < 30; i++) await publisher.publish(topic, { qos: 1, payload: String(i) })
      const got: string[] = []
      for (const member of members) {
        for (const packet of await member.barrier()) if (packet.cmd === 'publish') got.push(packet.payload.toString())
      }
      expect(got.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => i))
    })

    test(`${prefix} gives a QoS 1 message that a leaving member has not acknowledged to another`, async () => {
      const topic = mqtt.topic()
      const leaving = await mqtt.client()
      await leaving.subscribe(prefix + topic, 1)
      const publisher = await mqtt.client()
      for (let i = 0; i < 3; i++) await publisher.publish(topic, { qos: 1, payload: String(i) })
      for (let i = 0; i < 3; i++) await leaving.expectPublish({ payload: String(i) })
      const staying = await mqtt.client()
      await staying.subscribe(prefix + topic, 1)
      await staying.expectNothing()
      leaving.cut()
      const got: string[] = []
      for (let i = 0; i < 3; i++) {
        const packet = await staying.expectPublish({ topic, qos: 1 })
        got.push(packet.payload.toString())
        await staying.acknowledge(packet)
      }
      expect(got).toEqual(['0', '1', '2'])
      await staying.expectNothing()
    })
  }
})

describe.skipIf(!IS_AGNER)('assigned client ids', () => {
  test('are unique among connections and after a restart', async () => {
    const seen = new Set<string>()
    for (let start = 0; start < 2; start++) {
      const broker: BrokerUnderTest = await startTarget()
      try {
        for (let i = 0; i < 100; i++) {
          const client = await RawClient.open(broker, 5)
          client.sendBytes(
            connectBytes({ level: 5, properties: properties(property(17, u32(60))), payload: field('') }),
          )
          const { properties: given } = await client.expect('connack', { reasonCode: 0 })
          seen.add(given?.assignedClientIdentifier ?? '')
          client.cut()
        }
      } finally {
        await broker.stop()
      }
    }
    expect(seen.has('')).toBe(false)
    expect(seen.size).toBe(200)
  })
})
