/**
 * MQTT.js as a foreign client, over 3.1.1 and 5.0.
 */
import mqttjs, { type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { afterEach, describe, expect, test } from 'vitest'
import { IS_MOSQUITTO, useBroker } from '../support/broker.ts'
import { elapse } from '../support/eventually.ts'

const mqtt = useBroker(5)

const clients: MqttClient[] = []

/** A connected MQTT.js client and the messages that it got. */
async function connect(options: IClientOptions = {}) {
  const client = mqttjs.connect({
    host: mqtt.host,
    port: mqtt.port,
    protocol: 'mqtt',
    reconnectPeriod: 0,
    clientId: mqtt.id(),
    ...options,
  })
  clients.push(client)
  const inbox: IPublishPacket[] = []
  let wake: (() => void) | undefined
  client.on('message', (_topic, _payload, packet) => {
    inbox.push(packet)
    wake?.()
  })
  const connack = await new Promise<{ sessionPresent: boolean; properties?: object }>((resolve, reject) => {
    client.once('connect', resolve)
    client.once('error', reject)
  })
  return {
    client,
    connack,
    inbox,
    message: async (): Promise<IPublishPacket> => {
      while (inbox.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return inbox.shift()!
    },
    /** Cuts the connection without DISCONNECT. */
    cut: () => client.stream.destroy(),
  }
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
})

describe.each([4, 5] as const)('MQTT.js over version %i', (protocolVersion) => {
  const persistent = (clientId: string): IClientOptions => ({
    protocolVersion,
    clientId,
    clean: false,
    ...(protocolVersion === 5 && { properties: { sessionExpiryInterval: 100 } }),
  })

  test('exchanges messages at every QoS', async () => {
    const topic = mqtt.topic()
    const reader = await connect({ protocolVersion })
    const granted = await reader.client.subscribeAsync(topic, { qos: 2 })
    expect(granted.map(({ qos }) => qos)).toEqual([2])
    const writer = await connect({ protocolVersion })
    for (const qos of [0, 1, 2] as const) {
      await writer.client.publishAsync(topic, `at ${qos}`, { qos })
      const packet = await reader.message()
      expect([packet.payload.toString(), packet.qos, packet.dup, packet.retain]).toEqual([
        `at ${qos}`,
        qos,
        false,
        false,
      ])
    }
    await reader.client.unsubscribeAsync(topic)
    await writer.client.publishAsync(topic, 'unheard', { qos: 2 })
    await reader.client.subscribeAsync(`${topic}/end`)
    await writer.client.publishAsync(`${topic}/end`, 'end')
    expect((await reader.message()).payload.toString()).toBe('end')
  })

  test('gets retained messages, flagged', async () => {
    const topic = mqtt.topic()
    const writer = await connect({ protocolVersion })
    for (const name of ['a', 'b']) await writer.client.publishAsync(`${topic}/${name}`, name, { qos: 1, retain: true })
    const reader = await connect({ protocolVersion })
    await reader.client.subscribeAsync(`${topic}/+`, { qos: 1 })
    const got = [await reader.message(), await reader.message()]
    expect(got.map(({ payload }) => payload.toString()).sort()).toEqual(['a', 'b'])
    expect(got.map(({ retain }) => retain)).toEqual([true, true])
  })

  test('has its will published when cut', async () => {
    const topic = mqtt.topic()
    const reader = await connect({ protocolVersion })
    await reader.client.subscribeAsync(topic, { qos: 1 })
    const doomed = await connect({
      protocolVersion,
      will: { topic, payload: Buffer.from('gone'), qos: 1, retain: false },
    })
    doomed.cut()
    expect((await reader.message()).payload.toString()).toBe('gone')
  })

  test('resumes its session', async () => {
    const topic = mqtt.topic()
    const clientId = mqtt.id()
    const first = await connect(persistent(clientId))
    expect(first.connack.sessionPresent).toBe(false)
    await first.client.subscribeAsync(topic, { qos: 2 })
    await first.client.endAsync()
    const writer = await connect({ protocolVersion })
    for (let i = 0; i < 20; i++) await writer.client.publishAsync(topic, String(i), { qos: 2 })
    const second = await connect(persistent(clientId))
    expect(second.connack.sessionPresent).toBe(true)
    const got: string[] = []
    for (let i = 0; i < 20; i++) got.push((await second.message()).payload.toString())
    expect(got).toEqual(Array.from({ length: 20 }, (_, i) => String(i)))
  })

  test('shares a subscription: one delivery per group', async () => {
    const topic = mqtt.topic()
    const members = [await connect({ protocolVersion }), await connect({ protocolVersion })]
    for (const { client } of members) await client.subscribeAsync(`$share/g/${topic}`, { qos: 1 })
    const writer = await connect({ protocolVersion })
    for (let i = 0; i < 20; i++) await writer.client.publishAsync(topic, String(i), { qos: 1 })
    const barrier = mqtt.topic()
    for (const { client, inbox } of members) {
      await client.subscribeAsync(barrier, { qos: 0 })
      await writer.client.publishAsync(barrier, 'barrier')
      while (!inbox.some((packet) => packet.topic === barrier)) await new Promise(setImmediate)
    }
    const got = members.flatMap(({ inbox }) =>
      inbox.filter((packet) => packet.topic === topic).map(({ payload }) => payload.toString()),
    )
    expect(got.sort()).toEqual(Array.from({ length: 20 }, (_, i) => String(i)).sort())
  })

  test('carries a payload of 1 MB both ways, unaltered', async () => {
    const topic = mqtt.topic()
    const payload = Buffer.alloc(1_000_000)
    for (let i = 0; i < payload.length; i++) payload[i] = (i * 31) & 0xff
    const reader = await connect({ protocolVersion })
    await reader.client.subscribeAsync(topic, { qos: 2 })
    const writer = await connect({ protocolVersion })
    for (const qos of [0, 1, 2] as const) {
      await writer.client.publishAsync(topic, payload, { qos })
      expect(payload.equals((await reader.message()).payload as Buffer)).toBe(true)
    }
  })
})

describe('MQTT.js with what only 5.0 has', () => {
  test.skipIf(IS_MOSQUITTO)('keeps to its receive maximum and still gets everything', async () => {
    const topic = mqtt.topic()
    const reader = await connect({ protocolVersion: 5, properties: { receiveMaximum: 2 } })
    await reader.client.subscribeAsync(topic, { qos: 2 })
    const writer = await connect({ protocolVersion: 5 })
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => writer.client.publishAsync(topic, String(i), { qos: i % 2 === 0 ? 1 : 2 })),
    )
    const got = new Set<string>()
    while (got.size < 100) got.add((await reader.message()).payload.toString())
    expect(reader.inbox.length).toBe(0)
  })

  test('lets an expired message go', async () => {
    const topic = mqtt.topic()
    const options = {
      protocolVersion: 5,
      clean: false,
      clientId: mqtt.id(),
      properties: { sessionExpiryInterval: 100 },
    } as const
    const first = await connect(options)
    await first.client.subscribeAsync(topic, { qos: 1 })
    await first.client.endAsync()
    const writer = await connect({ protocolVersion: 5 })
    await writer.client.publishAsync(topic, 'brief', { qos: 1, properties: { messageExpiryInterval: 1 } })
    await elapse(2_200)
    await writer.client.publishAsync(topic, 'later', { qos: 1 })
    const second = await connect(options)
    expect((await second.message()).payload.toString()).toBe('later')
  })

  test('uses topic aliases both ways', async () => {
    const topic = mqtt.topic()
    const reader = await connect({ protocolVersion: 5, properties: { topicAliasMaximum: 5 } })
    await reader.client.subscribeAsync(`${topic}/#`)
    const writer = await connect({ protocolVersion: 5, autoUseTopicAlias: true, autoAssignTopicAlias: true })
    for (let i = 0; i < 30; i++) {
      await writer.client.publishAsync(`${topic}/${i % 3}`, String(i))
      const packet = await reader.message()
      expect([packet.topic, packet.payload.toString()]).toEqual([`${topic}/${i % 3}`, String(i)])
    }
  })

  test('asks and answers by response topic and correlation data', async () => {
    const topic = mqtt.topic()
    const server = await connect({ protocolVersion: 5 })
    await server.client.subscribeAsync(`${topic}/request`, { qos: 1 })
    server.client.on('message', (_name, payload, { properties }) => {
      server.client.publish(properties?.responseTopic ?? '', `re: ${payload.toString()}`, {
        qos: 1,
        properties: { correlationData: properties?.correlationData ?? Buffer.alloc(0) },
      })
    })
    const client = await connect({ protocolVersion: 5 })
    await client.client.subscribeAsync(`${topic}/response/+`, { qos: 1 })
    for (let i = 0; i < 5; i++) {
      await client.client.publishAsync(`${topic}/request`, `question ${i}`, {
        qos: 1,
        properties: { responseTopic: `${topic}/response/${i}`, correlationData: Buffer.from([i]) },
      })
      const answer = await client.message()
      expect(answer.topic).toBe(`${topic}/response/${i}`)
      expect(answer.payload.toString()).toBe(`re: question ${i}`)
      expect(answer.properties?.correlationData).toEqual(Buffer.from([i]))
    }
  })
})

test('a thousand MQTT.js clients are connected at once and each gets its own messages', async () => {
  const root = mqtt.topic()
  const writer = await connect({ protocolVersion: 5 })
  const crowd: Array<Awaited<ReturnType<typeof connect>>> = []
  for (let batch = 0; batch < 10; batch++) {
    const opened = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const member = await connect({ protocolVersion: i % 2 === 0 ? 4 : 5 })
        await member.client.subscribeAsync([`${root}/all`, `${root}/${batch * 100 + i}`], { qos: 1 })
        return member
      }),
    )
    crowd.push(...opened)
  }
  await writer.client.publishAsync(`${root}/all`, 'all', { qos: 1 })
  await Promise.all(crowd.map((_, i) => writer.client.publishAsync(`${root}/${i}`, String(i), { qos: 1 })))
  for (const [i, member] of crowd.entries()) {
    expect((await member.message()).payload.toString()).toBe('all')
    expect((await member.message()).payload.toString()).toBe(String(i))
  }
})
