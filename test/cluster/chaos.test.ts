/**
 * A cluster that is not left in peace: three nodes are killed, frozen, cut off from each other and restarted at random, while clients publish at QoS 1 and 2 and
 * clients with lasting sessions, which come back on any node, listen.
 *
 * Where there are network namespaces (Linux, as root) each node has one, and packets between nodes are lost, in one direction or both, as well as between a node
 * and the clients; elsewhere, and with `CHAOS_LINKS=sockets`, sockets between nodes are silenced or reset.
 *
 * `CHAOS_SECONDS` is how long, `SEED` replays the choices (what the machine does with them is its own), which depend on the kind of links, too;
 * `npm run chaos` goes on for three minutes. What happened is printed when it fails.
 */
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { expect, onTestFailed, onTestFinished, test } from 'vitest'
import { rangesOf } from '../../src/broker/forward/messages.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { startCluster } from '../support/cluster.ts'
import { elapse, eventually } from '../support/eventually.ts'
import { whyNoNamespaces } from '../support/namespaces.ts'
import { type Peer, testPeers } from '../support/peer.ts'

const NODES = ['n1', 'n2', 'n3'] as const
const SECONDS = Number(process.env.CHAOS_SECONDS ?? 30)
const SEED = Number(process.env.SEED ?? 7)

const SETS = ['dist.net_ticktime=4', 'session.home_wait=60s', 'session.queue.max_length=infinity']
const whySockets = process.env.CHAOS_LINKS === 'sockets' ? 'CHAOS_LINKS says so' : await whyNoNamespaces()
if (whySockets !== undefined) console.warn(`links are cut by sockets, not in network namespaces: ${whySockets}`)
const LINKS = whySockets === undefined ? 'namespaces' : 'sockets'
const FAULTS = ['kill', 'freeze', 'cut', 'stop', ...(LINKS === 'namespaces' ? (['cut clients'] as const) : [])] as const

const WINDOW = 8
const PAUSE_MS = 5

/** A client that comes back, on any node, whenever its connection ends. */
class Restless {
  readonly client: MqttClient
  readonly #nodes: () => readonly Peer[]
  readonly #random: SeededRandom
  readonly #stores = {
    incomingStore: new mqtt.Store({ clean: false }),
    outgoingStore: new mqtt.Store({ clean: false }),
  }
  #isOver = false

  constructor(clientId: string, nodes: () => readonly Peer[], random: SeededRandom, note: (what: string) => void) {
    this.#nodes = nodes
    this.#random = random
    this.client = mqtt.connect({
      ...this.#address(),
      clientId,
      clean: false,
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 3600 },
      reconnectPeriod: 0,
      connectTimeout: 90_000,
      keepalive: 3,
      resubscribe: false,
      ...this.#stores,
    })
    this.client.on('error', () => {})
    let isFirst = true
    this.client.on('connect', ({ sessionPresent }) => {
      if (!isFirst && !sessionPresent) note(`${clientId} has lost its session (${addressOf(this.client)})`)
      isFirst = false
    })
    this.client.on('close', () => {
      if (!this.#isOver) setTimeout(() => this.#again(), 50 + this.#random.below(200))
    })
  }

  end(): void {
    this.#isOver = true
    this.client.end(true)
  }

  #again(): void {
    if (this.#isOver) return
    Object.assign(this.client.options, this.#address())
    // Given again, or it forgets what it has under way.
    this.client.reconnect(this.#stores)
  }

  #address(): Pick<IClientOptions, 'hostname' | 'port'> {
    const { mqttHost, mqttPort } = this.#random.pick(this.#nodes())
    return { hostname: mqttHost, port: mqttPort }
  }
}

const addressOf = ({ options }: MqttClient) => `${options.hostname}:${options.port}`

/** Publishes numbers, some at a time, and notes which are acknowledged. */
class Publisher extends Restless {
  readonly acknowledged = new Set<number>()
  readonly topic: string
  #next = 1
  #underWay = 0
  #isDone = false

  constructor(name: string, nodes: () => readonly Peer[], random: SeededRandom, note: (what: string) => void) {
    super(name, nodes, random, note)
    this.topic = `chaos/${name}`
    const timer = setInterval(() => this.#publish(), PAUSE_MS)
    onTestFinished(() => clearInterval(timer))
  }

  get sent(): number {
    return this.#next - 1
  }

  /** Resolves when all that was published is acknowledged. */
  async finish(): Promise<void> {
    this.#isDone = true
    await eventually(() => this.#underWay === 0, { withinMs: 90_000 })
  }

  #publish(): void {
    if (this.#isDone || this.#underWay >= WINDOW) return
    const number = this.#next++
    this.#underWay += 1
    this.client.publish(this.topic, String(number), { qos: qosOf(number) }, (error) => {
      this.#underWay -= 1
      if (error === undefined || error === null) this.acknowledged.add(number)
    })
  }
}

const qosOf = (number: number) => (number % 2 === 0 ? 2 : 1)

/** Listens to all, and notes what comes. */
class Listener extends Restless {
  readonly heard = new Map<string, number[]>()

  constructor(name: string, nodes: () => readonly Peer[], random: SeededRandom, note: (what: string) => void) {
    super(name, nodes, random, note)
    this.client.on('message', (topic, payload) => {
      const numbers = this.heard.get(topic)
      if (numbers === undefined) this.heard.set(topic, [Number(payload)])
      else numbers.push(Number(payload))
    })
  }
}

/** What the nodes have, for whoever has to find out what went wrong. */
async function describe(nodes: readonly Peer[], note: (what: string) => void): Promise<void> {
  for (const node of nodes) {
    note(`${node.name}, ${node.mqttHost}:${node.mqttPort}: ${(await node.ctl('routes', 'list')).lines.join('; ')}`)
    note((await node.ctl('sessions', 'list')).lines.join('; '))
    const { data } = await node.ctl('broker', 'metrics', 'all')
    const counted = Object.entries(data as Record<string, number>).filter(([, count]) => count > 0)
    note(
      counted
        .filter(([name]) => /^(messages|delivery|session)/.test(name))
        .map((pair) => pair.join(' '))
        .join(', '),
    )
  }
}

test(`every acknowledged message arrives, at QoS 2 once, in order (seed ${SEED}, ${LINKS})`, {
  timeout: (SECONDS + 400) * 1000,
}, async () => {
  const random = new SeededRandom(SEED)
  // Of each its own, so that when clients come back does not change which faults there are.
  const own = () => new SeededRandom(random.below(2 ** 31))
  const history: string[] = []
  const begun = performance.now()
  const progress = () => publishers.map(({ topic, sent }) => `${topic} ${sent}`).join(', ')
  const note = (what: string) =>
    history.push(`${((performance.now() - begun) / 1000).toFixed(1)} s: ${what} (${progress()})`)
  const publishers: Publisher[] = []
  onTestFailed(() => console.error(`seed ${SEED}, ${LINKS}\n${history.join('\n')}`))
  const peers = await testPeers(LINKS === 'namespaces' ? { namespaces: NODES } : { cuttable: true })
  const names = NODES.map((node) => peers.nodeName(node))
  const nodes = await startCluster(peers, names, { sets: SETS })
  const up = new Set(nodes)
  const running = () => (up.size > 0 ? [...up] : nodes)
  const listeners = ['l1', 'l2'].map((name) => new Listener(name, running, own(), note))
  for (const { client } of listeners) await client.subscribeAsync('chaos/+', { qos: 2 })
  for (const name of ['p1', 'p2']) publishers.push(new Publisher(name, running, own(), note))
  onTestFinished(() => {
    for (const each of [...listeners, ...publishers]) each.end()
  })

  const pick = () => random.below(nodes.length)
  const endMs = performance.now() + SECONDS * 1000
  while (performance.now() < endMs) {
    await elapse(500 + random.below(1500))
    const index = pick()
    const node = nodes[index]!
    switch (random.pick(FAULTS)) {
      case 'kill':
        note(`kill ${node.name}`)
        up.delete(node)
        await node.kill()
        await elapse(random.below(1500))
        nodes[index] = await peers.start(node.name, { sets: SETS })
        up.add(nodes[index]!)
        note(`${node.name} is back`)
        break
      case 'freeze': {
        note(`freeze ${node.name}`)
        node.freeze()
        await elapse(500 + random.below(7000))
        node.thaw()
        note(`thaw ${node.name}`)
        break
      }
      case 'cut': {
        const others = nodes.filter((other) => other !== node)
        const how = random.pick(peers.cuts)
        note(`cut ${node.name} off (${how})`)
        peers.partition([node], others, how)
        await elapse(500 + random.below(7000))
        peers.heal()
        note('heal')
        break
      }
      case 'cut clients': {
        note(`cut clients off from ${node.name}`)
        peers.cutClients(node)
        await elapse(500 + random.below(7000))
        peers.heal()
        note('heal')
        break
      }
      case 'stop': {
        note(`stop ${node.name}`)
        up.delete(node)
        await node.stop()
        nodes[index] = await peers.start(node.name, { sets: SETS })
        up.add(nodes[index]!)
        note(`${node.name} is back`)
      }
    }
  }
  note('peace')
  try {
    for (const publisher of publishers) await publisher.finish()
  } catch (error) {
    for (const { client } of [...publishers, ...listeners]) {
      note(`${client.options.clientId}: ${client.connected ? 'connected' : 'not connected'}, ${addressOf(client)}`)
    }
    await describe(nodes, note)
    throw error
  }
  note('all is acknowledged')
  for (const { client } of listeners) await eventually(() => client.connected, { withinMs: 90_000 })
  for (const { topic, acknowledged, sent } of publishers) {
    note(`${topic}: ${acknowledged.size} of ${sent} acknowledged`)
    expect(acknowledged.size).toBeGreaterThan(0)
    for (const [i, { heard }] of listeners.entries()) {
      const missing = () => {
        const got = new Set(heard.get(topic))
        return [...acknowledged].filter((number) => !got.has(number))
      }
      await eventually(() => missing().length === 0, { withinMs: 60_000 }).catch(() => describe(nodes, note))
      expect(rangesOf(missing()), `l${i + 1} has not heard of ${topic}`).toEqual([])
      const numbers = heard.get(topic)!
      const twice = numbers.filter((number, at) => qosOf(number) === 2 && numbers.indexOf(number) !== at)
      expect(twice, `l${i + 1} has heard twice of ${topic}`).toEqual([])
      // MQTT.js tells of a QoS 2 message when it is released, so those of QoS 1 overtake them.
      for (const qos of [1, 2]) {
        const first = [...new Set(numbers)].filter((number) => qosOf(number) === qos)
        expect(first, `order of ${topic} at l${i + 1}, QoS ${qos}`).toEqual(first.toSorted((a, b) => a - b))
      }
    }
  }
  note('all has arrived')
  const routes = async (node: Peer) => (await node.ctl('routes', 'list')).lines.toSorted()
  await eventually(async () => {
    const [one, two, three] = await Promise.all(nodes.map(routes))
    expect(two).toEqual(one)
    expect(three).toEqual(one)
    return true
  })
  for (const each of [...listeners, ...publishers]) each.end()
  for (const clientId of ['l1', 'l2', 'p1', 'p2']) {
    const last = await mqtt.connectAsync({
      hostname: nodes[0]!.mqttHost,
      port: nodes[0]!.mqttPort,
      clientId,
      clean: true,
      protocolVersion: 5,
    })
    await last.endAsync()
  }
  for (const node of nodes) {
    await eventually(async () => {
      expect(await routes(node)).toEqual([])
      expect((await node.ctl('sessions', 'list')).lines).toEqual([])
      return true
    })
  }
})
