/** Sessions that have given way after a partition, and what a member that was not there gives for them later, with nodes that fail at any moment. */
import { onTestFinished, test } from 'vitest'
import { SimClient } from '../support/sim/client.ts'
import { ClusterWorld } from '../support/sim/cluster-world.ts'
import { underSeeds } from '../support/sim/seeds.ts'
import { Invariants } from './cluster/invariants.ts'

const SEEDS = 10
const NAMES = ['a', 'b', 'c'] as const
const EXPIRY_SEC = 300
const HOME_WAIT_MS = 1000
const CONFIG = {
  session: { maxInflight: 5, expirySec: EXPIRY_SEC, homeWaitMs: HOME_WAIT_MS },
  broker: { sysIntervalMs: Number.POSITIVE_INFINITY },
} as const
const QUIET_MS = 60_000

/** A client whose session is on `a`, and publishers on `c` and `b`. */
class Scene {
  readonly world: ClusterWorld
  readonly #mover: SimClient
  readonly #publishers: readonly SimClient[]
  readonly #clients: readonly SimClient[]
  readonly #invariants: Invariants

  constructor(seed: number) {
    this.world = new ClusterWorld({ seed, config: CONFIG })
    onTestFinished(() => this.world.sim.stop())
    const { random } = this.world.sim
    const common = { version: random.pick([4, 5] as const), isPersistent: true, expirySec: EXPIRY_SEC, window: 20 }
    const subscriptions = [
      { filter: 't/#', qos: 2 },
      { filter: 'u/1', qos: 1 },
    ] as const
    this.#mover = new SimClient(this.world, { ...common, id: 'm', subscriptions, ackDelayMs: 30 })
    this.#publishers = ['p', 'r'].map((id) => new SimClient(this.world, { ...common, id }))
    // Another one on the same node that gets what is kept, too.
    const other = new SimClient(this.world, { ...common, id: 'o', subscriptions })
    this.#clients = [this.#mover, ...this.#publishers, other]
    this.#invariants = new Invariants(this.world, this.#clients)
  }

  async begin(): Promise<void> {
    const { world } = this
    await world.settle(world.start('a'))
    await world.settle(Promise.all([world.start('b', 'a'), world.start('c', 'a')]))
    await world.pass('15s')
    for (const [i, client] of this.#clients.entries()) client.connect(['a', 'c', 'b'][i] ?? 'a')
    await this.#untilQuiet()
    // All have on disc what is subscribed.
    await world.pass('2s')
  }

  /** The node of the session is cut off, and its client gets another one on `b`. Then `c` is, which keeps what was published for the former one. */
  async part(): Promise<void> {
    const { world } = this
    world.cut('a', 'b')
    world.cut('a', 'c')
    await this.#publish(3)
    this.#mover.lose()
    this.#mover.connect('b')
    await this.#publish(3)
    await world.pass(HOME_WAIT_MS + 500 * world.sim.random.next())
    await this.#publish(2)
    await world.pass('1s')
    world.cut('b', 'c')
    await this.#publish(2)
  }

  /** Both sessions meet, and `fault` happens at some moment of that or of what follows. */
  async meet(fault: (world: ClusterWorld) => void): Promise<void> {
    const { world } = this
    const { random } = world.sim
    world.mend('a', 'b')
    const [faultMs, backMs] = [random.next() * random.pick([300, 3000]), random.next() * random.pick([300, 3000])]
    world.sim.time.set(faultMs, () => fault(world))
    world.sim.time.set(backMs, () => {
      world.mend('a', 'c')
      if (random.below(2) === 0) world.mend('b', 'c')
    })
    for (const endMs = world.nowMs + Math.max(faultMs, backMs); world.nowMs <= endMs; ) await world.pass(100)
    await world.pass(random.next() * random.pick([0, 1000]))
  }

  async #publish(count: number): Promise<void> {
    const { random } = this.world.sim
    for (let n = 0; n < count; n += 1) {
      for (const client of this.#publishers) client.publish(random.pick(['t/1', 'u/1']), random.pick([1, 2] as const))
      await this.world.pass(random.next() * 50)
    }
  }

  async #untilQuiet(): Promise<void> {
    await this.#invariants.whenTrue(QUIET_MS)
    this.world.isQuiet(NAMES)
  }

  /** Whatever had failed is there again, in any order. */
  async mend(): Promise<void> {
    const { world } = this
    world.mendAll()
    for (const name of NAMES) world.thaw(name)
    const down = NAMES.filter((name) => !world.sim.isRunning(name))
    for (const name of world.sim.random.below(2) === 0 ? down : down.reverse()) {
      await world.settle(world.start(name))
      await world.pass(2000 * world.sim.random.next())
    }
    await this.#untilQuiet()
  }
}

const FAULTS: Record<string, (world: ClusterWorld) => void> = {
  'nothing fails': () => {},
  'the node of the session that gave way dies': (world) => world.kill('a'),
  'the node of the one that stays dies': (world) => world.kill('b'),
  'the node that has kept something dies': (world) => world.kill('c'),
  'all die': (world) => {
    for (const name of NAMES) world.kill(name)
  },
  'the links of the first node are lost': (world) => {
    world.reset('a', 'b')
    world.reset('a', 'c')
  },
  'the node of the one that stays stands still': (world) => world.freeze('b'),
}

test.each(Object.keys(FAULTS))(
  'a session has given way, and a member gives later what it had kept for it: it comes to the one that stays; meanwhile %s',
  async (what) => {
    await underSeeds(SEEDS, async (seed) => {
      const scene = new Scene(seed)
      await scene.begin()
      await scene.part()
      await scene.meet(FAULTS[what]!)
      await scene.mend()
    })
  },
)
