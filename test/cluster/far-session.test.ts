/**
 * Clients whose connection is on one node and whose session on another: real OS processes, the real distribution between them. Who
 * goes where is decided by hand: connections to `n2` and `n3` have their sessions on `n1`.
 */
import { expect, test } from 'vitest'
import type { ConnectPacket, ProtocolVersion, PublishPacket, QoS } from '../../src/broker/packet.ts'
import { atom, isTuple } from '../../src/dist/term.ts'
import { eventually } from '../support/eventually.ts'
import { type Peer, type Peers, testPeers } from '../support/peer.ts'
import { program } from '../support/programs.ts'
import { RawClient } from '../support/raw-client.ts'

const N1 = 'n1@127.0.0.1'
const FRONT_NODE = program('test/support/front-node')

async function start(peers: Peers, sets: readonly string[] = []): Promise<{ n1: Peer; n2: Peer }> {
  const [n1, n2] = await Promise.all([peers.start(N1, { sets }), startFront(peers, 'n2@127.0.0.1', sets)])
  return { n1, n2 }
}

function startFront(peers: Peers, name: string, sets: readonly string[] = []): Promise<Peer> {
  return peers.start(name, { sets, args: ['--join', N1], program: FRONT_NODE })
}

async function client(peer: Peer, clientId: string, options: Partial<ConnectPacket> = {}): Promise<RawClient> {
  const opened = await RawClient.open(
    { host: '127.0.0.1', port: peer.mqttPort },
    (options.protocolVersion ?? 5) as ProtocolVersion,
  )
  await opened.handshake({ clientId, ...options })
  return opened
}

/** Keeps its session for as long as the test needs it. */
const DURABLE = { clean: false, properties: { sessionExpiryInterval: 600 } } as const

/** Sessions on a node. */
async function sessions(peer: Peer): Promise<number> {
  const counts = (await peer.rpc('supervisor', 'count_children', [atom('session_sup')])) as unknown[]
  const active = counts.find((entry) => isTuple(entry, 2) && entry.elements[0] === atom('active'))
  return (active as { elements: [unknown, number] }).elements[1]
}

/** Takes PUBLISHes until `count` have come, acknowledging each to its end. */
async function take(from: RawClient, count: number): Promise<PublishPacket[]> {
  const taken: PublishPacket[] = []
  while (taken.length < count) {
    const packet = await from.expectPublish()
    await from.acknowledge(packet)
    taken.push(packet)
  }
  return taken
}

const payloads = (packets: readonly PublishPacket[]) => packets.map(({ payload }) => String(payload))

test('clients of either node publish and subscribe at every QoS, with all that a message can have', async () => {
  const { n1, n2 } = await start(await testPeers())
  const far = await client(n2, 'far')
  const near = await client(n1, 'near')
  expect(await sessions(n1)).toBe(2)
  expect((await far.subscribe('to/far/#', 2)).granted).toEqual([2])
  expect((await near.subscribe('to/near/#', 2)).granted).toEqual([2])
  const properties = {
    payloadFormatIndicator: true,
    contentType: 'text/plain',
    responseTopic: 'back',
    correlationData: Buffer.of(0, 255),
    // A name that is longer than a name may be between nodes, and one that occurs twice.
    userProperties: { ['n'.repeat(300)]: 'v', twice: ['a', 'b'], '': 'empty' },
    messageExpiryInterval: 100,
  }
  for (const qos of [0, 1, 2] as QoS[]) {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      const topic = `to/${to.clientId}/${qos}`
      await from.publish(topic, { qos, payload: `${qos}`, properties })
      const packet = await to.expectPublish({ topic, qos, payload: `${qos}`, dup: false })
      expect(packet.properties).toMatchObject({ ...properties, messageExpiryInterval: expect.any(Number) })
      await to.acknowledge(packet)
    }
  }
  await far.unsubscribe('to/far/#')
  await near.publish('to/far/x', { qos: 1 })
  await far.expectNothing()
  await far.disconnect()
  await eventually(async () => expect(await sessions(n1)).toBe(1))
})

test('3.1.1 clients too, with retained messages and a session that is resumed', async () => {
  const { n1, n2 } = await start(await testPeers())
  const near = await client(n1, 'near', { protocolVersion: 4 })
  await near.publish('r/1', { qos: 1, retain: true, payload: 'kept' })
  const far = await client(n2, 'far', { protocolVersion: 4, clean: false })
  await far.subscribe('r/#', 1)
  expect(payloads(await take(far, 1))).toEqual(['kept'])
  await far.disconnect()
  await near.publish('r/2', { qos: 1, payload: 'while away' })
  const again = await client(n2, 'far', { protocolVersion: 4, clean: false })
  expect(again.connack!.sessionPresent).toBe(true)
  expect(payloads(await take(again, 1))).toEqual(['while away'])
})

test('a large window is sent in parts and arrives whole and in order', async () => {
  const { n1, n2 } = await start(await testPeers(), ['session.queue.max_bytes=64MB'])
  const far = await client(n2, 'far', DURABLE)
  await far.subscribe('large', 1)
  await far.disconnect()
  const near = await client(n1, 'near')
  for (let i = 0; i < 40; i++) await near.publish('large', { qos: 1, payload: Buffer.alloc(500_000, i) })
  const again = await client(n2, 'far', DURABLE)
  const arrived = await take(again, 40)
  expect(arrived.every(({ payload }, i) => payload.equals(Buffer.alloc(500_000, i)))).toBe(true)
  expect(n1.err + n2.err).not.toContain('is down')
})

test('the death of the connection’s node publishes the will, and the client resumes on another with nothing lost or doubled', async () => {
  const peers = await testPeers()
  const { n1, n2 } = await start(peers)
  const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: false } as const
  const far = await client(n2, 'far', { ...DURABLE, will })
  await far.subscribe('in/#', 2)
  const near = await client(n1, 'near')
  await near.subscribe([
    { topic: 'will', qos: 1 },
    { topic: 'out/#', qos: 2 },
  ])
  // Between PUBLISH and PUBREL of one that comes, and of one that goes.
  near.sendPublish('in/1', { qos: 2, payload: 'first' })
  const half = await far.expectPublish({ payload: 'first', qos: 2 })
  const { messageId } = far.sendPublish('out/1', { qos: 2, payload: 'mine' })
  await far.expect('pubrec', { messageId })

  await n2.kill()
  await far.expectEnd()
  await n1.logged('node n2@127.0.0.1 is down')
  const n3 = await startFront(peers, 'n3@127.0.0.1')
  const again = await client(n3, 'far', DURABLE)
  expect(again.connack!.sessionPresent).toBe(true)
  await again.acknowledge(await again.expectPublish({ payload: 'first', dup: true, messageId: half.messageId }))
  // Repeated, since the client does not know whether it had come through.
  again.sendPublish('out/1', { qos: 2, payload: 'mine', dup: true, messageId: messageId! })
  await again.expect('pubrec', { messageId })
  again.send({ cmd: 'pubrel', messageId: messageId! })
  await again.expect('pubcomp', { messageId })

  const heard: PublishPacket[] = []
  while (heard.length < 2) {
    const packet = await near.next()
    if (packet === 'closed') throw new Error('the connection of near has closed')
    if (packet.cmd !== 'publish') continue
    near.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId: packet.messageId! })
    heard.push(packet)
  }
  expect(payloads(heard).sort()).toEqual(['gone', 'mine'])
})

test('the death of the session’s node ends the connection, and the client has it again when the node is back', async () => {
  const peers = await testPeers()
  const { n1, n2 } = await start(peers, ['mqtt.idle_timeout=2s'])
  const far = await client(n2, 'far', DURABLE)
  await far.subscribe('t', 1)
  await n1.kill()
  expect(await far.expectClosed()).toBe(0x8b)
  // Nobody opens a session: the connection gives up when its time is over.
  const early = await RawClient.open({ host: '127.0.0.1', port: n2.mqttPort }, 5)
  early.sendConnect({ clientId: 'far', ...DURABLE })
  await early.expectClosed([0x88, 0x89])
  await peers.start(N1)
  await eventually(async () => expect(await n2.nodes()).toEqual([N1]))
  const again = await client(n2, 'far', DURABLE)
  expect(again.connack!.sessionPresent).toBe(true)
  again.sendPublish('t', { qos: 1, payload: 'back' })
  const packets = [await again.next(), await again.next()]
  expect(packets.map((packet) => (packet === 'closed' ? packet : packet.cmd)).sort()).toEqual(['puback', 'publish'])
})

test('a link that is cut ends the connection across it, the session queues, and is resumed when the link is mended', async () => {
  const peers = await testPeers({ cuttable: true })
  const { n1, n2 } = await start(peers, ['dist.net_ticktime=2'])
  const far = await client(n2, 'far', DURABLE)
  await far.subscribe('t', 1)
  const near = await client(n1, 'near')
  peers.cut(n1, n2)
  // Until the silence is noticed, what is published waits in the link and must not be lost.
  for (let i = 0; i < 5; i++) await near.publish('t', { qos: 1, payload: `${i}` })
  expect(await far.expectClosed()).toBe(0x8b)
  await n1.logged('node n2@127.0.0.1 is down: net_tick_timeout')
  for (let i = 5; i < 10; i++) await near.publish('t', { qos: 1, payload: `${i}` })
  peers.mend(n1, n2)
  await eventually(async () => expect(await n2.nodes()).toEqual([N1]), { withinMs: 15_000 })
  const again = await client(n2, 'far', DURABLE)
  expect(again.connack!.sessionPresent).toBe(true)
  expect(payloads(await take(again, 10))).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
  expect(await sessions(n1)).toBe(2)
})

test('a take-over from another node closes the connection there', async () => {
  const { n1, n2 } = await start(await testPeers())
  const far = await client(n2, 'c', DURABLE)
  const near = await client(n1, 'c', DURABLE)
  await far.expectDisconnected(0x8e)
  expect(near.connack!.sessionPresent).toBe(true)
  const again = await client(n2, 'c', DURABLE)
  await near.expectDisconnected(0x8e)
  expect(again.connack!.sessionPresent).toBe(true)
  expect(await sessions(n1)).toBe(1)
})
