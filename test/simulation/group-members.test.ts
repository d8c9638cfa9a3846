/** What members of groups hold: nodes that die at any moment in which it goes to others. */
import { expect, onTestFinished, test } from 'vitest'
import { SimClient } from '../support/sim/client.ts'
import type { ClientOptions } from '../support/sim/client-packets.ts'
import { ClusterWorld } from '../support/sim/cluster-world.ts'
import type { Published } from '../support/sim/ledger.ts'
import { underSeeds } from '../support/sim/seeds.ts'

const SEEDS = 12
const NAMES = ['a', 'b', 'c'] as const
const CONFIG = { session: { expirySec: 300 }, broker: { sysIntervalMs: Number.POSITIVE_INFINITY } } as const
const GROUP = [{ filter: '$share/g/t', qos: 2 }] as const
/** A hand-over takes so long, or less, as discs are fast or slow. */
const GIVEN_MS = [15, 60, 300] as const
/** After so long nothing is under way any more, also of sessions that are to expire. */
const OVER_MS = 30_000
const EXPIRY_SEC = 4
/** The first is in flight when its client goes; in flight at QoS 2 it could not be given to anybody else [MQTT5-4.8.2-5]. */
const QOS = [1, 2, 1, 2, 2, 1] as const

class Scene {
  readonly world: ClusterWorld
  readonly clients: SimClient[] = []

  readonly seed: number

  constructor(seed: number) {
    this.seed = seed
    this.world = new ClusterWorld({ seed, config: CONFIG })
    onTestFinished(() => this.world.sim.stop())
  }

  async begin(): Promise<void> {
    const { world } = this
    await world.settle(world.start('a'))
    await world.settle(Promise.all([world.start('b', 'a'), world.start('c', 'a')]))
    await world.pass('15s')
    world.isQuiet(NAMES)
  }

  async client(node: string, id: string, options: Partial<ClientOptions> = {}): Promise<SimClient> {
    const client = new SimClient(this.world, { id, version: 5, isPersistent: true, expirySec: 300, ...options })
    this.clients.push(client)
    client.connect(node)
    await this.world.pass('2s')
    expect(client.isUp).toBe(true)
    return client
  }

  /** A client on node `a` that is the only member of the group, and holds what is published for it. */
  async holder(): Promise<{ readonly holder: SimClient; readonly messages: readonly Published[] }> {
    const slow = { receiveMaximum: 1, ackDelayMs: Number.MAX_SAFE_INTEGER, expirySec: EXPIRY_SEC }
    const holder = await this.client('a', 'holder', { subscriptions: GROUP, ...slow })
    const publisher = await this.client(this.world.sim.random.pick(NAMES.slice(1)), 'publisher')
    const messages = QOS.map((qos) => publisher.publish('t', qos))
    await this.world.pass('2s')
    expect(messages.every(({ acceptedAtMs }) => acceptedAtMs !== undefined)).toBe(true)
    return { holder, messages }
  }

  /** Other members, on nodes that the seed chooses. */
  async members(nodes: readonly string[], count: number): Promise<void> {
    const { random } = this.world.sim
    for (let i = 1; i <= count; i += 1) await this.client(random.pick(nodes), `member${i}`, { subscriptions: GROUP })
  }

  /** What was published has come to members but `former` at least once, and at QoS 2 to one of all members, once; nothing is kept any more. */
  check(messages: readonly Published[], former: SimClient): void {
    const { seed } = this
    const others = this.clients.filter((client) => client !== former)
    for (const { key, qos } of messages) {
      const count = countOf(others, key)
      if (qos === 2) expect({ seed, key, count: count + countOf([former], key) }).toEqual({ seed, key, count: 1 })
      else expect({ seed, key, isThere: count > 0 }).toEqual({ seed, key, isThere: true })
    }
    expect(NAMES.map((name) => this.world.keptBy(name))).toEqual([0, 0, 0])
  }
}

/** How often clients have got a message. */
function countOf(clients: readonly SimClient[], key: string): number {
  return clients.flatMap(({ receipts }) => receipts).reduce((sum, { counts }) => sum + (counts.get(key) ?? 0), 0)
}

/** How a session ends. */
const ENDS: Record<string, (scene: Scene, holder: SimClient) => Promise<void> | void> = {
  expires: async ({ world }) => {
    await world.pass((EXPIRY_SEC * 1000) / 2)
  },
  'ends with its connection': (_, holder) => holder.disconnect(0, 0),
  'gives way to a clean start': (_, holder) => {
    holder.comesClean = true
    holder.connect('a')
  },
  'is ended by an operator': ({ world }, holder) => {
    holder.isWanted = false
    world.services.get('a')!.sessions.discard('holder')
  },
  'lives on without its client': (_, holder) => holder.vanish(),
}

test.each(Object.keys(ENDS))(
  'a session in a group %s, and its node dies at any moment of that: others get what it held, at QoS 2 once',
  async (how) => {
    await underSeeds(SEEDS, async (seed) => {
      const scene = new Scene(seed)
      const { world } = scene
      const { random } = world.sim
      await scene.begin()
      const { holder, messages } = await scene.holder()
      if (how === 'expires') holder.vanish()
      else holder.isWanted = false
      // The one that is to expire has nobody to give it to until then.
      await scene.members(how === 'expires' ? ['b'] : NAMES, how === 'expires' ? 1 : 2)
      await ENDS[how]!(scene, holder)
      // What comes back to that node, and is lost with it once more, goes to others at once, as whatever is sent to one that dies.
      const isBack =
        how === 'gives way to a clean start' || scene.clients.some(({ link }) => world.wires.get(link!.wire) === 'a')
      const deaths = isBack ? 1 : 1 + random.below(2)
      for (let n = 0; n < deaths; n += 1) {
        await world.pass(random.next() * random.pick(GIVEN_MS))
        world.kill('a')
        await world.pass(random.next() * random.pick([100, 3000]))
        await world.settle(world.start('a'))
      }
      // One that has begun anew is a member again, and reads nothing.
      await world.pass('2s')
      holder.disconnect(0, 0)
      await world.pass(OVER_MS)
      scene.check(messages, holder)
    })
  },
)

test.each([['stands still'], ['is cut off']])(
  'a session in a group ends while the node of the other member %s, and its node dies: that gets what it held, at QoS 2 once',
  async (how) => {
    await underSeeds(SEEDS, async (seed) => {
      const scene = new Scene(seed)
      const { world } = scene
      const { random } = world.sim
      await scene.begin()
      const { holder, messages } = await scene.holder()
      await scene.members(['b'], 1)
      const isFirst = random.below(2) === 0
      const fail = () => (how === 'stands still' ? world.freeze('b') : world.cut('a', 'b'))
      if (isFirst) fail()
      holder.disconnect(0, 0)
      await world.pass(random.next() * random.pick(GIVEN_MS))
      if (!isFirst) fail()
      await world.pass(random.next() * random.pick([300, 5000, 15_000]))
      world.kill('a')
      await world.pass(random.next() * 3000)
      if (random.below(2) === 0) world.thaw('b')
      await world.settle(world.start('a'))
      await world.pass(random.next() * 3000)
      world.thaw('b')
      world.mendAll()
      await world.pass(OVER_MS)
      scene.check(messages, holder)
    })
  },
)

test('what is kept for a group whose members are away goes to one that comes on another node, and not again when they are back', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const scene = new Scene(seed)
    const { world } = scene
    const { random } = world.sim
    await scene.begin()
    const former = await scene.client('a', 'former', { subscriptions: GROUP })
    former.isWanted = false
    const publisher = await scene.client('b', 'publisher')
    world.kill('a')
    await world.pass('1s')
    const messages = QOS.map((qos) => publisher.publish('t', qos))
    await world.pass('2s')
    expect([world.keptBy('b'), messages.every(({ acceptedAtMs }) => acceptedAtMs !== undefined)]).toEqual([6, true])
    const dies = random.below(2) === 0
    if (dies) {
      // At any moment of what follows, or before it.
      world.sim.time.set(random.next() * random.pick([50, 300, 1000]), () => world.kill('b'))
    }
    const member = new SimClient(world, {
      id: 'm',
      version: 5,
      isPersistent: true,
      expirySec: 300,
      subscriptions: GROUP,
    })
    scene.clients.push(member)
    member.connect(random.pick(['b', 'c']))
    await world.pass('2s')
    if (dies) await world.settle(world.start('b'))
    else scene.check(messages, former)
    await world.pass('5s')
    scene.check(messages, former)
    await world.settle(world.start('a'))
    former.connect()
    await world.pass(OVER_MS)
    scene.check(messages, former)
  })
})
