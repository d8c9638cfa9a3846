/**
 * What tests of clusters do with real nodes: clients, retained messages, and what bin/ctl says.
 *
 * What is typed is a bin/ctl of its own (bin-ctl.ts); what is waited for is asked by rpc, which costs no OS process.
 */
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { expect, onTestFinished } from 'vitest'
import { isTuple, text } from '../../src/dist/term.ts'
import { type BinCtl, binCtl } from './bin-ctl.ts'
import { eventually } from './eventually.ts'
import { type Peer, type PeerOptions, type Peers, testPeers } from './peer.ts'

export const [N1, N2, N3] = ['n1@127.0.0.1', 'n2@127.0.0.1', 'n3@127.0.0.1'] as const

/** A client that is disconnected when the test ends, and does not connect again by itself. */
export async function client(peer: Peer, options: IClientOptions = {}): Promise<MqttClient> {
  const connected = await connectAsync(`mqtt://127.0.0.1:${peer.mqttPort}`, { reconnectPeriod: 0, ...options })
  onTestFinished(() => connected.endAsync(true))
  return connected
}

/** The lines of a command on a node, without an OS process. */
export async function asked(peer: Peer, ...words: readonly string[]): Promise<string[]> {
  const answer = await peer.rpc('agner_ctl', 'run', [[...words]])
  if (!isTuple(answer, 3)) throw new Error('no answer of a command')
  return (answer.elements[1] as unknown[]).map((line) => text(line)!)
}

/** The line of `cluster status`; `more` are stopped nodes and the like. */
export function status(running: readonly string[], more: Readonly<Record<string, readonly string[]>> = {}): string {
  const parts = Object.entries({ running_nodes: running, ...more })
  const shown = parts.map(([name, nodes]) => `{${name},[${nodes.map((node) => `'${node}'`).join(',')}]}`)
  return `Cluster status: [${shown.join(',')}]`
}

/** Resolves when a node has this status. */
export async function sees(peer: Peer, ...of: Parameters<typeof status>): Promise<void> {
  await eventually(async () => expect(await asked(peer, 'cluster', 'status')).toEqual([status(...of)]), {
    withinMs: 60_000,
  })
}

/** Two nodes, each alone. */
export async function two(options: Parameters<typeof testPeers>[0] = {}, node: PeerOptions = {}): Promise<Two> {
  const peers = await testPeers(options)
  const [n1, n2] = (await peers.startAll([N1, N2], node)) as [Peer, Peer]
  return { peers, n1, n2, ...binCtl(peers) }
}

export interface Two extends BinCtl {
  readonly peers: Peers
  readonly n1: Peer
  readonly n2: Peer
}

/** Two members of a cluster. */
export async function joined(...options: Parameters<typeof two>): Promise<Two> {
  const nodes = await two(...options)
  await asked(nodes.n2, 'cluster', 'join', N1)
  for (const node of [nodes.n1, nodes.n2]) await sees(node, [N1, N2])
  return nodes
}

/** Publishes `PREFIX/0` and so on, retained. */
export async function fill(peer: Peer, prefix: string, count: number): Promise<void> {
  const filler = await client(peer)
  const topics = Array.from({ length: count }, (_, i) => `${prefix}/${i}`)
  await Promise.all(topics.map((topic) => filler.publishAsync(topic, prefix, { qos: 1, retain: true })))
  await filler.endAsync()
}

/** Sets the retained message of a topic; '' deletes it. */
export async function retain(peer: Peer, topic: string, payload: string): Promise<void> {
  const publisher = await client(peer)
  await publisher.publishAsync(topic, payload, { qos: 1, retain: true })
  await publisher.endAsync()
}

/** What a new subscriber gets of a topic that has a retained message. */
export async function retainedText(peer: Peer, topic: string): Promise<string> {
  const subscriber = await client(peer)
  const message = new Promise<string>((resolve) => {
    subscriber.once('message', (_topic, payload) => resolve(payload.toString()))
  })
  await subscriber.subscribeAsync(topic)
  const got = await message
  await subscriber.endAsync()
  return got
}

/** Topics with a retained message of a client, sorted. */
export async function retained(peer: Peer): Promise<string[]> {
  const lines = await asked(peer, 'retained', 'list')
  return lines.map((line) => /^Retained\(([^,]*)/.exec(line)![1]!).filter((topic) => !topic.startsWith('$SYS'))
}

/** Resolves when nodes have so many retained messages of clients. */
export async function haveRetained(count: number, ...peers: readonly Peer[]): Promise<void> {
  for (const peer of peers) {
    await eventually(async () => expect(await retained(peer)).toHaveLength(count), { withinMs: 20_000 })
  }
}

/** Rejects for a client that has been disconnected. */
export async function expectConnected(one: MqttClient): Promise<void> {
  await one.publishAsync('is/alive', 'x', { qos: 1 })
}

/** The reason code of the DISCONNECT that a 5.0 client gets. */
export function disconnected(one: MqttClient): Promise<number | undefined> {
  return new Promise((resolve) => one.once('disconnect', ({ reasonCode }) => resolve(reasonCode)))
}

/** Resolves when a client has lost its connection. */
export function closing(one: MqttClient): Promise<void> {
  return new Promise((resolve) => one.once('close', () => resolve()))
}

/** The line by which members name a retained message that gave way to a later one; not each of them does. */
export function lossOf(topic: string, ...peers: readonly Peer[]): Promise<Record<string, unknown>> {
  return Promise.any(peers.map((peer) => peer.logged(`retained_message ${topic}: what `)))
}
