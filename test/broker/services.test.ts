/** Hooks, access control, counters and $SYS as a client of a whole broker meets them. */
import pino from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hashPassword } from '../../src/broker/access/auth-password.ts'
import { type Broker, type StartBrokerOptions, startBroker } from '../../src/broker/broker.ts'
import type { ConnectPacket, Packet, PublishPacket } from '../../src/broker/packet.ts'
import type { RawClient } from '../support/raw-client.ts'
import { publishPacket } from './protocol-harness.ts'
import { connectClient, openClient } from './tcp-client.ts'

interface Served {
  readonly broker: Broker
  client(packet?: Partial<ConnectPacket>): Promise<RawClient>
}

async function serve(options: StartBrokerOptions = {}): Promise<Served> {
  const logger = pino({ level: 'silent' })
  const broker = await startBroker({ name: 'n1@127.0.0.1', logger, ...options, listeners: { tcp: { port: 0 } } })
  onTestFinished(() => broker.stop())
  return { broker, client: (packet) => connectClient(broker.listeners[0]!.port, packet) }
}

const subscribe = (...topics: string[]): Packet => ({
  cmd: 'subscribe',
  messageId: 1,
  subscriptions: topics.map((topic) => ({ topic, qos: 0 })),
})

/** The next packet of a kind; others are passed over. */
async function next<C extends Packet['cmd']>(client: RawClient, cmd: C): Promise<Extract<Packet, { cmd: C }>> {
  for (;;) {
    const packet: Packet | 'closed' = await client.next()
    if (packet === 'closed') throw new Error(`closed without ${cmd}`)
    if (packet.cmd === cmd) return packet as Extract<Packet, { cmd: C }>
  }
}

const textOf = (packet: PublishPacket) => String(packet.payload)

describe('hooks of a broker', () => {
  it('drop and change messages on their way', async () => {
    const { broker, client } = await serve()
    broker.hooks.on('message.publish', (message) => (message.topic.startsWith('private/') ? 'drop' : undefined))
    broker.hooks.on('message.publish', (message) => ({ ...message, payload: Buffer.from('changed') }))
    const dropped: string[] = []
    broker.hooks.on('message.dropped', ({ topic }, reason) => void dropped.push(`${topic} ${reason}`))
    const one = await client({ clientId: 'one' })
    one.send(subscribe('#'))
    await next(one, 'suback')
    one.send(publishPacket({ topic: 'private/x' }), publishPacket({ topic: 'public' }))
    const got = await next(one, 'publish')
    expect([got.topic, textOf(got)]).toEqual(['public', 'changed'])
    expect(dropped).toEqual(['private/x hook'])
    expect(broker.metrics).toMatchObject({ 'messages/dropped': 1, 'messages/dropped/hook': 1 })
  })

  it('deny and change the filters of a SUBSCRIBE and of an UNSUBSCRIBE', async () => {
    const { broker, client } = await serve()
    broker.hooks.on('client.subscribe', (entries, { clientId }) =>
      entries.map((entry) => {
        if (entry === 'deny' || entry.topic === 'secret') return 'deny'
        return entry.topic === 'me' ? { ...entry, topic: `clients/${clientId}` } : entry
      }),
    )
    broker.hooks.on('client.unsubscribe', (filters, { clientId }) =>
      filters.map((filter) => (filter === 'me' ? `clients/${clientId}` : filter)),
    )
    const one = await client({ clientId: 'one', protocolVersion: 5 })
    one.send(subscribe('secret', 'me', 'open'))
    expect((await next(one, 'suback')).granted).toEqual([0x87, 0, 0])
    await broker.publish({ topic: 'clients/one', payload: 'hello' })
    expect(textOf(await next(one, 'publish'))).toBe('hello')
    one.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['me'] })
    expect((await next(one, 'unsuback')).granted).toEqual([0])
  })
})

describe('access control of a broker', () => {
  it('lets known users in and nobody else', async () => {
    const bob = await hashPassword(Buffer.from('secret'), Buffer.alloc(16, 7))
    const { broker } = await serve({ access: { allowAnonymous: false, users: { bob } } })
    const { port } = broker.listeners[0]!
    const answer = async (packet: Partial<ConnectPacket>) => {
      const one = await openClient(port, packet.protocolVersion ?? 4)
      one.send({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clientId: 'c',
        clean: true,
        keepalive: 0,
        ...packet,
      })
      const { returnCode, reasonCode } = await next(one, 'connack')
      return packet.protocolVersion === 5 ? reasonCode : returnCode
    }
    expect(await answer({ username: 'bob', password: Buffer.from('secret') })).toBe(0)
    expect(await answer({ username: 'bob', password: Buffer.from('wrong') })).toBe(4)
    expect(await answer({})).toBe(5)
    expect(await answer({ username: 'bob', password: Buffer.from('wrong'), protocolVersion: 5 })).toBe(0x86)
    expect(await answer({ protocolVersion: 5 })).toBe(0x87)
    expect(broker.metrics).toMatchObject({ 'client/auth/success': 1, 'client/auth/failure': 4 })
  })

  it('keeps users that are added while it runs', async () => {
    const { broker, client } = await serve({ access: { allowAnonymous: false } })
    broker.services.access.users.add('eve', await hashPassword(Buffer.from('x'), Buffer.alloc(16, 8)))
    const eve = await client({ clientId: 'e', username: 'eve', password: Buffer.from('x') })
    eve.send({ cmd: 'pingreq' })
    expect(await next(eve, 'pingresp')).toBeDefined()
  })

  it('lets nobody publish below $SYS', async () => {
    const { broker, client } = await serve()
    const one = await client({ clientId: 'one', protocolVersion: 5 })
    one.send(publishPacket({ topic: '$SYS/brokers', qos: 1, messageId: 7 }))
    expect(await next(one, 'puback')).toMatchObject({ messageId: 7, reasonCode: 0x87 })
    expect(broker.metrics['messages/dropped/not_authorized']).toBe(1)
  })
})

describe('$SYS of a broker', () => {
  it('shows who it is, to a client that comes later', async () => {
    const { client } = await serve({ version: '1.2.3' })
    const one = await client({ clientId: 'one' })
    one.send(subscribe('$SYS/brokers', '$SYS/brokers/+/version'))
    const shown = new Map<string, [string, boolean]>()
    for (const packet of [await next(one, 'publish'), await next(one, 'publish')]) {
      shown.set(packet.topic, [textOf(packet), packet.retain])
    }
    expect(Object.fromEntries(shown)).toEqual({
      '$SYS/brokers': ['n1@127.0.0.1', true],
      '$SYS/brokers/n1@127.0.0.1/version': ['1.2.3', true],
    })
  })

  it('tells who connects, is refused, and goes', async () => {
    const { broker, client } = await serve()
    const watcher = await client({ clientId: 'watcher' })
    watcher.send(subscribe('$SYS/brokers/+/clients/#'))
    await next(watcher, 'suback')
    broker.services.access.banned.ban('clientid', 'bad', { reason: '', by: '', untilMs: Number.POSITIVE_INFINITY })
    const told = async () => {
      const packet = await next(watcher, 'publish')
      return [packet.topic.replace('$SYS/brokers/n1@127.0.0.1/clients/', ''), JSON.parse(textOf(packet))] as const
    }
    const one = await client({ clientId: 'a/b', username: 'bob' })
    expect(await told()).toEqual([
      'a%2Fb/connected',
      expect.objectContaining({ clientid: 'a/b', username: 'bob', ipaddress: '127.0.0.1', protocol: 4, connack: 0 }),
    ])
    one.send({ cmd: 'disconnect' })
    expect(await told()).toEqual(['a%2Fb/disconnected', expect.objectContaining({ clientid: 'a/b', reason: 'normal' })])
    const refused = await openClient(broker.listeners[0]!.port, 4)
    refused.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'bad', clean: true, keepalive: 0 })
    expect((await next(refused, 'connack')).returnCode).toBe(5)
    expect(await told()).toEqual(['bad/connected', expect.objectContaining({ clientid: 'bad', connack: 5 })])
  })

  it('counts what comes and goes', async () => {
    const { broker, client } = await serve()
    const one = await client({ clientId: 'one' })
    one.send(subscribe('t'))
    await next(one, 'suback')
    one.send(publishPacket({ topic: 't', qos: 1, messageId: 3 }), publishPacket({ topic: 'nobody' }), {
      cmd: 'pingreq',
    })
    const kinds = new Set<string>()
    while (kinds.size < 3) kinds.add(((await one.next()) as Packet).cmd)
    expect([...kinds].sort()).toEqual(['pingresp', 'puback', 'publish'])
    expect(broker.metrics).toMatchObject({
      'packets/connect': 1,
      'packets/connack': 1,
      'packets/subscribe': 1,
      'packets/suback': 1,
      'packets/publish/received': 2,
      'packets/publish/sent': 1,
      'packets/puback/sent': 1,
      'packets/pingreq': 1,
      'packets/pingresp': 1,
      'messages/received': 2,
      'messages/qos0/received': 1,
      'messages/qos1/received': 1,
      'messages/sent': 1,
      'messages/qos0/sent': 1,
    })
    broker.services.stats.sample()
    expect(Object.fromEntries(broker.services.stats.entries())).toMatchObject({
      'clients/count': 1,
      'sessions/count': 1,
      'subscriptions/count': 1,
      'routes/count': 1,
    })
  })
})
