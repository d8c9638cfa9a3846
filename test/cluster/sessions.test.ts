/** F1 to F6 and G4: clients that move between the nodes of a cluster. */
import { expect, test } from 'vitest'
import type { ConnectPacket, PublishPacket } from '../../src/broker/packet.ts'
import { startCluster, take } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { type Peer, testPeers } from '../support/peer.ts'
import { RawClient } from '../support/raw-client.ts'

const NAMES = ['n1@127.0.0.1', 'n2@127.0.0.1', 'n3@127.0.0.1'] as const
const [N1, N2] = NAMES

/** Keeps its session for as long as the test needs it. */
const DURABLE = { clean: false, properties: { sessionExpiryInterval: 600 } } as const

async function client(node: Peer, clientId: string, options: Partial<ConnectPacket> = {}): Promise<RawClient> {
  const opened = await RawClient.open({ host: '127.0.0.1', port: node.mqttPort }, 5)
  await opened.handshake({ clientId, ...options })
  return opened
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i + 1))

const payloads = (packets: readonly PublishPacket[]) => packets.map(({ payload }) => String(payload))

/** Sessions of a client id on each node that has one. */
async function sessionsOf(nodes: readonly Peer[], clientId: string): Promise<string[]> {
  const found: string[] = []
  for (const node of nodes) {
    const { lines } = await node.ctl('sessions', 'list')
    if (lines.some((line) => line.includes(`(${clientId},`))) found.push(node.name)
  }
  return found
}

test('F1: a session is resumed from another node, with its messages in order', async () => {
  const nodes = (await startCluster(await testPeers(), [N1, N2])) as [Peer, Peer]
  const [n1, n2] = nodes
  const first = await client(n1, 'c', DURABLE)
  await first.subscribe('s/#', 1)
  await first.disconnect()
  const publisher = await client(n2, 'p')
  for (const payload of numbers(10)) await publisher.publish('s/x', { qos: 1, payload })
  const again = await client(n2, 'c', DURABLE)
  expect(again.connack?.sessionPresent).toBe(true)
  expect(payloads(await take(again, 10))).toEqual(numbers(10))
  expect(await sessionsOf(nodes, 'c')).toEqual([N1])
  expect((await n2.ctl('clients', 'show', 'c')).ok).toBe(true)
  expect((await n1.ctl('clients', 'show', 'c')).ok).toBe(false)
  // It goes on working: both directions cross the link now.
  await again.subscribe('more', 2)
  await publisher.publish('more', { qos: 2, payload: 'across' })
  expect(payloads(await take(again, 1))).toEqual(['across'])
  await again.publish('nobody', { qos: 2 })
})

test('F2: a take-over from another node closes the first connection and sends again what was not acknowledged', async () => {
  const nodes = (await startCluster(await testPeers(), [N1, N2])) as [Peer, Peer]
  const [n1, n2] = nodes
  const first = await client(n1, 'c', DURABLE)
  await first.subscribe('s', 2)
  const publisher = await client(n2, 'p')
  await publisher.publish('s', { qos: 1, payload: 'one' })
  const unacknowledged = await first.expectPublish({ payload: 'one' })
  const second = await client(n2, 'c', DURABLE)
  expect(second.connack?.sessionPresent).toBe(true)
  await first.expectDisconnected(0x8e)
  await second.acknowledge(
    await second.expectPublish({ payload: 'one', dup: true, messageId: unacknowledged.messageId }),
  )
  await second.expectNothing()
  expect(await sessionsOf(nodes, 'c')).toEqual([N1])
})

test('F2: however many connect at once on all nodes, one connection and one session remain', async () => {
  const nodes = (await startCluster(await testPeers(), NAMES)) as [Peer, Peer, Peer]
  const keeper = await client(nodes[0], 'k', DURABLE)
  await keeper.disconnect()
  const before = await Promise.all(nodes.map(countProcesses))
  const opened: RawClient[] = []
  for (let round = 0; round < 10; round += 1) {
    const some = await Promise.all(
      nodes.map(async (node) => {
        const each = await RawClient.open({ host: '127.0.0.1', port: node.mqttPort }, 5)
        each.sendConnect({ clientId: 'k', ...DURABLE })
        return each
      }),
    )
    opened.push(...some)
  }
  const alive = async () => {
    const found: RawClient[] = []
    for (const each of opened) if (!each.isClosed) found.push(each)
    return found
  }
  await eventually(async () => expect(await alive()).toHaveLength(1))
  expect(await sessionsOf(nodes, 'k')).toHaveLength(1)
  const [last] = await alive()
  await last!.expect('connack', { reasonCode: 0 })
  await last!.disconnect()
  await eventually(async () => expect(await Promise.all(nodes.map(countProcesses))).toEqual(before))
})

async function countProcesses(node: Peer): Promise<number> {
  return ((await node.rpc('erlang', 'processes')) as unknown[]).length
}

test('F3: when the node of the connection dies the session lives on, and is resumed from a third', async () => {
  const [n1, n2, n3] = (await startCluster(await testPeers(), NAMES)) as [Peer, Peer, Peer]
  const first = await client(n1, 'c', DURABLE)
  await first.subscribe('s', 1)
  await first.disconnect()
  await client(n2, 'c', DURABLE)
  await n2.kill()
  await n1.logged(`node ${N2} is down`)
  const publisher = await client(n3, 'p')
  await publisher.publish('s', { qos: 1, payload: 'queued' })
  const again = await client(n3, 'c', DURABLE)
  expect(again.connack?.sessionPresent).toBe(true)
  expect(payloads(await take(again, 1))).toEqual(['queued'])
})

test('F4: when the node of the session dies the connection is closed, and the will is published by a survivor', async () => {
  const [n1, n2, n3] = (await startCluster(await testPeers(), NAMES)) as [Peer, Peer, Peer]
  const watcher = await client(n3, 'w')
  await watcher.subscribe('will/#', 1)
  const here = await client(n1, 'c', DURABLE)
  await here.disconnect()
  const far = await client(n2, 'c', {
    ...DURABLE,
    will: { topic: 'will/far', payload: Buffer.from('x'), qos: 1, retain: false },
  })
  await client(n1, 'd', { will: { topic: 'will/both', payload: Buffer.from('x'), qos: 1, retain: false } })
  // A will is as safe as the others' knowledge of it.
  for (const node of [n2, n3]) {
    for (const clientId of ['c', 'd']) await eventually(async () => (await node.ctl('sessions', 'show', clientId)).ok)
  }
  await n1.kill()
  await far.expectClosed()
  const topics = (await take(watcher, 2)).map(({ topic }) => topic)
  expect(topics.sort()).toEqual(['will/both', 'will/far'])
  await watcher.expectNothing()
  const again = await client(n2, 'c', { ...DURABLE, clean: true })
  expect(again.connack?.sessionPresent).toBe(false)
})

test('F5: a clean start elsewhere ends the session where it was', async () => {
  const nodes = (await startCluster(await testPeers(), [N1, N2])) as [Peer, Peer]
  const first = await client(nodes[0], 'c', DURABLE)
  await first.subscribe('s', 1)
  await first.disconnect()
  const second = await client(nodes[1], 'c', { clean: true })
  expect(second.connack?.sessionPresent).toBe(false)
  expect(await sessionsOf(nodes, 'c')).toEqual([N2])
  await eventually(async () => expect((await nodes[1].ctl('routes', 'list')).lines).toEqual([]))
})

test('F6: QoS 2 stays exactly once when the connection moves between its steps, in both directions', async () => {
  const [n1, n2] = (await startCluster(await testPeers(), [N1, N2])) as [Peer, Peer]
  const watcher = await client(n1, 'w')
  await watcher.subscribe('from', 2)
  const first = await client(n1, 'c', DURABLE)
  await first.subscribe('to', 2)
  const { messageId } = first.sendPublish('from', { qos: 2, payload: 'in' })
  await first.expect('pubrec', { messageId })
  const publisher = await client(n2, 'p')
  await publisher.publish('to', { qos: 2, payload: 'out' })
  const sent = await first.expectPublish({ payload: 'out' })
  first.send({ cmd: 'pubrec', messageId: sent.messageId! })
  await first.expect('pubrel', { messageId: sent.messageId })
  // Neither PUBREL nor PUBCOMP has been sent by the client when it moves.
  const second = await client(n2, 'c', DURABLE)
  await first.expectDisconnected(0x8e)
  await second.expect('pubrel', { messageId: sent.messageId })
  second.send({ cmd: 'pubcomp', messageId: sent.messageId! })
  second.sendPublish('from', { qos: 2, payload: 'in', messageId: messageId!, dup: true })
  await second.expect('pubrec', { messageId })
  second.send({ cmd: 'pubrel', messageId: messageId! })
  await second.expect('pubcomp', { messageId })
  expect(payloads(await take(watcher, 1))).toEqual(['in'])
  await watcher.expectNothing()
  await second.expectNothing()
})

test('G4: of two sessions of one client id on both sides of a partition, the later one stays', async () => {
  const peers = await testPeers({ cuttable: true })
  const nodes = (await startCluster(peers, [N1, N2])) as [Peer, Peer]
  const [n1, n2] = nodes
  peers.cut(n1, n2, 'reset')
  await n1.logged(`node ${N2} is down`)
  await n2.logged(`node ${N1} is down`)
  const earlier = await client(n1, 'c', DURABLE)
  const later = await client(n2, 'c', DURABLE)
  peers.heal()
  await earlier.expectDisconnected(0x8e)
  await eventually(async () => expect(await sessionsOf(nodes, 'c')).toEqual([N2]))
  expect(await later.survives()).toBe(true)
})

test('G4: what waits in the session that gives way is handed to the one that stays, QoS 2 once', async () => {
  const peers = await testPeers({ cuttable: true })
  const nodes = (await startCluster(peers, [N1, N2], { sets: ['session.home_wait=0s'] })) as [Peer, Peer]
  const [n1, n2] = nodes
  const earlier = await client(n1, 'c', DURABLE)
  await earlier.subscribe('s/#', 2)
  await earlier.disconnect()
  const there = await client(n1, 'p1')
  const here = await client(n2, 'p2')
  for (const qos of [0, 1, 2] as const) await here.publish('s/before', { qos, payload: `before ${qos}` })
  peers.cut(n1, n2, 'reset')
  await n1.logged(`node ${N2} is down`)
  await n2.logged(`node ${N1} is down`)
  const later = await client(n2, 'c', DURABLE)
  expect(later.connack?.sessionPresent).toBe(false)
  await later.subscribe('s/+', 2)
  for (const qos of [1, 2] as const) {
    await there.publish('s/there', { qos, payload: `there ${qos}` })
    await there.publish('s/not/wanted', { qos, payload: 'any more' })
    // On the other side it is kept for the session there.
    await here.publish('s/here', { qos, payload: `here ${qos}` })
  }
  expect(payloads(await take(later, 2))).toEqual(['here 1', 'here 2'])
  peers.heal()
  await eventually(async () => expect(await sessionsOf(nodes, 'c')).toEqual([N2]))
  await there.publish('s/after', { qos: 2, payload: 'after' })
  const got: string[] = []
  while (got.at(-1) !== 'after') got.push(...payloads(await take(later, 1)))
  await later.expectNothing()
  expect([...new Set(got)].filter((payload) => payload !== 'here 1').toSorted()).toEqual([
    ...['after', 'before 1', 'before 2', 'there 1', 'there 2'],
  ])
  // At QoS 1 a message of this side may come once more, having been kept for the session of the other side.
  const once = got.filter((payload) => payload.endsWith('2'))
  expect(once).toHaveLength(new Set(once).size)
})

test('what is published for a session on a member that is cut off arrives when the member is back: once, in order', async () => {
  const peers = await testPeers({ cuttable: true })
  const sets = ['dist.net_ticktime=4']
  const nodes = (await startCluster(peers, [N1, N2], { sets })) as [Peer, Peer]
  const [n1, n2] = nodes
  const there = await client(n2, 'there', DURABLE)
  await there.subscribe('exact', 2)
  await there.subscribe('wild/+', 1)
  const publisher = await client(n1, 'p')
  await publisher.publish('exact', { qos: 2, payload: '1' })
  peers.cut(n1, n2, 'silence')
  // On its way when the link is lost, or afterwards: its acknowledgement says that it is safe.
  for (const payload of ['2', '3']) await publisher.publish('exact', { qos: 2, payload })
  await n1.logged(`node ${N2} is down`)
  await publisher.publish('exact', { qos: 2, payload: '4' })
  await publisher.publish('wild/x', { qos: 1, payload: '5' })
  peers.heal()
  expect(payloads(await take(there, 5))).toEqual(['1', '2', '3', '4', '5'])
  await publisher.publish('exact', { qos: 2, payload: '6' })
  expect(payloads(await take(there, 1))).toEqual(['6'])
  await there.expectNothing()
})
