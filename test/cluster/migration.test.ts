/** `session.migrate`: a session moves to the node where its client connects. */
import { expect, test } from 'vitest'
import type { ConnectPacket } from '../../src/broker/packet.ts'
import { startCluster, take } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { type Peer, testPeers } from '../support/peer.ts'
import { RawClient } from '../support/raw-client.ts'

const N1 = 'n1@127.0.0.1'
const N2 = 'n2@127.0.0.1'
const SETS = ['session.migrate=true', 'session.migrate_wait=20s']

async function client(node: Peer, clientId: string, properties: ConnectPacket['properties'] = {}): Promise<RawClient> {
  const opened = await RawClient.open({ host: '127.0.0.1', port: node.mqttPort }, 5)
  await opened.handshake({ clientId, clean: false, properties: { sessionExpiryInterval: 600, ...properties } })
  return opened
}

/** Nodes that list a session of a client. */
async function homesOf(nodes: readonly Peer[], clientId: string): Promise<string[]> {
  const found: string[] = []
  for (const node of nodes) {
    const { lines } = await node.ctl('sessions', 'list')
    if (lines.some((line) => line.includes(`(${clientId},`))) found.push(node.name)
  }
  return found
}

test('a session moves with all that it holds, outlives the node that it has left, and moves back', async () => {
  const peers = await testPeers()
  const [n1, n2] = (await startCluster(peers, [N1, N2], { sets: SETS })) as [Peer, Peer]
  const first = await client(n1, 'c', { receiveMaximum: 3 })
  first.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [{ topic: 's/#', qos: 2 }],
    properties: { subscriptionIdentifier: 7 },
  })
  await first.expect('suback')
  const publisher = await client(n2, 'p')
  const publish = async (from: number, to: number) => {
    for (let n = from; n <= to; n += 1) await publisher.publish('s/x', { qos: n % 2 === 0 ? 2 : 1, payload: `${n}` })
  }
  await publish(1, 20)
  // One is in flight at QoS 1, one has been received at QoS 2, one is in flight at QoS 1 again; the others wait.
  const one = await first.expectPublish({ payload: '1', qos: 1 })
  const two = await first.expectPublish({ payload: '2', qos: 2 })
  const three = await first.expectPublish({ payload: '3', qos: 1 })
  first.send({ cmd: 'pubrec', messageId: two.messageId! })
  await first.expect('pubrel', { messageId: two.messageId })
  // And of what it has published itself, one is not released.
  await publisher.subscribe('own', 2)
  const own = {
    cmd: 'publish',
    topic: 'own',
    payload: Buffer.from('once'),
    qos: 2,
    retain: false,
    messageId: 9,
  } as const
  first.send({ ...own, dup: false })
  await first.expect('pubrec', { messageId: 9 })
  await publisher.acknowledge(await publisher.expectPublish({ payload: 'once' }))
  const second = await client(n2, 'c', { receiveMaximum: 3 })
  await first.expectDisconnected(0x8e)
  expect(second.connack?.sessionPresent).toBe(true)
  await eventually(async () => (await homesOf([n1, n2], 'c')).join() === N2)
  await n1.kill()
  await second.expect('pubrel', { messageId: two.messageId })
  const again = await second.expectPublish({ payload: '1', dup: true, messageId: one.messageId })
  expect(again.properties?.subscriptionIdentifier).toBe(7)
  await second.expectPublish({ payload: '3', dup: true, messageId: three.messageId })
  second.send({ ...own, dup: true })
  await second.expect('pubrec', { messageId: 9 })
  second.send({ cmd: 'pubrel', messageId: 9 })
  await second.expect('pubcomp', { messageId: 9 })
  second.send({ cmd: 'pubcomp', messageId: two.messageId! })
  second.send({ cmd: 'puback', messageId: one.messageId! })
  second.send({ cmd: 'puback', messageId: three.messageId! })
  await publish(21, 24)
  const rest = await take(second, 21)
  expect(rest.map(({ payload }) => Number(payload))).toEqual(Array.from({ length: 21 }, (_, i) => i + 4))
  await second.expectNothing()
  await publisher.expectNothing()
  const back = await peers.start(N1, { sets: SETS })
  await Promise.all([back.logged(`${N2} is linked`), n2.logged(`${N1} is linked`)])
  await second.disconnect()
  await publish(25, 26)
  // It does not move before all members are in step.
  await eventually(async () => {
    const third = await client(back, 'c')
    expect(third.connack?.sessionPresent).toBe(true)
    third.cut()
    return (await homesOf([back, n2], 'c')).join() === N1
  })
  const fourth = await client(back, 'c')
  await publish(27, 28)
  expect((await take(fourth, 4)).map(({ payload }) => String(payload))).toEqual(['25', '26', '27', '28'])
  await fourth.expectNothing()
})
