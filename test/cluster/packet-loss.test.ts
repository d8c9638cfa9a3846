/**
 * Packets that are lost between nodes, or between a node and its clients, without anybody being told: real nodes, each in a network namespace of its
 * own. Left out where there are none.
 */
import { describe, expect, it } from 'vitest'
import type { ConnectPacket } from '../../src/broker/packet.ts'
import { startCluster, take } from '../support/cluster.ts'
import { sees } from '../support/clustered.ts'
import { eventually } from '../support/eventually.ts'
import { whyNoNamespaces } from '../support/namespaces.ts'
import { type Peer, type Peers, testPeers } from '../support/peer.ts'
import { RawClient } from '../support/raw-client.ts'

const whyNot = await whyNoNamespaces()
if (whyNot !== undefined) console.warn(`no network namespaces (${whyNot}): leaving out tests of packets that are lost`)

/** Keeps its session for as long as the test needs it. */
const DURABLE = { clean: false, properties: { sessionExpiryInterval: 600 } } as const

async function client(node: Peer, clientId: string, options: Partial<ConnectPacket> = {}): Promise<RawClient> {
  const opened = await RawClient.open({ host: node.mqttHost, port: node.mqttPort }, 5)
  await opened.handshake({ clientId, ...options })
  return opened
}

async function three(): Promise<{ peers: Peers; nodes: [Peer, Peer, Peer] }> {
  const short = ['n1', 'n2', 'n3']
  const peers = await testPeers({ namespaces: short })
  const names = short.map((node) => peers.nodeName(node))
  const nodes = (await startCluster(peers, names, { sets: ['dist.net_ticktime=6'] })) as [Peer, Peer, Peer]
  return { peers, nodes }
}

async function lists(node: Peer, what: 'routes' | 'sessions'): Promise<string[]> {
  return (await node.ctl(what, 'list')).lines.toSorted()
}

/** Resolves when all nodes are members of one cluster and have the same routes; returns these. */
async function whole(nodes: readonly Peer[]): Promise<string[]> {
  const names = nodes.map(({ name }) => name)
  for (const node of nodes) await sees(node, names)
  return eventually(
    async () => {
      const [first, ...others] = await Promise.all(nodes.map((node) => lists(node, 'routes')))
      for (const other of others) expect(other).toEqual(first)
      return first!
    },
    { withinMs: 30_000 },
  )
}

const isDown = (node: Peer, other: Peer) => node.logged(`node ${other.name} is down`)
const payloads = (packets: readonly { readonly payload: unknown }[]) => packets.map(({ payload }) => String(payload))

describe.skipIf(whyNot !== undefined)('packets that are lost', () => {
  it('a node that is cut off is given up by the tick on both sides, the others serve meanwhile, and afterwards nothing is missing', async () => {
    const { peers, nodes } = await three()
    const [n1, n2, n3] = nodes
    const there = await client(n3, 'there', DURABLE)
    await there.subscribe([
      { topic: 'exact', qos: 2 },
      { topic: 'wild/+', qos: 1 },
    ])
    const away = await client(n3, 'away', DURABLE)
    await away.subscribe('wild/#', 2)
    await away.disconnect()
    const publisher = await client(n1, 'p')
    peers.partition([n3], [n1, n2])

    // Those whose home is the node that is cut off come in when it is given up.
    const clients = ['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8'].map((clientId) => client(n2, clientId))
    const here = await Promise.any(clients)
    await here.subscribe('here', 1)
    await publisher.publish('here', { qos: 1, payload: 'during' })
    await here.acknowledge(await here.expectPublish({ payload: 'during' }))
    for (const node of [n1, n2]) expect(node.err).not.toContain('is down')
    for (const each of await Promise.all(clients)) expect(await each.survives()).toBe(true)
    for (const payload of ['1', '2']) await publisher.publish('exact', { qos: 2, payload })
    for (const node of [n1, n2]) expect(await isDown(node, n3)).toMatchObject({ reason: 'net_tick_timeout' })
    for (const node of [n1, n2]) expect(await isDown(n3, node)).toMatchObject({ reason: 'net_tick_timeout' })
    await publisher.publish('wild/x', { qos: 2, payload: '3' })
    await there.subscribe('late', 1)
    expect(await there.survives()).toBe(true)

    peers.heal()
    expect(payloads(await take(there, 3))).toEqual(['1', '2', '3'])
    expect(await whole(nodes)).toEqual([
      `exact -> ${n3.name}`,
      `here -> ${n2.name}`,
      `late -> ${n3.name}`,
      `wild/# -> ${n3.name}`,
      `wild/+ -> ${n3.name}`,
    ])
    const back = await client(n1, 'away', DURABLE)
    expect(back.connack?.sessionPresent).toBe(true)
    expect(payloads(await take(back, 1))).toEqual(['3'])
    await publisher.publish('late', { qos: 1, payload: '4' })
    expect(payloads(await take(there, 1))).toEqual(['4'])
    await there.expectNothing()
    await back.expectNothing()
  })

  it.each(['deaf', 'mute'] as const)(
    'a node that is %s is given up on both sides, and is back afterwards with what was published for it',
    async (how) => {
      const { peers, nodes } = await three()
      const [n1, n2, n3] = nodes
      const there = await client(n3, 'there', DURABLE)
      await there.subscribe('t', 2)
      peers.partition([n3], [n1, n2], how)
      const publisher = await client(n1, 'p')
      for (const payload of ['1', '2']) await publisher.publish('t', { qos: 2, payload })
      for (const node of [n1, n2]) {
        await isDown(node, n3)
        await isDown(n3, node)
      }
      peers.heal()
      expect(payloads(await take(there, 2))).toEqual(['1', '2'])
      expect(await whole(nodes)).toEqual([`t -> ${n3.name}`])
      await there.expectNothing()
    },
  )

  it('a client that does not reach its node any more takes its session over on another, with what it has not acknowledged', async () => {
    const { peers, nodes } = await three()
    const [n1, n2, n3] = nodes
    const lost = await client(n1, 'c', DURABLE)
    await lost.subscribe('t', 1)
    const publisher = await client(n3, 'p')
    peers.cutClients(n1)
    await publisher.publish('t', { qos: 1, payload: '1' })
    const moved = await client(n2, 'c', DURABLE)
    expect(moved.connack?.sessionPresent).toBe(true)
    expect(payloads(await take(moved, 1))).toEqual(['1'])
    await publisher.publish('t', { qos: 1, payload: '2' })
    expect(payloads(await take(moved, 1))).toEqual(['2'])
    peers.heal()
    // What was on its way to it, and that it was replaced.
    await lost.drainToEnd()
    expect(await whole(nodes)).toEqual([`t -> ${n1.name}`])
    expect(await lists(n2, 'sessions')).toEqual([])
    await moved.expectNothing()
  })
})
