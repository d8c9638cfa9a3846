/**
 * A cluster that is not left in peace: three nodes are killed, frozen, cut off from each other and restarted at random, while clients publish at QoS 1 and 2 and
 * clients with lasting sessions, which come back on any node, listen.
 *
 * `CHAOS_SECONDS` is how long, `SEED` replays the choices (what the machine does with them is its own); `npm run chaos` goes on for three minutes. What
 * happened is printed when it fails.
 */
import mqtt, { type MqttClient } from 'mqtt'
import { expect, onTestFailed, onTestFinished, test } from 'vitest'
import { SeededRandom } from '../../src/testing/random.ts'
import { startCluster } from '../support/cluster.ts'
import { elapse, eventually } from '../support/eventually.ts'
import { type Peer, testPeers } from '../support/peer.ts'

const NAMES = ['n1@127.0.0.1', 'n2@127.0.0.1', 'n3@127.0.0.1'] as const
const SECONDS = Number(process.env.CHAOS_SECONDS ?? 30)
const SEED = Number(process.env.SEED ?? 1 + Math.floor(Math.random() * 1_000_000))

const SETS = ['dist.net_ticktime=4', 'session.home_wait=60s']
const WINDOW = 8
const PAUSE_MS = 5

/** A client that comes back, on any node, whenever its connection ends. */
class Restless {
  readonly client: MqttClient
  readonly #nodes: () => readonly Peer[]
  readonly #random: SeededRandom
  #isOver = false

  constructor(clientId: string, nodes: () => readonly Peer[], random: SeededRandom) {
    this.#nodes = nodes
    this.#random = random
    this.client = mqtt.connect({
      host: '127.0.0.1',
      port: this.#port(),
      clientId,
      clean: false,
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 3600 },
      reconnectPeriod: 0,
      connectTimeout: 90_000,
      keepalive: 3,
      resubscribe: false,
    })
    this.client.on('error', () => {})
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
    this.client.options.port = this.#port()
    this.client.reconnect()
  }

  #port(): number {
    const nodes = this.#nodes()
    return this.#random.pick(nodes).mqttPort
  }
}

/** Publishes numbers, some at a time, and notes which are acknowledged. */
class Publisher extends Restless {
  readonly acknowledged = new Set<number>()
  readonly topic: string
  #next = 1
  #underWay = 0
  #isDone = false

  constructor(name: string, nodes: () => readonly Peer[], random: SeededRandom) {
    super(name, nodes, random)
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

  constructor(name: string, nodes: () => readonly Peer[], random: SeededRandom) {
    super(name, nodes, random)
    this.client.on('message', (topic, payload) => {
      const numbers = this.heard.get(topic)
      if (numbers === undefined) this.heard.set(topic, [Number(payload)])
      else numbers.push(Number(payload))
    })
  }
}

test(`every acknowledged message arrives, at QoS 2 once, in order (seed ${SEED})`, {
  timeout: (SECONDS + 400) * 1000,
}, async () => {
  const random = new SeededRandom(SEED)
  const history: string[] = []
  const begun = performance.now()
  const note = (what: string) => history.push(`${((performance.now() - begun) / 1000).toFixed(1)} s: ${what}`)
  onTestFailed(() => console.error(`seed ${SEED}\n${history.join('\n')}`))
  const peers = await testPeers({ cuttable: true })
  const nodes = await startCluster(peers, NAMES, { sets: SETS })
  const up = new Set(nodes)
  const running = () => (up.size > 0 ? [...up] : nodes)
  const listeners = ['l1', 'l2'].map((name) => new Listener(name, running, random))
  for (const { client } of listeners) await client.subscribeAsync('chaos/+', { qos: 2 })
  const publishers = ['p1', 'p2'].map((name) => new Publisher(name, running, random))
  onTestFinished(() => {
    for (const each of [...listeners, ...publishers]) each.end()
  })

  const pick = () => random.below(nodes.length)
  while (performance.now() - begun < SECONDS * 1000) {
    await elapse(500 + random.below(1500))
    const index = pick()
    const node = nodes[index]!
    switch (random.below(4)) {
      case 0:
        note(`kill ${node.name}`)
        up.delete(node)
        await node.kill()
        await elapse(random.below(1500))
        nodes[index] = await peers.start(node.name, { sets: SETS })
        up.add(nodes[index]!)
        note(`${node.name} is back`)
        break
      case 1: {
        note(`freeze ${node.name}`)
        node.freeze()
        await elapse(500 + random.below(7000))
        node.thaw()
        note(`thaw ${node.name}`)
        break
      }
      case 2: {
        const others = nodes.filter((other) => other !== node)
        const how = random.below(2) === 0 ? 'silence' : 'reset'
        note(`cut ${node.name} off (${how})`)
        peers.partition([node], others, how)
        await elapse(500 + random.below(7000))
        peers.heal()
        note('heal')
        break
      }
      default: {
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
      note(
        `${client.options.clientId}: ${client.connected ? 'connected' : 'not connected'}, port ${client.options.port}`,
      )
    }
    for (const node of nodes) {
      note(`${node.name}, port ${node.mqttPort}: ${(await node.ctl('sessions', 'list')).lines.join('; ')}`)
      note(`${JSON.stringify((await node.ctl('broker', 'metrics', 'all')).data)}`)
    }
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
      await eventually(() => missing().length === 0, { withinMs: 60_000 }).catch(() => {})
      expect(missing(), `l${i + 1} has not heard of ${topic}`).toEqual([])
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
  })
  for (const each of [...listeners, ...publishers]) each.end()
  for (const clientId of ['l1', 'l2', 'p1', 'p2']) {
    const last = await mqtt.connectAsync({
      host: '127.0.0.1',
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
    })
  }
})
