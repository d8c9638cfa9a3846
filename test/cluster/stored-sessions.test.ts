/** Sessions that outlive their connection, on a node that is killed and started again on its data directory. */
import { connect, type IClientOptions, type MqttClient } from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { type Peer, type Peers, testPeers } from '../support/peer.ts'
import { RawClient } from '../support/raw-client.ts'

const NAME = 'n1@127.0.0.1'

/** A node that comes back at the same address. */
class Node {
  readonly port: number
  readonly #peers: Peers
  #peer: Peer

  private constructor(peers: Peers, peer: Peer, port: number) {
    this.#peers = peers
    this.#peer = peer
    this.port = port
  }

  static async start(): Promise<Node> {
    const peers = await testPeers()
    const port = await freePort()
    return new Node(peers, await startAt(peers, port), port)
  }

  /** SIGKILL, and a start on what is on the disc. */
  async restart(): Promise<void> {
    await this.#peer.kill()
    this.#peer = await startAt(this.#peers, this.port)
  }

  /** SIGTERM, and a start. */
  async stopAndStart(): Promise<void> {
    expect(await this.#peer.stop()).toBe(0)
    this.#peer = await startAt(this.#peers, this.port)
  }

  async client(
    clientId: string,
    expirySec = 3600,
    more: Parameters<RawClient['handshake']>[0] = {},
  ): Promise<RawClient> {
    const client = await RawClient.open({ host: '127.0.0.1', port: this.port }, 5)
    onTestFinished(() => client.cut())
    await client.handshake({ clientId, clean: false, properties: { sessionExpiryInterval: expirySec }, ...more })
    return client
  }
}

function startAt(peers: Peers, port: number): Promise<Peer> {
  return peers.start(NAME, { sets: [`listeners.tcp.port=${port}`] })
}

test('a session is there again with its subscriptions, its queue and what is in flight', async () => {
  const node = await Node.start()
  const first = await node.client('c', 3600, { properties: { sessionExpiryInterval: 3600, receiveMaximum: 2 } })
  await first.subscribe('t/#', 2)
  await first.subscribe('u', 1)
  const publisher = await node.client('p')
  for (const [i, qos] of ([1, 2, 1, 2] as const).entries()) await publisher.publish(`t/${i}`, { qos, payload: `${i}` })
  // Two are in flight, one of them received; two wait.
  const one = await first.expectPublish({ payload: '0', qos: 1, dup: false })
  const two = await first.expectPublish({ payload: '1', qos: 2, dup: false })
  first.send({ cmd: 'pubrec', messageId: two.messageId! })
  await first.expect('pubrel', { messageId: two.messageId })
  await node.restart()
  await (await node.client('p')).publish('u', { qos: 1, payload: '4' })
  const second = await node.client('c')
  expect(second.connack?.sessionPresent).toBe(true)
  await second.expect('pubrel', { messageId: two.messageId })
  await second.expectPublish({ payload: '0', dup: true, messageId: one.messageId })
  for (const payload of ['2', '3', '4']) await second.expectPublish({ payload, dup: false })
})

test('a session that was not to outlive its connection is gone, and so is one whose time is up', async () => {
  const node = await Node.start()
  await (await node.client('transient', 0)).subscribe('t', 1)
  // Its will is due when the session is over.
  const properties = { willDelayInterval: 3600 }
  const will = { topic: 'over', payload: Buffer.from('x'), qos: 1, retain: false, properties } as const
  const short = await node.client('short', 1, { will })
  await short.subscribe('t', 1)
  await short.disconnect({ reasonCode: 0x04 })
  const ended = await node.client('ended')
  await ended.subscribe('t', 1)
  await ended.disconnect({ properties: { sessionExpiryInterval: 0 } })
  await (await node.client('long')).subscribe('over', 1)
  await node.restart()
  const long = await node.client('long')
  await long.expectPublish({ topic: 'over' })
  const present: unknown[] = [long.connack?.sessionPresent]
  for (const clientId of ['transient', 'ended', 'short']) {
    present.push((await node.client(clientId)).connack?.sessionPresent)
  }
  expect(present).toEqual([true, false, false, false])
})

test('the will of a client that was connected when the node died is published after its delay', async () => {
  const node = await Node.start()
  const watcher = await node.client('watcher')
  await watcher.subscribe('will/#', 1)
  const will = (topic: string, willDelayInterval: number) =>
    ({
      will: { topic, payload: Buffer.from('gone'), qos: 1, retain: false, properties: { willDelayInterval } },
    }) as const
  await node.client('now', 3600, will('will/now', 0))
  await node.client('soon', 3600, will('will/soon', 1))
  await node.client('back', 3600, will('will/back', 1))
  await node.restart()
  await node.client('back')
  const again = await node.client('watcher')
  await again.expectPublish({ topic: 'will/now', payload: 'gone' })
  await again.expectPublish({ topic: 'will/soon', payload: 'gone' })
  await again.expectNothing()
})

test('an ordered stop leaves the same', async () => {
  const node = await Node.start()
  const first = await node.client('c')
  await first.subscribe('t', 1)
  await node.stopAndStart()
  await (await node.client('p')).publish('t', { qos: 1, payload: 'x' })
  const second = await node.client('c')
  expect(second.connack?.sessionPresent).toBe(true)
  await second.expectPublish({ payload: 'x' })
})

test('under traffic, killed again and again, nothing acknowledged is lost and QoS 2 comes once', async () => {
  const node = await Node.start()
  const got = new Map<string, number>()
  const subscriber = await mqttClient(node.port, 'subscriber')
  subscriber.on('message', (topic, payload) => {
    const key = `${topic} ${payload}`
    got.set(key, (got.get(key) ?? 0) + 1)
  })
  await subscriber.subscribeAsync({ 'q/1': { qos: 1 }, 'q/2': { qos: 2 } })
  const publishers = await Promise.all([1, 2].map((n) => mqttClient(node.port, `publisher${n}`)))
  const sent: string[] = []
  let isOver = false
  const publishing = publishers.map(async (publisher, p) => {
    for (let i = 0; !isOver; i++) {
      const qos = i % 2 === 0 ? 1 : 2
      const payload = `${p}.${i}`
      await publisher.publishAsync(`q/${qos}`, payload, { qos })
      sent.push(`q/${qos} ${payload}`)
    }
  })
  for (let kills = 1; kills <= 3; kills++) {
    await eventually(() => expect(sent.length).toBeGreaterThan(kills * 150))
    await node.restart()
  }
  isOver = true
  await Promise.all(publishing)
  await eventually(() => expect(sent.filter((key) => !got.has(key))).toEqual([]))
  expect([...got].filter(([key, count]) => key.startsWith('q/2') && count > 1)).toEqual([])
})

async function mqttClient(port: number, clientId: string): Promise<MqttClient> {
  const options: IClientOptions = { port, host: '127.0.0.1', clientId, clean: false, reconnectPeriod: 50 }
  const client = connect(options)
  client.on('error', () => {
    // The node is down at times.
  })
  onTestFinished(() => client.endAsync(true))
  await new Promise<void>((resolve) => client.once('connect', () => resolve()))
  return client
}
