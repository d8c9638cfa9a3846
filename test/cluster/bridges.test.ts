/** Bridges between real nodes that are no cluster. */
import type { MqttClient } from 'mqtt'
import { expect, it } from 'vitest'
import { take } from '../support/cluster.ts'
import { asked, client, N1, N2, N3, status } from '../support/clustered.ts'
import { eventually } from '../support/eventually.ts'
import { type Peer, testPeers } from '../support/peer.ts'
import { RawClient } from '../support/raw-client.ts'

async function subscriber(peer: Peer, filter: string): Promise<RawClient> {
  const client = await RawClient.open({ host: '127.0.0.1', port: peer.mqttPort }, 5)
  await client.handshake({ clientId: 'reader', clean: false, properties: { sessionExpiryInterval: 3600 } })
  await client.subscribe(filter, 1)
  return client
}

const topics = async (client: RawClient, count: number) => (await take(client, count)).map(({ topic }) => topic)

it('bring messages there and back once, and to a node that was killed when it is back', async () => {
  const peers = await testPeers()
  const [n1, n2, n3] = (await peers.startAll([N1, N2, N3])) as [Peer, Peer, Peer]
  for (const [from, ...words] of [
    [n1, N2, '#'],
    [n2, N1, '#'],
    [n2, N3, 'a/#', 'prefix=from/'],
  ] as const) {
    expect(await asked(from, 'bridges', 'start', ...words)).toEqual(['bridge is started.'])
  }
  const [reader1, reader2, reader3] = [
    await subscriber(n1, '#'),
    await subscriber(n2, '#'),
    await subscriber(n3, 'from/#'),
  ]
  const [writer1, writer2] = [await client(n1), await client(n2)]
  const publish = (writer: MqttClient, topic: string) => writer.publishAsync(topic, 'x', { qos: 1 })
  await publish(writer1, 'a/1')
  expect(await topics(reader2, 1)).toEqual(['a/1'])
  // Whatever had gone back to n1 would be there before this.
  await publish(writer2, 'a/2')
  expect(await topics(reader1, 2)).toEqual(['a/1', 'a/2'])
  expect(await topics(reader2, 1)).toEqual(['a/2'])
  expect(await topics(reader3, 2)).toEqual(['from/a/1', 'from/a/2'])
  await n3.kill()
  await eventually(async () => (await asked(n2, 'alarms', 'list')).some((line) => line.includes(`bridge_down/${N3}`)))
  await publish(writer1, 'a/3')
  await publish(writer2, 'a/4')
  const again = await peers.start(N3)
  const back = await RawClient.open({ host: '127.0.0.1', port: again.mqttPort }, 5)
  await back.handshake({ clientId: 'reader', clean: false, properties: { sessionExpiryInterval: 3600 } })
  // What had not been acknowledged when the node was killed comes again before them.
  const seen = new Set<string>()
  while (!seen.has('from/a/3') || !seen.has('from/a/4')) for (const topic of await topics(back, 1)) seen.add(topic)
  for (const node of [n1, n2, again]) expect(await asked(node, 'cluster', 'status')).toEqual([status([node.name])])
})
