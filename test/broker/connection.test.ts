import { afterEach, describe, expect, it } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import { connection } from '../../src/broker/connection.ts'
import type { ConnectionSettings } from '../../src/broker/connection-environment.ts'
import { Batch, type Message } from '../../src/broker/message.ts'
import type { ConnectPacket, Packet, ProtocolVersion } from '../../src/broker/packet.ts'
import type { OutPublish } from '../../src/broker/process-messages.ts'
import type { ProtocolLimits } from '../../src/broker/protocol-state.ts'
import { type Simulation, simulate } from '../../src/testing/index.ts'
import { MemoryTransport } from '../support/memory-transport.ts'
import { bytesOf, FakeBroker, packetsOf } from './connection-harness.ts'
import { connectPacket, publishPacket } from './protocol-harness.ts'

const v5 = { protocolVersion: 5 } as const
const will = { topic: 'w', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
let running: Simulation | undefined

afterEach(() => running?.stop())

/** One connection in a simulated node. */
class Client {
  readonly simulation: Simulation
  readonly broker: FakeBroker
  readonly transport = new MemoryTransport()
  readonly pid: Pid
  /** Why the process ended. */
  endReason: unknown
  version: ProtocolVersion = 4

  constructor(limits: Partial<ProtocolLimits> = {}, settings: Partial<ConnectionSettings> = {}) {
    this.simulation = simulate({ seed: 1 })
    running = this.simulation
    const runtime = this.simulation.node('a')
    this.broker = new FakeBroker(runtime, limits, settings)
    this.pid = runtime.spawn(connection(this.broker, this.transport))
    runtime.spawn({
      create: (self) => {
        self.monitor(this.pid)
        return {
          receive: (message) => {
            this.endReason = (message as { reason: unknown }).reason
          },
        }
      },
    })
  }

  async send(...packets: Packet[]): Promise<void> {
    this.transport.receive(bytesOf(this.version, ...packets))
    await this.simulation.run()
  }

  async connect(packet: Partial<ConnectPacket> = {}): Promise<this> {
    await this.simulation.run()
    this.version = packet.protocolVersion ?? 4
    await this.send(connectPacket(packet))
    return this
  }

  async run(): Promise<void> {
    await this.simulation.run()
  }

  /** All that the client was sent. */
  get received(): Packet[] {
    return packetsOf(this.version, Buffer.concat(this.transport.writes))
  }

  get commands(): string[] {
    return this.received.map((packet) => packet.cmd)
  }

  /** Nothing of the connection is left. */
  expectGone(): void {
    const runtime = this.simulation.node('a')
    expect(runtime.isAlive(this.pid)).toBe(false)
    expect(this.transport.isDestroyed || this.transport.isEnded).toBe(true)
    expect(this.simulation.time.nextInMs).toBeUndefined()
  }
}

function message(topic: string, payload = 'x', more: Partial<Message> = {}): Message {
  return {
    id: '0',
    from: 'p',
    topic,
    payload: Buffer.from(payload),
    qos: 0,
    retain: false,
    publishedAtMs: 0,
    expiresAtMs: Number.POSITIVE_INFINITY,
    properties: undefined,
    ...more,
  }
}

function outPublish(sent: Message, messageId = 0): OutPublish {
  return { cmd: 'publish', message: sent, qos: sent.qos, retain: false, dup: false, messageId, ids: undefined }
}

describe('a connection', () => {
  it('connects a client, tells its session who it is, and lets both go when the client leaves', async () => {
    const client = await new Client().connect({ username: 'u' })
    expect(client.commands).toEqual(['connack'])
    expect(client.broker.session.client).toMatchObject({
      clientId: 'c1',
      username: 'u',
      peer: '192.0.2.1:4711',
      connection: client.pid,
      connectedAtMs: client.simulation.time.now(),
    })
    await client.send({ cmd: 'disconnect' })
    expect(client.transport.isEnded).toBe(true)
    client.transport.fail()
    await client.run()
    expect(client.endReason).toEqual({ shutdown: 'normal' })
    expect(client.broker.events).toEqual(['connected c1', 'disconnected c1 normal'])
    expect(client.broker.session.detaches).toMatchObject([{ publishWill: false }])
    expect(client.broker.metrics).toMatchObject({ 'client/connected': 1, 'client/disconnected': 1 })
    client.expectGone()
  })

  it('passes the packets of one chunk on in one message, however the bytes are cut', async () => {
    const client = await new Client().connect()
    const packets = [publishPacket({ topic: 'a', qos: 1 }), publishPacket({ topic: 'b' })]
    await client.send(...packets)
    expect(client.broker.session.messages).toHaveLength(1)
    for (const byte of bytesOf(4, ...packets)) client.transport.receive(Buffer.from([byte]))
    await client.run()
    expect(client.broker.session.packets).toMatchObject([
      { topic: 'a', messageId: 1, denied: 0 },
      { topic: 'b', denied: 0 },
      { topic: 'a', messageId: 1, denied: 0 },
      { topic: 'b', denied: 0 },
    ])
    expect(client.broker.metrics).toMatchObject({
      'messages/received': 4,
      'messages/qos1/received': 2,
      'packets/received': 5,
      'packets/connect': 1,
    })
  })

  it('writes what a turn brings in one piece', async () => {
    const client = await new Client().connect()
    const before = client.transport.writes.length
    const { session } = client.broker
    session.out({ cmd: 'puback', messageId: 1 }, { cmd: 'batch', batch: new Batch([message('a'), message('a')]) })
    session.out({ cmd: 'suback', messageId: 2, granted: [0] }, outPublish(message('b', 'y', { qos: 1 }), 3))
    await client.run()
    const writes = client.transport.writes.slice(before)
    expect(packetsOf(4, Buffer.concat(writes)).map((packet) => packet.cmd)).toEqual([
      'puback',
      'publish',
      'publish',
      'suback',
      'publish',
    ])
    expect(client.broker.metrics).toMatchObject({
      'messages/sent': 3,
      'messages/qos0/sent': 2,
      'messages/qos1/sent': 1,
      'packets/puback/sent': 1,
      'packets/suback': 1,
      'bytes/sent': Buffer.concat(client.transport.writes).length,
    })
    // The seeded scheduler may put a turn between the two messages, never one inside of them.
    expect(writes.length).toBeLessThanOrEqual(2)
  })

  it('is cut off when CONNECT does not come in time', async () => {
    const client = new Client({ connectTimeoutMs: 10_000 })
    await client.simulation.advance(9999)
    expect(client.transport.isEnded).toBe(false)
    await client.simulation.advance(1)
    expect(client.transport.isEnded).toBe(true)
    client.transport.fail()
    await client.run()
    client.expectGone()
    expect(client.broker.metrics['connections/closed/connect_timeout']).toBe(1)
  })

  it('is cut off at exactly one and a half times its keep alive', async () => {
    const client = await new Client().connect({ keepalive: 10, will })
    await client.simulation.advance('14s')
    await client.send({ cmd: 'pingreq' })
    await client.simulation.advance(14_999)
    expect(client.transport.isEnded).toBe(false)
    await client.simulation.advance(1)
    expect(client.transport.isEnded).toBe(true)
    expect(client.broker.session.detaches).toMatchObject([{ publishWill: true, reason: 'keep_alive_timeout' }])
  })

  it('that does not close after it was told to is closed by force', async () => {
    const client = await new Client({}, { lingerMs: 500 }).connect()
    await client.send({ cmd: 'disconnect' })
    await client.simulation.advance(499)
    expect(client.transport.isDestroyed).toBe(false)
    await client.simulation.advance(1)
    expect(client.transport.isDestroyed).toBe(true)
    client.expectGone()
  })

  it('takes nothing more once it is being closed', async () => {
    const client = await new Client().connect()
    await client.send({ cmd: 'disconnect' })
    await client.send(publishPacket())
    client.broker.session.out({ cmd: 'puback', messageId: 1 })
    await client.run()
    expect(client.broker.session.packets).toEqual([])
    expect(client.commands).toEqual(['connack'])
  })

  it.each(['ECONNRESET', 'closed'])('that breaks with %s lets the session publish the will', async (reason) => {
    const client = await new Client().connect({ will })
    client.transport.fail(reason)
    await client.run()
    expect(client.broker.session.detaches).toMatchObject([{ publishWill: true, reason }])
    expect(client.endReason).toEqual({ shutdown: reason })
    client.expectGone()
  })

  it('whose client closes its half behind CONNECT is answered before it is closed', async () => {
    const client = new Client()
    await client.run()
    client.transport.receive(bytesOf(4, connectPacket(), publishPacket({ topic: 'last' }), { cmd: 'disconnect' }))
    client.transport.halfClose()
    await client.run()
    expect(client.commands).toEqual(['connack'])
    expect(client.broker.session.packets).toMatchObject([{ topic: 'last' }])
    expect(client.broker.session.detaches).toMatchObject([{ publishWill: false }])
    client.transport.fail()
    await client.run()
    client.expectGone()
  })

  it('that is killed takes its socket along', async () => {
    const client = await new Client().connect()
    client.simulation.node('a').exit(client.pid, 'kill')
    await client.run()
    expect(client.transport.isDestroyed).toBe(true)
    client.expectGone()
  })

  it('says why when its node shuts down', async () => {
    const client = await new Client().connect(v5)
    client.simulation.node('a').exit(client.pid, 'shutdown')
    await client.run()
    expect(client.received.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x8b })
    expect(client.broker.session.detaches).toHaveLength(1)
    client.transport.fail()
    await client.run()
    client.expectGone()
  })

  it('can be sent away by an operator', async () => {
    const client = await new Client().connect(v5)
    const order = { tag: 'disconnect', reasonCode: 0x9d, reason: 'moved', serverReference: 'b:1883' }
    client.simulation.node('a').send(client.pid, order)
    await client.run()
    expect(client.received.at(-1)).toMatchObject({
      cmd: 'disconnect',
      reasonCode: 0x9d,
      properties: { serverReference: 'b:1883' },
    })
  })
})

describe('authentication', () => {
  it('may take its time; packets that come meanwhile are kept', async () => {
    const client = new Client()
    let accept: (() => void) | undefined
    client.broker.authenticate = () =>
      new Promise((resolve) => {
        accept = () => resolve({ outcome: 'accept' })
      })
    await client.connect()
    expect(client.transport.isPaused).toBe(true)
    await client.send(publishPacket({ topic: 'early' }))
    accept!()
    await client.run()
    expect(client.broker.session.packets).toMatchObject([{ topic: 'early' }])
    expect(client.transport.isPaused).toBe(false)
  })

  it('does not limit how much may come behind CONNECT, in whatever pieces; the socket is not read meanwhile', async () => {
    const client = new Client({ maxPipelinedPackets: 1 })
    let accept: (() => void) | undefined
    client.broker.authenticate = () =>
      new Promise((resolve) => {
        accept = () => resolve({ outcome: 'accept' })
      })
    await client.run()
    const topics = Array.from({ length: 3000 }, (_, i) => `t/${i}`)
    const bytes = bytesOf(4, connectPacket(), ...topics.map((topic) => publishPacket({ topic })))
    for (let at = 0; at < bytes.length; at += 10_001) client.transport.receive(bytes.subarray(at, at + 10_001))
    await client.run()
    expect(client.transport.isPaused).toBe(true)
    expect(client.broker.metrics['packets/publish/received']).toBe(0)
    accept!()
    await client.run()
    expect(client.broker.session.packets.map((packet) => (packet.cmd === 'publish' ? packet.topic : ''))).toEqual(
      topics,
    )
    expect(client.transport.isPaused).toBe(false)
  })

  it('that refuses a client throws away what came behind CONNECT', async () => {
    const client = new Client()
    client.broker.authenticate = () => ({ outcome: 'refuse', reasonCode: 0x87, reason: 'no' })
    await client.run()
    client.transport.receive(bytesOf(4, connectPacket(), publishPacket({ topic: 'early' }), { cmd: 'pingreq' }))
    client.transport.halfClose()
    await client.run()
    expect(client.commands).toEqual(['connack'])
    expect(client.broker.sessions).toEqual([])
    client.transport.fail()
    await client.run()
    client.expectGone()
  })

  it('that fails of itself refuses the client', async () => {
    const client = new Client()
    client.broker.authenticate = () => Promise.reject(new Error('database is down'))
    await client.connect()
    expect(client.received).toMatchObject([{ cmd: 'connack', returnCode: 3 }])
    expect(client.broker.sessions).toEqual([])
    expect(client.broker.events).toEqual(['refused c1 3'])
  })

  it('that comes after the client has gone opens nothing', async () => {
    const client = new Client()
    let accept: (() => void) | undefined
    client.broker.authenticate = () =>
      new Promise((resolve) => {
        accept = () => resolve({ outcome: 'accept' })
      })
    await client.connect()
    client.transport.fail()
    await client.run()
    accept!()
    await client.run()
    expect(client.broker.sessions).toEqual([])
    client.expectGone()
  })

  it('of several steps keeps its state between them', async () => {
    const client = new Client()
    const flags: boolean[][] = []
    client.broker.authStep = ({ method, exchange, isFirst, reauthenticate }) => {
      flags.push([isFirst, reauthenticate])
      const steps = typeof exchange[method] === 'number' ? exchange[method] + 1 : 1
      exchange[method] = steps
      return steps < 3 ? { outcome: 'continue' } : { outcome: 'accept' }
    }
    const properties = { authenticationMethod: 'count' }
    await client.connect({ ...v5, properties })
    await client.send({ cmd: 'auth', reasonCode: 0x18, properties })
    await client.send({ cmd: 'auth', reasonCode: 0x18, properties })
    expect(client.commands).toEqual(['auth', 'auth', 'connack'])
    // Begins anew.
    await client.send({ cmd: 'auth', reasonCode: 0x19, properties })
    expect(client.received.at(-1)).toMatchObject({ cmd: 'auth', reasonCode: 0x18 })
    expect(flags).toEqual([
      [true, false],
      [false, false],
      [false, false],
      [true, true],
    ])
  })

  it('changes what the client may do when it is repeated', async () => {
    const client = new Client()
    const authenticationMethod = 'm'
    await client.connect({ ...v5, properties: { authenticationMethod } })
    await client.send(publishPacket({ qos: 1 }))
    client.broker.isAllowed = () => false
    await client.send({ cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod } })
    await client.send(publishPacket({ qos: 1 }))
    expect(client.received.at(-1)).toMatchObject({ cmd: 'auth', reasonCode: 0 })
    expect(client.broker.session.packets).toMatchObject([{ denied: 0 }, { denied: 0x87 }])
  })
})

describe('the session of a connection', () => {
  it('that crashes ends it, and its will is published', async () => {
    const client = await new Client().connect({ ...v5, will })
    client.simulation.node('a').exit(client.broker.session.pid, 'crash')
    await client.run()
    expect(client.received.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x83 })
    expect(client.broker.events).toEqual(['connected c1', 'will c1 w', 'disconnected c1 session failed'])
  })

  it('that is dead by the time it is known ends it as well', async () => {
    const client = new Client()
    const { open } = client.broker
    client.broker.open = (info) => {
      const answer = open(info)
      client.simulation.node('a').exit(client.broker.session.pid, 'crash')
      return answer
    }
    await client.connect(v5)
    expect(client.commands).toEqual(['connack', 'disconnect'])
  })

  it('takes over a connection by closing the former', async () => {
    const client = await new Client().connect(v5)
    client.broker.session.close(0x8e, 'session_taken_over')
    await client.run()
    expect(client.received.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x8e })
    expect(client.transport.isEnded).toBe(true)
  })

  it('that cannot be opened refuses the client', async () => {
    const client = new Client()
    client.broker.open = () => ({ tag: 'refused', reasonCode: 0x97, reason: 'too many' })
    await client.connect(v5)
    expect(client.received).toMatchObject([{ cmd: 'connack', reasonCode: 0x97 }])
    client.transport.fail()
    await client.run()
    client.expectGone()
  })
})

describe('what the client limits', () => {
  it('is the size of packets: larger messages count as delivered [MQTT5-3.1.2-24] [MQTT5-3.1.2-25]', async () => {
    const client = await new Client().connect({ ...v5, properties: { maximumPacketSize: 50 } })
    const large = 'x'.repeat(100)
    const { session } = client.broker
    session.out(
      { cmd: 'batch', batch: new Batch([message('t', large), message('t', 'small')]) },
      outPublish(message('t', large, { qos: 1 }), 1),
      outPublish(message('t', large, { qos: 2 }), 2),
      outPublish(message('t', 'fits', { qos: 1 }), 3),
    )
    await client.run()
    const payloads = client.received.flatMap((packet) => (packet.cmd === 'publish' ? [String(packet.payload)] : []))
    expect(payloads).toEqual(['small', 'fits'])
    expect(session.packets).toEqual([
      { cmd: 'puback', messageId: 1, reasonCode: 0x95 },
      { cmd: 'pubrec', messageId: 2, reasonCode: 0x95 },
    ])
    expect(client.broker.metrics['delivery/dropped/too_large']).toBe(3)
  })

  it('is the size of answers: without their reason strings they may fit, else the connection ends', async () => {
    const client = await new Client().connect({ ...v5, properties: { maximumPacketSize: 40 } })
    const reasonString = 'a long explanation of what went wrong here'
    client.broker.session.out({ cmd: 'puback', messageId: 1, reasonCode: 0x87, properties: { reasonString } })
    await client.run()
    expect(client.received.at(-1)).toMatchObject({ cmd: 'puback', reasonCode: 0x87 })
    client.broker.session.out({ cmd: 'suback', messageId: 1, granted: Array(60).fill(0) })
    await client.run()
    expect(client.received.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x95 })
    expect(client.broker.session.detaches).toHaveLength(1)
  })

  it('is problem information, which acknowledgements then lack [MQTT5-3.1.2-29]', async () => {
    const client = await new Client().connect({ ...v5, properties: { requestProblemInformation: false } })
    client.broker.session.out({ cmd: 'puback', messageId: 1, reasonCode: 0x87, properties: { reasonString: 'no' } })
    await client.run()
    const last = client.received.at(-1)
    expect(last).toMatchObject({ cmd: 'puback', reasonCode: 0x87 })
    expect((last as { properties?: { reasonString?: string } }).properties?.reasonString).toBeUndefined()
  })

  it('is the number of topic aliases [MQTT5-3.1.2-26] [MQTT5-3.3.2-12]', async () => {
    const long = 'a/long/topic/name/that/repeats'
    const client = await new Client().connect({ ...v5, properties: { topicAliasMaximum: 1 } })
    const { session } = client.broker
    session.out(
      { cmd: 'batch', batch: new Batch([message(long), message(long)]) },
      outPublish(message(long, 'x', { qos: 1 }), 1),
      outPublish(message('short', 'x', { qos: 1 }), 2),
    )
    await client.run()
    const sent = client.received.flatMap((packet) =>
      packet.cmd === 'publish' ? [[packet.topic, packet.properties?.topicAlias]] : [],
    )
    expect(sent).toEqual([
      [long, 1],
      ['', 1],
      ['', 1],
      ['short', undefined],
    ])
  })

  it('is never exceeded by an alias that would make a message too large', async () => {
    const topic = 'a/topic/of/twenty/ch'
    const bare = 2 + 2 + topic.length + 2 + 1 + 10
    const client = await new Client().connect({
      ...v5,
      properties: { topicAliasMaximum: 1, maximumPacketSize: bare },
    })
    client.broker.session.out(outPublish(message(topic, 'x'.repeat(10), { qos: 1 }), 1))
    client.broker.session.out(outPublish(message(topic, 'y', { qos: 1 }), 2))
    await client.run()
    const sent = client.received.flatMap((packet) =>
      packet.cmd === 'publish' ? [[packet.topic, packet.properties?.topicAlias]] : [],
    )
    expect(sent).toEqual([
      [topic, undefined],
      [topic, 1],
    ])
  })
})

describe('back-pressure', () => {
  const payload = 'x'.repeat(600)
  const congestion = (client: Client) =>
    client.broker.session.messages.flatMap((each) => (each.tag === 'congested' ? [each.on] : []))

  async function stalled(limits: Partial<ProtocolLimits> = {}): Promise<Client> {
    const client = await new Client({ slowConsumerMs: 1000, ...limits }).connect(v5)
    client.transport.isStalled = true
    for (let i = 0; i < 2; i++) client.broker.session.out(outPublish(message('t', payload)))
    await client.run()
    return client
  }

  it('tells the session when the client does not read, and when it has read all', async () => {
    const client = await stalled()
    expect(congestion(client)).toEqual([true])
    client.transport.take(1)
    await client.run()
    expect(congestion(client)).toEqual([true])
    client.transport.take(10_000)
    await client.run()
    expect(congestion(client)).toEqual([true, false])
    await client.simulation.advance('5s')
    expect(client.transport.isDestroyed).toBe(false)
  })

  it('cuts off a client that takes nothing for too long, but not one that is slow', async () => {
    const client = await stalled()
    for (let i = 0; i < 5; i++) {
      await client.simulation.advance(999)
      client.transport.take(1)
      await client.simulation.advance(1)
    }
    expect(client.transport.isDestroyed).toBe(false)
    await client.simulation.advance(1000)
    expect(client.transport.isDestroyed).toBe(true)
    expect(client.broker.metrics['connections/closed/slow_consumer']).toBe(1)
    expect(client.broker.session.detaches).toMatchObject([{ publishWill: true, reason: 'slow_consumer' }])
    client.expectGone()
  })

  it('lets a session send much at once, but cuts off a client for which more and more waits', async () => {
    const client = await new Client().connect(v5)
    client.transport.isStalled = true
    client.broker.session.out(outPublish(message('t', 'x'.repeat(30_000))))
    await client.run()
    client.broker.session.out(outPublish(message('t', 'x'.repeat(9_000))))
    await client.run()
    expect(client.transport.isDestroyed).toBe(false)
    client.broker.session.out(outPublish(message('t', 'x'.repeat(1_000))))
    await client.run()
    expect(client.transport.isDestroyed).toBe(true)
    client.expectGone()
  })

  it('stops reading while the session has not confirmed what it was given', async () => {
    const client = await new Client({ syncEveryMessages: 1, maxUnsynced: 2 }).connect()
    const { session } = client.broker
    session.isConfirming = false
    for (let i = 0; i < 3; i++) await client.send(publishPacket())
    expect(client.transport.isPaused).toBe(true)
    session.synced()
    session.synced()
    await client.run()
    expect(client.transport.isPaused).toBe(false)
  })

  it('stops reading while too many bytes wait for the connection itself', async () => {
    const client = await new Client({}, { maxUnhandledBytes: 100 }).connect()
    client.transport.receive(bytesOf(4, publishPacket({ payload: Buffer.alloc(60) })))
    expect(client.transport.isPaused).toBe(false)
    client.transport.receive(bytesOf(4, publishPacket({ payload: Buffer.alloc(60) })))
    expect(client.transport.isPaused).toBe(true)
    await client.run()
    expect(client.transport.isPaused).toBe(false)
    expect(client.broker.session.packets).toHaveLength(2)
  })
})
