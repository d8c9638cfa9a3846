/** E1 to E8 of routing: real nodes of one cluster, and clients on each. */
import { expect, test } from 'vitest'
import { SeededRandom } from '../../src/testing/random.ts'
import { startCluster, take } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { type Peer, testPeers } from '../support/peer.ts'
import { RawClient } from '../support/raw-client.ts'

const NAMES = ['n1@127.0.0.1', 'n2@127.0.0.1', 'n3@127.0.0.1'] as const
const [N1, N2, N3] = NAMES

async function client(node: Peer, clientId: string): Promise<RawClient> {
  const opened = await RawClient.open({ host: '127.0.0.1', port: node.mqttPort }, 5)
  await opened.handshake({ clientId })
  return opened
}

async function routes(node: Peer): Promise<string[]> {
  return (await node.ctl('routes', 'list')).lines.toSorted()
}

test('E1 to E4: every node has the same routes, each message goes once to each subscriber, and all goes with the clients', async () => {
  const nodes = await startCluster(await testPeers(), NAMES)
  const [n1, n2, n3] = nodes as [Peer, Peer, Peer]
  const client1 = await client(n1, 'client1')
  const client2 = await client(n2, 'client2')
  const client3 = await client(n3, 'client3')
  await client1.subscribe('t/+/x', 0)
  await client1.subscribe('t/+/y', 0)
  await client2.subscribe('t/#', 0)
  await client3.subscribe('t/+/x', 0)
  await client3.subscribe('t/a', 0)
  const E1 = [`t/# -> ${N2}`, `t/+/x -> ${N1},${N3}`, `t/+/y -> ${N1}`, `t/a -> ${N3}`]
  for (const node of nodes) expect(await routes(node)).toEqual(E1)

  client1.sendPublish('t/a', { payload: '1' })
  await client2.expectPublish({ topic: 't/a', payload: '1' })
  await client3.expectPublish({ topic: 't/a', payload: '1' })
  client1.sendPublish('t/b/x', { payload: '2' })
  for (const each of [client1, client2, client3]) await each.expectPublish({ topic: 't/b/x', payload: '2' })
  client1.sendPublish('t', { payload: '3' })
  await client2.expectPublish({ topic: 't', payload: '3' })
  for (const each of [client1, client2, client3]) await each.barrier()
  expect([await forwarded(n1), await forwarded(n2), await forwarded(n3)]).toEqual([5, 0, 0])

  await client1.unsubscribe('t/+/x')
  for (const node of nodes) expect(await routes(node)).toEqual([E1[0], `t/+/x -> ${N3}`, E1[2], E1[3]])
  await client3.disconnect()
  for (const node of nodes) await eventually(async () => expect(await routes(node)).toEqual([E1[0], E1[2]]))
  expect((await n1.ctl('subscriptions', 'show', 'client2')).lines).toEqual(['Not Found.'])
  expect((await n2.ctl('subscriptions', 'show', 'client2')).lines).toEqual(['client2 -> t/#:0'])
  await client1.disconnect()
  await client2.disconnect()
  for (const node of nodes) await eventually(async () => expect(await routes(node)).toEqual([]))
})

test('E3: after 1,000 rounds of subscribing, unsubscribing and lost connections no node has a route', async () => {
  const nodes = await startCluster(await testPeers(), NAMES)
  const random = new SeededRandom(3)
  const clients: RawClient[] = []
  for (let i = 0; i < 12; i += 1) clients.push(await client(nodes[i % 3]!, `c${i}`))
  const filter = () => `r/${random.pick(['+', '#', 'a', 'b', '+/c', 'a/#'])}`
  for (let round = 0; round < 1000; round += 1) {
    const i = random.below(clients.length)
    const one = clients[i]!
    const what = random.below(20)
    if (what < 10) await one.subscribe(filter(), 1)
    else if (what < 19) await one.unsubscribe(filter())
    else {
      // Without an answer to what it has sent last.
      one.send({ cmd: 'subscribe', messageId: one.nextId(), subscriptions: [{ topic: filter(), qos: 1 }] })
      one.cut()
      clients[i] = await client(random.pick(nodes), `c${i}`)
    }
  }
  for (const one of clients) one.cut()
  for (const node of nodes) await eventually(async () => expect(await routes(node)).toEqual([]))
  for (const node of nodes) {
    const { data } = await node.ctl('broker', 'stats')
    expect(data).toMatchObject({
      'routes/count': 0,
      'subscriptions/count': 0,
      'subscribers/count': 0,
      'topics/count': 0,
    })
  }
})

async function forwarded(node: Peer): Promise<number> {
  const { data } = await node.ctl('broker', 'metrics', 'all')
  return (data as Record<string, number>)['messages/forward'] ?? 0
}

/** The messages of a publisher, `1` to `count`. */
const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i + 1))

test('E5 and E7: a publish on any node after SUBACK is delivered', async () => {
  const [n1, n2, n3] = (await startCluster(await testPeers(), NAMES)) as [Peer, Peer, Peer]
  const publishers = [await client(n1, 'p1'), await client(n2, 'p2')]
  const subscriber = await client(n3, 's')
  for (let i = 0; i < 50; i += 1) {
    await subscriber.subscribe(i % 2 === 0 ? `f/${i}` : `f/${i}/+`, 1)
    const topic = i % 2 === 0 ? `f/${i}` : `f/${i}/x`
    const publisher = publishers[i % 3 === 0 ? 0 : 1]!
    await publisher.publish(topic, { qos: 1, payload: String(i) })
    await subscriber.acknowledge(await subscriber.expectPublish({ topic, payload: String(i) }))
  }
})

test('order holds and nothing is lost or doubled between nodes, at every QoS', async () => {
  const [n1, n2] = (await startCluster(await testPeers(), [N1, N2])) as [Peer, Peer]
  for (const qos of [0, 1, 2] as const) {
    const subscriber = await client(n2, `s${qos}`)
    await subscriber.subscribe(`q/${qos}`, qos)
    const publisher = await client(n1, `p${qos}`)
    for (const payload of numbers(300)) publisher.sendPublish(`q/${qos}`, { qos, payload })
    const taken = await take(subscriber, 300)
    expect(taken.map((packet) => String(packet.payload))).toEqual(numbers(300))
    expect(taken.every((packet) => packet.qos === qos && !packet.dup)).toBe(true)
    await subscriber.expectNothing()
  }
})

test('E6: the routes of a node that dies are gone, and those of one that stands still are back when it goes on; meanwhile others are served', async () => {
  const sets = ['dist.net_ticktime=4']
  const [n1, n2, n3] = (await startCluster(await testPeers(), NAMES, { sets })) as [Peer, Peer, Peer]
  const subscriber = await client(n3, 's')
  await subscriber.subscribe('x', 1)
  await eventually(async () => expect(await routes(n1)).toEqual([`x -> ${N3}`]))
  n3.freeze()
  const here = await client(n1, 'here')
  await here.subscribe('y', 1)
  const publisher = await client(n2, 'p')
  // The first of them finds out that the node says nothing; nobody waits for it after that.
  for (const payload of numbers(20)) {
    await publisher.publish('y', { qos: 1, payload })
    await here.acknowledge(await here.expectPublish({ payload }))
    await publisher.publish('x', { qos: 1, payload })
    await here.subscribe(`z/${payload}`)
  }
  await n1.logged(`node ${N3} is down`)
  await eventually(async () => expect(await routes(n1)).not.toContain(`x -> ${N3}`))
  n3.thaw()
  await eventually(async () => expect(await routes(n1)).toContain(`x -> ${N3}`))
  await n3.kill()
  for (const node of [n1, n2]) {
    await eventually(async () => expect((await routes(node)).filter((line) => line.includes(N3))).toEqual([]))
  }
})

test('E8: members of a shared subscription on different nodes get each message once, and who is away gets none', async () => {
  const nodes = (await startCluster(await testPeers(), NAMES)) as [Peer, Peer, Peer]
  const members = [await client(nodes[0], 'm1'), await client(nodes[1], 'm2'), await client(nodes[2], 'm3')] as const
  for (const member of members) await member.subscribe('$share/g/T', 1)
  const publisher = await client(nodes[0], 'p')
  for (const payload of numbers(100)) await publisher.publish('T', { qos: 1, payload })
  const got: string[] = []
  for (const member of members) {
    const packets = (await member.barrier()).filter(({ cmd }) => cmd === 'publish')
    expect(packets.length).toBeGreaterThan(20)
    got.push(...packets.map((packet) => String((packet as unknown as { payload: Buffer }).payload)))
  }
  expect(got.sort((a, b) => Number(a) - Number(b))).toEqual(numbers(100))
})

test('E9: a $local subscription hears what is published on its node, $queue is one group', async () => {
  const [n1, n2] = (await startCluster(await testPeers(), [N1, N2])) as [Peer, Peer]
  const local = await client(n1, 'local')
  await local.subscribe('$local/T', 0)
  const queues = [await client(n1, 'q1'), await client(n2, 'q2')]
  for (const each of queues) await each.subscribe('$queue/T', 1)
  const [p1, p2] = [await client(n1, 'p1'), await client(n2, 'p2')]
  await p1.publish('T', { qos: 1, payload: 'n1' })
  await p2.publish('T', { qos: 1, payload: 'n2' })
  expect((await local.barrier()).map((packet) => String((packet as unknown as { payload: Buffer }).payload))).toEqual([
    'n1',
  ])
  const queued = (await Promise.all(queues.map((each) => each.barrier()))).flat()
  expect(queued).toHaveLength(2)
})
