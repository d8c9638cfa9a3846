import { connectAsync } from 'mqtt'
import pino from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Broker, type StartBrokerOptions, startBroker } from '../../src/broker/broker.ts'
import { stop } from '../../src/broker/hooks.ts'
import type { ConnectPacket, Packet } from '../../src/broker/packet.ts'
import type { RawClient } from '../support/raw-client.ts'
import { connectPacket, publishPacket } from './protocol-harness.ts'
import { connectClient, openClient } from './tcp-client.ts'

const v5 = { protocolVersion: 5 } as const
const will = { topic: 'w', payload: Buffer.from('gone'), qos: 0 as const, retain: false }

interface Served {
  readonly broker: Broker
  readonly port: number
  client(packet?: Partial<ConnectPacket>): Promise<RawClient>
  /** A client that has subscribed to a filter. */
  subscriber(filter: string, packet?: Partial<ConnectPacket>): Promise<RawClient>
}

/** A whole broker on a free port. */
async function serve(options: StartBrokerOptions = {}): Promise<Served> {
  const logger = pino({ level: 'silent' })
  const broker = await startBroker({ logger, ...options, listeners: { tcp: { ...options.listeners?.tcp, port: 0 } } })
  onTestFinished(() => broker.stop())
  const { port } = broker.listeners[0]!
  const client = (packet?: Partial<ConnectPacket>) => connectClient(port, packet)
  const subscriber = async (filter: string, packet: Partial<ConnectPacket> = { clientId: 'subscriber' }) => {
    const subscribed = await client(packet)
    subscribed.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos: 0 }] })
    expect(await subscribed.next()).toMatchObject({ cmd: 'suback' })
    return subscribed
  }
  return { broker, port, client, subscriber }
}

async function turnsUntil(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

describe('a client of a whole broker', () => {
  it('may send everything behind CONNECT in one segment [MQTT311-3.1.4-5]', async () => {
    const { port } = await serve()
    for (const version of [3, 4, 5] as const) {
      const client = await openClient(port, version)
      client.send(
        connectPacket({ protocolVersion: version }),
        { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'other', qos: 1 }] },
        publishPacket({ topic: 't', qos: 1, messageId: 2 }),
        { cmd: 'pingreq' },
      )
      await client.expect('connack')
      const kinds = new Set<string>()
      while (kinds.size < 3) kinds.add(((await client.next()) as Packet).cmd)
      expect([...kinds].sort()).toEqual(['pingresp', 'puback', 'suback'])
      await client.disconnect()
    }
  })

  it('may send any number of packets behind CONNECT before it is answered', async () => {
    const { port } = await serve()
    const client = await openClient(port, 4)
    const ids = Array.from({ length: 5000 }, (_, i) => i + 1)
    client.send(
      connectPacket({ protocolVersion: 4 }),
      ...ids.map((messageId) => publishPacket({ topic: 't', qos: 1, messageId })),
    )
    await client.expect('connack')
    for (const messageId of ids) await client.expect('puback', { messageId })
  })

  it('is taken over by a second one of its id, and told so in 5.0 [MQTT5-3.1.4-3]', async () => {
    const { client } = await serve()
    const first = await client(v5)
    const second = await client(v5)
    await first.expectDisconnected(0x8e)
    second.send({ cmd: 'pingreq' })
    expect(await second.next()).toMatchObject({ cmd: 'pingresp' })
  })

  it('may not publish or subscribe where the rules forbid it', async () => {
    const { broker, client, subscriber } = await serve()
    broker.services.access.setRules([])
    broker.hooks.on('client.authorize', (_, __, action, topic) =>
      topic.startsWith('secret') ? 'deny' : action === 'publish' ? 'allow' : undefined,
    )
    const witness = await subscriber('#')
    for (const protocolVersion of [4, 5] as const) {
      const failure = protocolVersion === 5 ? 0x87 : 0x80
      const denied = await client({ protocolVersion })
      denied.send(publishPacket({ topic: 'secret', qos: 1, messageId: 5 }))
      const ack = (await denied.next()) as { cmd: string; reasonCode?: number }
      expect(ack).toMatchObject({ cmd: 'puback', messageId: 5 })
      expect(ack.reasonCode ?? 0).toBe(protocolVersion === 5 ? 0x87 : 0)
      const subscriptions = ['open', 'secret/#'].map((topic) => ({ topic, qos: 0 as const }))
      denied.send({ cmd: 'subscribe', messageId: 6, subscriptions })
      expect(await denied.next()).toMatchObject({ cmd: 'suback', granted: [0, failure] })
      denied.send(publishPacket({ topic: 'public' }))
      expect(await witness.next()).toMatchObject({ cmd: 'publish', topic: 'public' })
    }
  })

  it('authenticates step by step with a method that a hook knows [MQTT5-4.12]', async () => {
    const { broker, port } = await serve()
    broker.hooks.on('client.auth_step', (_, { method, data, isFirst, exchange }) => {
      if (method !== 'double') return undefined
      if (isFirst) {
        exchange.challenge = 21
        return { outcome: 'continue', data: Buffer.from([21]) }
      }
      const isRight = data?.[0] === Number(exchange.challenge) * 2
      return isRight ? { outcome: 'accept' } : { outcome: 'refuse', reasonCode: 0x87, reason: 'wrong' }
    })
    const unknown = await openClient(port, 5)
    unknown.send(connectPacket({ ...v5, properties: { authenticationMethod: 'triple' } }))
    // [MQTT5-4.12.0-1]
    expect(await unknown.next()).toMatchObject({ cmd: 'connack', reasonCode: 0x8c })
    for (const [answer, reasonCode] of [
      [42, 0],
      [41, 0x87],
    ] as const) {
      const client = await openClient(port, 5)
      const authenticationMethod = 'double'
      client.send(connectPacket({ ...v5, properties: { authenticationMethod } }))
      expect(await client.next()).toMatchObject({ cmd: 'auth', reasonCode: 0x18 })
      const authenticationData = Buffer.from([answer])
      client.send({ cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod, authenticationData } })
      expect(await client.next()).toMatchObject({ cmd: 'connack', reasonCode })
    }
  })

  it('is sent to another server by a hook [MQTT5-4.13.2]', async () => {
    const { broker, client } = await serve()
    broker.hooks.on('client.authenticate', () =>
      stop({ outcome: 'refuse' as const, reasonCode: 0x9d, reason: 'moved', serverReference: 'other:1883' }),
    )
    const moved = await client(v5)
    expect(moved.connack).toMatchObject({ reasonCode: 0x9d, properties: { serverReference: 'other:1883' } })
  })

  it('that sends more than it may unacknowledged is told so [MQTT5-3.3.4-9]', async () => {
    const { client } = await serve({ session: { maxAwaitingRel: 2 } })
    const greedy = await client(v5)
    expect(greedy.connack).toMatchObject({ properties: { receiveMaximum: 2 } })
    for (let messageId = 1; messageId <= 3; messageId++) greedy.send(publishPacket({ qos: 2, messageId }))
    expect((await greedy.drainToEnd()).at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x93 })
  })

  it('has its will published when its connection or its session is killed, and leaves nothing behind', async () => {
    const { broker, client, subscriber } = await serve()
    const witness = await subscriber('w')
    const before = broker.runtime.processes.count
    for (const victim of ['connection', 'session'] as const) {
      const dying = await client({ will })
      const { pid } = broker.services.sessions.lookup('c1')!
      const processes = [...broker.runtime.processes]
      const connection = processes.filter((process) => process.label === 'connection').at(-1)!
      broker.runtime.exit(victim === 'session' ? pid : connection.pid, 'kill')
      expect(await witness.next()).toMatchObject({ cmd: 'publish', topic: 'w' })
      await dying.expectEnd()
      await turnsUntil(() => broker.runtime.processes.count === before)
    }
  })

  it('is told when the broker stops', async () => {
    const { broker, client } = await serve()
    const clients = await Promise.all([client({ ...v5, clientId: 'a' }), client({ clientId: 'b' })])
    await broker.stop()
    const last = await Promise.all(clients.map((each) => each.drainToEnd()))
    expect(last.map((packets) => packets.map((packet) => packet.cmd))).toEqual([['disconnect'], []])
  })

  it('that does not read does not hold up the others, and costs no more than the limits', async () => {
    const highWatermarkBytes = 65_536
    const { broker, client, subscriber } = await serve({ listeners: { tcp: { highWatermarkBytes } } })
    const sleeper = await subscriber('flood', { clientId: 'sleeper', keepalive: 0 })
    sleeper.socket.pause()
    const awake = await connectAsync(`mqtt://127.0.0.1:${broker.listeners[0]!.port}`)
    let received = 0
    awake.on('message', () => received++)
    await awake.subscribeAsync('flood')
    const publisher = await client({ clientId: 'publisher' })
    const payload = Buffer.alloc(20_000)
    const messages = 2000
    for (let i = 0; i < messages; i++) publisher.send(publishPacket({ topic: 'flood', payload }))
    await turnsUntil(() => received === messages)
    // What the sleeper does not take is shed beyond the limits of its socket and of its queue.
    expect(broker.metrics['delivery/dropped']).toBeGreaterThan(0)
    sleeper.send({ cmd: 'disconnect' })
    await awake.endAsync()
  })

  it('sends and gets a payload of a megabyte at every QoS', async () => {
    const { port } = await serve()
    const payload = Buffer.alloc(1_048_576, 'large')
    for (const protocolVersion of [4, 5] as const) {
      const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion })
      await client.subscribeAsync('large', { qos: 2 })
      for (const qos of [0, 1, 2] as const) {
        const arrived = new Promise<Buffer>((resolve) => client.once('message', (_, bytes) => resolve(bytes)))
        await client.publishAsync('large', payload, { qos })
        expect((await arrived).equals(payload)).toBe(true)
      }
      await client.endAsync()
    }
  })

  it('is one of a thousand that come at once and leave again', async () => {
    const { broker, client } = await serve({ listeners: { tcp: { maxConnPerSec: Number.POSITIVE_INFINITY } } })
    const before = broker.runtime.processes.count
    const clients = await Promise.all(Array.from({ length: 1000 }, (_, i) => client({ clientId: `c${i}` })))
    expect(broker.services.sessions.count).toBe(1000)
    await Promise.all(clients.map((each) => each.disconnect()))
    await turnsUntil(() => broker.services.sessions.count === 0 && broker.runtime.processes.count === before)
  })
})
