/** A node that stands still while others publish for its sessions, and fail at any moment of that. */
import { onTestFinished, test } from 'vitest'
import { SimClient } from '../support/sim/client.ts'
import { ClusterWorld } from '../support/sim/cluster-world.ts'
import { underSeeds } from '../support/sim/seeds.ts'
import { Invariants } from './cluster/invariants.ts'

const SEEDS = 10
const NAMES = ['a', 'b', 'c'] as const
const EXPIRY_SEC = 300
const CONFIG = {
  session: { maxInflight: 5, expirySec: EXPIRY_SEC },
  broker: { sysIntervalMs: Number.POSITIVE_INFINITY },
} as const
const QUIET_MS = 60_000
/** It is waited for for 1 s, and taken for dead after 8 s. */
const FAILS_MS = [0, 1000, 1000, 3000] as const
const STILL_MS = [500, 2000, 2000, 9000] as const

/** Publishers on `a` and `c`; sessions on `b` that get everything, and a group that has members there only. */
class Scene {
  readonly world: ClusterWorld
  readonly #publishers: readonly SimClient[]
  readonly #clients: readonly SimClient[]
  readonly #invariants: Invariants

  constructor(seed: number) {
    this.world = new ClusterWorld({ seed, config: CONFIG })
    onTestFinished(() => this.world.sim.stop())
    const { random } = this.world.sim
    const common = { version: random.pick([4, 5] as const), isPersistent: true, expirySec: EXPIRY_SEC, window: 20 }
    this.#publishers = ['p', 'r'].map((id) => new SimClient(this.world, { ...common, id }))
    const subscribers = (['t/#', 't/#', '$share/g/u/#', '$share/g/u/#'] as const).map((filter, i) => {
      const qos = i === 0 ? 1 : 2
      return new SimClient(this.world, { ...common, id: `s${i}`, subscriptions: [{ filter, qos }], ackDelayMs: 30 })
    })
    this.#clients = [...this.#publishers, ...subscribers]
    this.#invariants = new Invariants(this.world, this.#clients)
  }

  async begin(): Promise<void> {
    const { world } = this
    await world.settle(world.start('a'))
    await world.settle(Promise.all([world.start('b', 'a'), world.start('c', 'a')]))
    await world.pass('15s')
    for (const [i, client] of this.#clients.entries()) client.connect(['a', 'c'][i] ?? 'b')
    await this.#untilQuiet()
    // All have on disc what is subscribed.
    await world.pass('2s')
  }

  /** `b` stands still for some time, and something else happens at some moment of that, or a little later. */
  async stand(fault: (world: ClusterWorld) => void): Promise<void> {
    const { world } = this
    const { random } = world.sim
    const failMs = random.pick(FAILS_MS) + random.next() * 1000
    const thawMs = random.pick([0, failMs]) + random.next() * random.pick(STILL_MS)
    await this.#publish()
    world.freeze('b')
    world.sim.time.set(failMs, () => fault(world))
    world.sim.time.set(thawMs, () => world.thaw('b'))
    const endMs = world.nowMs + Math.max(failMs, thawMs)
    while (world.nowMs <= endMs) {
      await this.#publish()
      await world.pass(90)
    }
  }

  async #publish(): Promise<void> {
    const { random } = this.world.sim
    for (const client of this.#publishers) client.publish(random.pick(['t/1', 'u/1']), random.pick([1, 2] as const))
    await this.world.pass(random.next() * 10)
  }

  async #untilQuiet(): Promise<void> {
    await this.#invariants.whenTrue(QUIET_MS)
    this.world.isQuiet(NAMES)
  }

  /** Whatever had failed is there again after a while, in any order. */
  async mend(): Promise<void> {
    const { world } = this
    const { random } = world.sim
    await world.pass(random.pick([0, 5000]) * random.next())
    world.mendAll()
    for (const name of NAMES) world.thaw(name)
    const down = NAMES.filter((name) => !world.sim.isRunning(name))
    for (const name of random.below(2) === 0 ? down : down.reverse()) await world.settle(world.start(name))
    await this.#untilQuiet()
  }
}

const FAULTS: Record<string, (world: ClusterWorld) => void> = {
  'nothing else happens': () => {},
  'the node of the publisher dies': (world) => world.kill('a'),
  'both nodes die': (world) => {
    world.kill('a')
    world.kill('b')
  },
  'it dies': (world) => world.kill('b'),
  'their link is cut, and the node of the publisher dies': (world) => {
    world.cut('a', 'b')
    world.kill('a')
  },
  'their link is lost and made anew': (world) => world.reset('a', 'b'),
}

test.each(Object.keys(FAULTS))(
  'a node stands still, and %s: what was acknowledged has come, once at QoS 2, in order',
  async (what) => {
    await underSeeds(SEEDS, async (seed) => {
      const scene = new Scene(seed)
      await scene.begin()
      await scene.stand(FAULTS[what]!)
      await scene.mend()
    })
  },
)
